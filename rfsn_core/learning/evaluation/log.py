"""The part of a log that another policy can be evaluated on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rfsn_core.contract.errors import UserError
from rfsn_core.learning.evaluation.estimators import Array
from rfsn_core.learning.evaluation.holdout import tallied
from rfsn_core.learning.log_files import log_folders, read_tree
from rfsn_core.learning.records import DecisionRecord, RewardRecord, Slot
from rfsn_core.learning.tally import Tally


@dataclass
class EvaluationLog:
    """Logged decisions that can be evaluated, with their rewards."""

    records: list[DecisionRecord]
    rewards: Array
    """What each decision earned in total, as learning counts it, -1…1."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Reason → how many decisions were left out."""

    def slots(self, name: str) -> list[Slot]:
        """Return one slot of each decision, `action` or `style`."""
        return [record.action if name == "action" else record.style for record in self.records]

    def part(self, rows: Sequence[int]) -> EvaluationLog:
        """Return some of the decisions."""
        return EvaluationLog([self.records[row] for row in rows], self.rewards[list(rows)], self.left_out)


def read_log(folder: Path) -> EvaluationLog:
    """Join the decisions and rewards of a folder, of all workers. Raises UserError when none can be evaluated."""
    if not log_folders(folder):
        raise UserError(f"{folder}: no log here", hint="The folder is a world's data folder, or `log/` in it")
    tallies = tallied(read_tree(folder, RewardRecord))
    records: list[DecisionRecord] = []
    left_out: dict[str, int] = defaultdict(int)
    for record in read_tree(folder, DecisionRecord):
        if reason := _objection(record, tallies):
            left_out[reason] += 1
        else:
            records.append(record)
    if not records:
        reasons = "; ".join(f"{count}: {reason}" for reason, count in left_out.items()) or "it is empty"
        hint = 'Log with a policy that explores, such as [selection] provider = "linucb"'
        raise UserError(f"{folder}: no decision can be evaluated ({reasons})", hint=hint)
    rewards = np.array([tallies[record.decision_id].total for record in records])
    return EvaluationLog(records, rewards, dict(left_out))


def _objection(record: DecisionRecord, tallies: Mapping[str, Tally]) -> str:
    """Return why a decision cannot be evaluated; empty when it can."""
    if not record.explored:
        return "learning was disabled, so nothing was tried"
    if record.forced_by:
        return "a rule left one choice"
    if not record.delivered:
        return "the player never saw it"
    if record.trial is not None and record.trial.acts == "default":
        return "the default policy acted"
    if max(record.action.propensities) >= 1.0 and len(record.action.arms) > 1:
        return "chosen with probability 1, so the log holds no propensities to use"
    if record.decision_id not in tallies:
        return "no reward came"
    return ""

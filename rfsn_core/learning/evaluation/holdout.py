"""Whether learning beats not learning, from the stretches that the default policy kept."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rfsn_core.contract.errors import UserError
from rfsn_core.learning.comparison import Comparison, Difference
from rfsn_core.learning.log_files import log_folders, read_tree
from rfsn_core.learning.records import DecisionRecord, RewardRecord
from rfsn_core.learning.tally import Tally
from rfsn_core.world.trial import Acting

Earned = tuple[Acting, float]
"""Who acted, and what the decision earned."""


@dataclass(frozen=True)
class HoldOut:
    """Learned choices against the default's, in the decisions in which they differ."""

    difference: Difference
    turns: int
    """Decisions in the log."""
    learned: int
    default: int
    """Rewarded decisions of each, in which the two differ."""
    story: list[Earned]
    """Those decisions in order."""

    @property
    def sentence(self) -> str:
        """Whether learning beats not learning, how sure that is, and what is missing."""
        found = self.difference
        if not self.default or not self.learned:
            lacking = "choice of the default policy" if not self.default else "learned choice"
            return (
                f"The log cannot say whether learning beats not learning: there is no rewarded {lacking} in"
                " which the two differ (`learning.holdout`)."
            )
        span = f"{found.value:+.2f} reward where the two choose differently"
        if math.isfinite(found.low):
            span += f" ({found.low:+.2f} to {found.high:+.2f})"
        span += f", {found.value * found.decisions / self.turns:+.3f} a turn"
        if found.low > 0:
            return f"Learning beats not learning: {span}."
        if found.high < 0:
            return f"Learning is worse than not learning: {span}."
        return f"It is not certain whether learning beats not learning: {span}. {self._missing}"

    @property
    def _missing(self) -> str:
        more = self.difference.more_decisions
        if more < 0:
            return "There are too few turns to say how many more are needed."
        turns = math.ceil(more * self.turns / self.difference.decisions)
        return f"If it stays like this, about {_rounded(turns):,} more turns will tell."


def _rounded(count: int) -> int:
    """Return a number with two digits that mean something."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return math.ceil(count / step) * step


def read_hold_out(folder: Path) -> HoldOut:
    """Read the comparison from a log, also while a server writes it. Raises UserError when there is no log."""
    if not log_folders(folder):
        raise UserError(f"{folder}: no log here", hint="The folder is a world's data folder, or `log/` in it")
    return hold_out(read_tree(folder, DecisionRecord), read_tree(folder, RewardRecord))


def hold_out(records: Iterable[DecisionRecord], rewards: Iterable[RewardRecord]) -> HoldOut:
    """Return the comparison of the decisions with their rewards."""
    tallies = tallied(rewards)
    comparison, story, turns = Comparison(), [], 0
    for record in records:
        turns += 1
        trial, tally = record.trial, tallies.get(record.decision_id)
        if trial is None or tally is None or not trial.differs or record.forced_by or not record.delivered:
            continue
        comparison.add(trial.acts, trial.stretch, tally.total)
        story.append((trial.acts, tally.total))
    return HoldOut(comparison.difference(), turns, int(comparison.learned.n), int(comparison.default.n), story)


def tallied(rewards: Iterable[RewardRecord]) -> dict[str, Tally]:
    """Return what decisions earned, as learning counts it: where the game sends rewards, what was read off the play
    does not count."""
    unique = {reward.reward_id: reward for reward in rewards}.values()
    play = all(reward.source == "play" for reward in unique)
    given: dict[str, list[RewardRecord]] = defaultdict(list)
    for reward in unique:
        if play or reward.source != "play":
            given[reward.decision_id].append(reward)
    return {decision_id: Tally.of(mine) for decision_id, mine in given.items()}

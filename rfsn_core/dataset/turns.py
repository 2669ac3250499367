"""The turns of a log that an example can be made of, and how many were left out for which reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rfsn_core.contract.storage import MemoryKind, Scope, TurnRecord
from rfsn_core.learning.log_files import all_records, log_folders
from rfsn_core.learning.records import DecisionRecord, LoggedTurn, Operation, RewardRecord
from rfsn_core.learning.tally import Tally


@dataclass(frozen=True)
class PlayedTurn:
    """A turn with its decision and reward."""

    turn: TurnRecord
    decision: DecisionRecord
    reward: float | None
    """-1…1; None when none came."""

    @property
    def fact(self) -> str:
        """The text of the fact that the decision is about; empty when it is about none."""
        fact = self.decision.explanation.fact if self.decision.explanation else None
        own = fact is not None and not fact.unmet and fact.owner in ("", self.turn.scope.npc)
        return fact.text if fact is not None and own else ""


@dataclass
class Log:
    """What was read from a log."""

    conversations: dict[Scope, list[PlayedTurn]] = field(default_factory=dict)
    """Each in the order in which it was played."""
    names: dict[Scope, set[str]] = field(default_factory=dict)
    """What a player is called: the id, and the names that were told."""
    left_out: Counter[str] = field(default_factory=Counter)


def read_log(folder: Path) -> Log:
    """Read the logs of a folder and below it. What was erased is not there; what was undone is left out."""
    turns: list[TurnRecord] = []
    decisions: dict[str, DecisionRecord] = {}
    rewards: dict[str, list[RewardRecord]] = defaultdict(list)
    undone: set[str] = set()
    for one in log_folders(folder):
        for record in all_records(one):
            match record:
                case LoggedTurn():
                    turns.append(record.turn)
                case DecisionRecord():
                    decisions[record.decision_id] = record
                case RewardRecord():
                    rewards[record.decision_id].append(record)
                case Operation(name="undo"):
                    undone.add(record.tag)
    log = Log()
    seen: set[str] = set()
    for turn in sorted(turns, key=lambda turn: turn.time):
        if turn.turn_id in seen:
            continue
        seen.add(turn.turn_id)
        log.names.setdefault(turn.scope, {turn.scope.player}).update(_names(turn))
        if not turn.decision_id or not turn.spoken:
            continue  # an event, or a change of memories
        decision = decisions.get(turn.decision_id)
        if turn.turn_id in undone:
            log.left_out["undone"] += 1
        elif decision is None:
            log.left_out["without its decision"] += 1
        else:
            given = rewards.get(turn.decision_id)
            reward = Tally.of(given).total if given else None
            log.conversations.setdefault(turn.scope, []).append(PlayedTurn(turn, decision, reward))
    return log


def _names(turn: TurnRecord) -> Iterator[str]:
    """Yield the names that a player told."""
    for memory in turn.memories:
        if memory.kind is MemoryKind.FACT and memory.predicate == "name" and memory.value:
            yield memory.value

"""What a turn, or something in the game, adds to what an NPC knows: memories, the card, a summary now and then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.storage import MemoryKind, MemoryRecord, MemorySource, MemoryStatus, TurnRecord
from rfsn_core.memory import beliefs as governance
from rfsn_core.memory import cards, extraction, summaries
from rfsn_core.memory.beliefs import memory_id
from rfsn_core.memory.cards import Card
from rfsn_core.memory.extraction import Learned
from rfsn_core.world.transitions import EVENT_EFFECTS

EVENTS = {
    "gift": "The player gave you something",
    "promise_kept": "The player kept a promise",
    "promise_broken": "The player broke a promise",
    "betrayal": "The player betrayed you",
    "saved_life": "The player saved your life",
    "attacked": "The player attacked you",
    "witnessed_crime": "You saw the player commit a crime",
    "quest_started": "The player took on a quest",
    "quest_completed": "The player completed a quest",
}
"""Kinds of game events that an NPC keeps, beside the turn in which they happened."""
SHOWN = ("what", "name", "quest", "item", "where")
"""Of an event's data, what is told in its memory."""


@dataclass(frozen=True)
class Rules:
    """By the settings."""

    admitted: float = governance.ADMITTED
    single_valued: Sequence[str] = governance.SINGLE_VALUED
    summary_every: int = summaries.EVERY


@dataclass
class Mind:
    """What an NPC knows of a player, while something is added to it."""

    known: dict[str, MemoryRecord]
    card: Card
    rules: Rules

    def __post_init__(self) -> None:
        self.changes: list[MemoryRecord] = []
        self._before = self.card

    def learn(self, memory: MemoryRecord) -> list[MemoryRecord]:
        """By the rules of governance; returns what changed."""
        rules = self.rules
        versions = governance.learn(
            self.known, memory, memory.time, admitted=rules.admitted, single_valued=rules.single_valued
        )
        self.known = self.known | {version.memory_id: version for version in versions}
        self.changes += versions
        return versions

    def put(self, versions: list[MemoryRecord]) -> list[MemoryRecord]:
        """New versions of memories, as they are: governance was asked, or an operator."""
        self.changes += versions
        return versions

    @property
    def new_card(self) -> Mapping[str, Any] | None:
        """None when nothing on it changed."""
        return None if self.card == self._before else self.card.plain()

    # ── what adds to it ──────────────────────────────────────────────────────────────────────────

    def turn(self, turn: TurnRecord, signal: str, state: NpcState, recent: Iterable[TurnRecord]) -> None:
        """A turn that was delivered, or as much of it as was."""
        said = list(extraction.from_player(turn.player_text, turn.scope.player))
        for learned in said:
            self._said(learned, turn, MemorySource.PLAYER)
        for learned in extraction.from_npc(turn.npc_text):
            self._said(learned, turn, MemorySource.NPC_RESPONSE)
        promises = sum(learned.kind is MemoryKind.PROMISE for learned in said)
        self.card = cards.heard(self.card, signal, promises)
        self.card = cards.felt(self.card, state.turns, state.mood, state.affinity, state.trust)
        if self.rules.summary_every and state.turns and state.turns % self.rules.summary_every == 0:
            self._sum_up([*recent, turn][-self.rules.summary_every :], turn)

    def event(self, turn: TurnRecord, kind: str, data: Mapping[str, Any], state: NpcState) -> None:
        """Something that happened in the game."""
        self.card = cards.happened(self.card, kind, data)
        self.card = cards.felt(self.card, state.turns, state.mood, state.affinity, state.trust)
        if (told := EVENTS.get(kind)) is None:
            return
        details = ", ".join(str(data[name])[:100] for name in SHOWN if data.get(name))
        affinity, trust, _ = EVENT_EFFECTS.get(kind, (0.0, 0.0, 0.0))
        self.learn(
            MemoryRecord(
                memory_id=memory_id("event", turn.turn_id),
                kind=MemoryKind.EVENT,
                source=MemorySource.GAME,
                text=f"{told}: {details}." if details else f"{told}.",
                time=turn.time,
                importance=min(1.0, 0.4 + abs(affinity) + abs(trust)),
                turn_id=turn.turn_id,
            )
        )

    def _said(self, learned: Learned, turn: TurnRecord, source: MemorySource) -> None:
        fact = (learned.subject, learned.predicate, learned.value, learned.negated)
        self.learn(
            MemoryRecord(
                memory_id=governance.fact_id(*fact)
                if learned.predicate
                else memory_id(learned.kind, learned.text.lower()),
                kind=learned.kind,
                source=source,
                text=learned.text,
                time=turn.time,
                confidence=learned.confidence,
                importance=learned.importance,
                turn_id=turn.turn_id,
                decision_id=turn.decision_id,
                subject=learned.subject,
                predicate=learned.predicate,
                value=learned.value,
                negated=learned.negated,
            )
        )

    def _sum_up(self, turns: Sequence[TurnRecord], turn: TurnRecord) -> None:
        if text := summaries.summary(turns):
            made = MemoryRecord(
                memory_id=memory_id("summary", turn.turn_id),
                kind=MemoryKind.SUMMARY,
                source=MemorySource.INFERRED,
                text=text,
                time=turn.time,
                importance=0.3,
                turn_id=turn.turn_id,
            )
            older = [each for each in self.known.values() if each.kind is MemoryKind.SUMMARY]
            self.learn(made)
            for each in older[: 1 - summaries.KEPT]:
                self.put([replace(each, status=MemoryStatus.SUPERSEDED, reason="newer summaries", by=made.memory_id)])


def with_changes(turn: TurnRecord, mind: Mind) -> TurnRecord:
    """The turn as it is stored."""
    return replace(turn, memories=tuple(mind.changes), card=mind.new_card)

"""What a turn or a game event changes in an NPC's memory: memories, the card, and from time to time a summary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, Field

from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.storage import MemoryKind, MemoryRecord, MemorySource, MemoryStatus, TurnRecord
from rfsn_core.memory import beliefs, cards, extraction, summaries
from rfsn_core.memory.beliefs import memory_id
from rfsn_core.memory.cards import Card
from rfsn_core.memory.extraction import Statement
from rfsn_core.world.feelings import EVENT_EFFECTS, Effect

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
"""Kind of a game event → text of the memory that it leaves; other kinds leave none."""
EVENT_DETAILS = ("what", "name", "quest", "item", "where")
"""Keys of an event's data that its memory mentions."""


class MemoryRules(BaseModel):
    """The part of the settings that a memory update needs."""

    admitted: float = Field(beliefs.ADMITTED, ge=0, le=1, description="Confidence from which a memory is believed.")
    single_valued: list[str] = Field(
        list(beliefs.SINGLE_VALUED),
        description="Predicates of facts that hold one value at a time: another one contradicts.",
    )
    summary_every: int = Field(
        summaries.TURNS_PER_SUMMARY, ge=0, le=50, description="Turns between two summaries of a conversation; 0: none."
    )


@dataclass
class MemoryUpdate:
    """What an NPC knows of a player, and the changes of one turn to it."""

    known: dict[str, MemoryRecord]
    card: Card
    rules: MemoryRules

    def __post_init__(self) -> None:
        self.changes: list[MemoryRecord] = []
        self._before = self.card

    def learn(self, memory: MemoryRecord) -> list[MemoryRecord]:
        """Learn a memory by the rules of belief and return the new versions."""
        rules = self.rules
        versions = beliefs.learn(
            self.known, memory, memory.time, admitted=rules.admitted, single_valued=rules.single_valued
        )
        self.known = self.known | {version.memory_id: version for version in versions}
        self.changes += versions
        return versions

    def add(self, versions: list[MemoryRecord]) -> list[MemoryRecord]:
        """Add new versions of memories without applying the rules of belief, and return them."""
        self.changes += versions
        return versions

    @property
    def new_card(self) -> Mapping[str, Any] | None:
        """Return the card when it changed, else None."""
        return None if self.card == self._before else self.card.plain()

    def add_turn(self, turn: TurnRecord, signal: str, state: NpcState, recent: Iterable[TurnRecord]) -> None:
        """Add what a turn teaches. Its texts hold only what was delivered."""
        statements = list(extraction.from_player(turn.player_text, turn.scope.player))
        for statement in statements:
            self._learn_statement(statement, turn, MemorySource.PLAYER)
        for statement in extraction.from_npc(turn.npc_text):
            self._learn_statement(statement, turn, MemorySource.NPC_RESPONSE)
        promises = sum(statement.kind is MemoryKind.PROMISE for statement in statements)
        self.card = cards.with_words(self.card, signal, promises)
        self.card = cards.with_feelings(self.card, state.turns, state.mood, state.affinity, state.trust)
        if self.rules.summary_every and state.turns and state.turns % self.rules.summary_every == 0:
            self._summarize([*recent, turn][-self.rules.summary_every :], turn)

    def add_event(self, turn: TurnRecord, kind: str, data: Mapping[str, Any], state: NpcState) -> None:
        """Add what a game event teaches; `turn` is the turn without words that records it."""
        self.card = cards.with_event(self.card, kind, data)
        self.card = cards.with_feelings(self.card, state.turns, state.mood, state.affinity, state.trust)
        if (text := EVENTS.get(kind)) is None:
            return
        details = ", ".join(str(data[name])[:100] for name in EVENT_DETAILS if data.get(name))
        effect = EVENT_EFFECTS.get(kind, Effect())
        self.learn(
            MemoryRecord(
                memory_id=memory_id("event", turn.turn_id),
                kind=MemoryKind.EVENT,
                source=MemorySource.GAME,
                text=f"{text}: {details}." if details else f"{text}.",
                time=turn.time,
                importance=min(1.0, 0.4 + abs(effect.affinity) + abs(effect.trust)),
                turn_id=turn.turn_id,
            )
        )

    def _learn_statement(self, statement: Statement, turn: TurnRecord, source: MemorySource) -> None:
        if statement.predicate:
            fact = (statement.subject, statement.predicate, statement.value, statement.negated)
            statement_id = beliefs.fact_id(*fact)
        else:
            statement_id = memory_id(statement.kind, statement.text.lower())
        self.learn(
            MemoryRecord(
                memory_id=statement_id,
                kind=statement.kind,
                source=source,
                text=statement.text,
                time=turn.time,
                confidence=statement.confidence,
                importance=statement.importance,
                turn_id=turn.turn_id,
                decision_id=turn.decision_id,
                subject=statement.subject,
                predicate=statement.predicate,
                value=statement.value,
                negated=statement.negated,
            )
        )

    def _summarize(self, turns: Sequence[TurnRecord], turn: TurnRecord) -> None:
        if text := summaries.summary(turns):
            newest = MemoryRecord(
                memory_id=memory_id("summary", turn.turn_id),
                kind=MemoryKind.SUMMARY,
                source=MemorySource.INFERRED,
                text=text,
                time=turn.time,
                importance=0.3,
                turn_id=turn.turn_id,
            )
            older = [memory for memory in self.known.values() if memory.kind is MemoryKind.SUMMARY]
            self.learn(newest)
            for memory in older[: 1 - summaries.MAX_SUMMARIES]:
                reason = "newer summaries"
                self.add([replace(memory, status=MemoryStatus.SUPERSEDED, reason=reason, by=newest.memory_id)])


def with_changes(turn: TurnRecord, update: MemoryUpdate) -> TurnRecord:
    """Return the turn record with its memory changes."""
    return replace(turn, memories=tuple(update.changes), card=update.new_card)

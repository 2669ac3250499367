"""The storage stage: what a store keeps, and how."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Scope:
    """Whose memory: one NPC with one player in one save. Always compared exactly."""

    save: str
    npc: str
    player: str

    @property
    def conversation(self) -> str:
        """The scope as one text."""
        return "/".join((self.save, self.npc, self.player))

    def within(self, save: str, npc: str, player: str) -> bool:
        """Return whether the scope is selected; an empty text selects all."""
        return save in ("", self.save) and npc in ("", self.npc) and player in ("", self.player)


@dataclass(frozen=True)
class Scopes:
    """The scopes of a save, an NPC and a player: `scope in Scopes(npc="smith")`. An empty text selects all."""

    save: str = ""
    npc: str = ""
    player: str = ""

    def __contains__(self, scope: object) -> bool:
        return isinstance(scope, Scope) and scope.within(self.save, self.npc, self.player)


class MemoryKind(StrEnum):
    """What is remembered."""

    CONVERSATION_TURN = "conversation_turn"
    FACT = "fact"
    EVENT = "event"
    PROMISE = "promise"
    PREFERENCE = "preference"
    SUMMARY = "summary"


class MemorySource(StrEnum):
    """Where a memory comes from, the most trusted first."""

    OPERATOR = "operator"
    GAME = "game"
    NPC_RESPONSE = "npc_response"
    PLAYER = "player"
    INFERRED = "inferred"


class MemoryStatus(StrEnum):
    """Only what is active reaches an NPC; the rest is kept, with the reason."""

    ACTIVE = "active"
    SUPERSEDED = "superseded"
    QUARANTINED = "quarantined"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, kw_only=True)
class MemoryRecord:
    """A version of something that an NPC knows of a player, and why. The newest version of an id counts."""

    memory_id: str
    kind: MemoryKind
    source: MemorySource
    text: str
    time: float
    confidence: float = 1.0
    """0…1"""
    importance: float = 0.5
    """0…1"""
    turn_id: str = ""
    """The turn in which it was learned, and its decision."""
    decision_id: str = ""
    subject: str = ""
    """Of a fact, with `predicate`, `value` and whether it is denied: what exact contradictions are found by."""
    predicate: str = ""
    value: str = ""
    negated: bool = False
    expires: float | None = None
    """Unix time; None: never."""
    status: MemoryStatus = MemoryStatus.ACTIVE
    reason: str = ""
    """Why it is not active, or what is odd about it."""
    by: str = ""
    """The memory that it yielded to."""


def latest(versions: Iterable[MemoryRecord]) -> list[MemoryRecord]:
    """Return the newest version of each memory, in the order in which the memories were first learned."""
    newest: dict[str, MemoryRecord] = {}
    for version in versions:
        newest[version.memory_id] = version
    return list(newest.values())


GOVERNED = "governed"
"""Outcome of a turn without words, which only carries a change of memories."""


@dataclass(frozen=True)
class TurnRecord:
    """A turn as it is remembered: all that is stored. State, memories and cards are read off the turns."""

    turn_id: str
    scope: Scope
    time: float
    player_text: str
    npc_text: str
    """What was delivered, which after a barge-in is less than what was meant."""
    outcome: str
    """`complete`, `cancelled`, `event`, `governed`, or the reason why the text is cut short."""
    decision_id: str
    state: Mapping[str, Any]
    """The NPC's state after the turn."""
    memories: tuple[MemoryRecord, ...] = ()
    """New memories, and new versions of older ones."""
    card: Mapping[str, Any] | None = None
    """The memory card after the turn, when it changed."""

    @property
    def spoken(self) -> bool:
        """Whether it is part of what was said and done between the two."""
        return self.outcome != GOVERNED


@dataclass(frozen=True)
class Past:
    """What a store knows about an NPC and a player."""

    state: Mapping[str, Any] | None = None
    """None before the first turn."""
    turns: Sequence[TurnRecord] = ()
    """The last ones, oldest first."""
    memories: Sequence[MemoryRecord] = ()
    """The newest version of each, oldest first."""
    card: Mapping[str, Any] | None = None
    version: str = field(default="", compare=False)
    """Of a shared store: changes with every turn of the conversation."""


@dataclass(frozen=True)
class SearchHit:
    """A turn that a search found."""

    turn: TurnRecord
    relevance: float
    """Above 0; comparable within one search."""


@dataclass(frozen=True)
class Backup:
    """A copy of the store on disk."""

    name: str
    time: float
    size: int


@dataclass(frozen=True)
class Snapshot:
    """The state of a save under a tag, to roll back to."""

    save: str
    tag: str
    time: float
    turns: int


class Store(Protocol):
    """Stores turns. Nothing is acknowledged before it is safe on disk. Scopes are compared exactly.

    `save`, `npc` and `player` as strings select what is equal; empty, all.
    """

    async def load(self, scope: Scope, turns: int, memories: int | None = None) -> Past:
        """Return everything that a turn begins with.

        :param turns: the last ones, at most so many.
        :param memories: the newest that are not superseded, at most so many; None: all, and the superseded, too.
        """

    async def append(self, turn: TurnRecord) -> None:
        """Store a turn with all it changed, or nothing. The same turn_id again changes nothing."""

    async def search(self, scope: Scope, query: str, limit: int) -> Sequence[SearchHit]:
        """Return the turns that contain the query's words, best first. Any text is a valid query."""

    async def stats(self, npc: str) -> Mapping[str, Any]:
        """Return counts and times of an NPC's memory."""

    async def snapshot(self, save: str, tag: str) -> Snapshot:
        """Save the state of a save under a tag. An earlier snapshot of that tag is replaced."""

    async def snapshots(self, save: str) -> Sequence[Snapshot]:
        """Return the snapshots of a save, newest first."""

    async def rollback(self, save: str, tag: str) -> int:
        """Roll a save back and return how many turns it has. Later turns are kept for other tags.

        Raises NotFound when there is no such tag.
        """

    def export(self, save: str, npc: str, player: str) -> AsyncIterator[TurnRecord]:
        """Yield turns as `append` takes them, those of a conversation oldest first, without loading all into memory."""

    async def erase(self, save: str, npc: str, player: str, *, backups: bool) -> int:
        """Delete turns without a trace and return their number; with `backups`, also from backups."""

    async def check(self) -> Sequence[str]:
        """Return what is damaged, in words; empty when nothing is."""

    async def backup(self) -> Backup:
        """Copy the whole store while it is in use."""

    async def backups(self) -> Sequence[Backup]:
        """Return the backups, newest first."""

    async def restore(self, name: str) -> None:
        """Replace the store's content by a backup, after a backup of the present content."""

    async def reset(self, npc: str) -> Backup:
        """Delete everything about an NPC, after a backup, and return that backup."""


@runtime_checkable
class UndoesTurns(Protocol):
    """A store that can undo the last turn of a conversation; the turns before it are then as if it had not been."""

    async def undo(self, scope: Scope, turn_id: str) -> bool:
        """Undo a turn, and what was stored after it without words. False: it is not the conversation's last turn."""
        ...


@runtime_checkable
class BatchStore(Store, Protocol):
    """A store that takes several turns with one commit, which costs less than one after the other."""

    async def append_all(self, turns: Sequence[TurnRecord]) -> None:
        """Store turns in their order, all or nothing, as `append` does."""

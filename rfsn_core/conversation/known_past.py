"""What is known of one conversation at one moment: a value that is replaced as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from rfsn_core.contract.errors import StoreError
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.storage import MemoryRecord, Past, Scope, TurnRecord, latest
from rfsn_core.memory.beliefs import working_set
from rfsn_core.memory.cards import Card

MOST_RECENT = 50
"""Turns that are kept in memory."""


@dataclass(frozen=True, kw_only=True)
class KnownPast:
    """The NPC's state, its memories of the player, and the last turns."""

    state: NpcState
    card: Card = field(default_factory=Card)
    memories: Mapping[str, MemoryRecord] = field(default_factory=dict)
    """By id, the newest version of what the NPC knows of the player."""
    recent: tuple[TurnRecord, ...] = ()
    """The last turns with words, oldest first."""
    version: str = ""
    """Of the conversation in a shared store."""

    @classmethod
    def of(cls, scope: Scope, past: Past, initial: NpcState) -> KnownPast:
        """Return what a store loaded. Raises StoreError when it cannot be used."""
        try:
            return cls(
                state=initial if past.state is None else NpcState.from_plain(past.state),
                card=Card.from_plain(past.card),
                memories={memory.memory_id: memory for memory in working_set(latest(past.memories))},
                recent=tuple(past.turns)[-MOST_RECENT:],
                version=past.version,
            )
        except (msgspec.MsgspecError, ValueError, TypeError, AttributeError) as error:
            hint = f"POST /api/memory/{scope.npc}/safe_reset deletes the NPC's memory, after a backup"
            raise StoreError(f"the stored past of {scope} cannot be used: {error}", hint=hint) from error

    def after(self, record: TurnRecord, state: NpcState) -> KnownPast:
        """Return what is known after one more turn."""
        memories = self.memories
        if record.memories:
            known = working_set(latest([*memories.values(), *record.memories]))
            memories = {memory.memory_id: memory for memory in known}
        return replace(
            self,
            state=state,
            card=self.card if record.card is None else Card.from_plain(record.card),
            memories=memories,
            recent=(*self.recent, record)[-MOST_RECENT:] if record.spoken else self.recent,
        )

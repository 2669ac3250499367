"""Archives: long-term copies of turns, never read during a turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from rfsn_core.contract.storage import (
    TurnRecord,
)


@runtime_checkable
class Archive(Protocol):
    """Where turns go to stay; no turn ever waits for it, or reads from it.

    A provider of the storage stage that `archive` in `[storage]` names. Opening it must not wait for a database.
    """

    async def archive(self, turns: Sequence[TurnRecord]) -> None:
        """Take turns, all or none; one that is there stays as it is."""

    async def erase(self, save: str, npc: str, player: str) -> int:
        """Leave no trace of what is selected; an empty text selects all."""

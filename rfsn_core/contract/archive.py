"""Archives: long-term copies of turns, never read during a turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rfsn_core.contract.storage import TurnRecord


class Archive(Protocol):
    """Stores turns without a time limit. No turn waits for it or reads from it.

    It must open without waiting for its database: an archive that is unavailable does not keep a server from starting.
    """

    async def archive(self, turns: Sequence[TurnRecord]) -> None:
        """Store turns, all or none; a turn that is stored already stays as it is."""

    async def erase(self, save: str, npc: str, player: str) -> int:
        """Delete the selected turns and return how many they were; an empty text selects all."""

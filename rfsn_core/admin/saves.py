"""Snapshots of a game's saves: take one when the game saves, roll back to it when the game loads."""

from __future__ import annotations

from collections.abc import Sequence

from rfsn_core import protocol
from rfsn_core.admin.pause import SavePauses
from rfsn_core.contract.storage import Snapshot
from rfsn_core.conversation.registry import Conversations
from rfsn_core.conversation.store_access import call_store
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.telemetry.logs import logger

log = logger("memory")


class Saves:
    """The saves that the store knows, and their snapshots."""

    def __init__(self, runtimes: Runtimes, conversations: Conversations, pauses: SavePauses) -> None:
        self._runtimes, self._conversations, self._pauses = runtimes, conversations, pauses

    async def snapshot(self, save: str, tag: str) -> Snapshot:
        """Keep the state of a save under a tag; an older snapshot with this tag is replaced. Raises StoreError."""
        await self._conversations.log_operation("snapshot", save=save, tag=tag)
        return await call_store(self._runtimes.current.store.snapshot(save, tag))

    async def snapshots(self, save: str) -> Sequence[Snapshot]:
        """Return the snapshots of a save, or of all saves when it is empty. Raises StoreError."""
        return await call_store(self._runtimes.current.store.snapshots(save))

    async def rollback(self, save: str, tag: str) -> int:
        """Roll a save back to a snapshot and return how many turns it has.

        Turns that run in this save are cancelled, on every server. Raises NotFound or StoreError.
        """
        await self._conversations.stored()
        async with self._pauses.paused(save, "", "", "rollback") as resume:
            await self._conversations.log_operation("rollback", save=save, tag=tag)
            turns = await call_store(self._runtimes.current.store.rollback(save, tag))
            resume.discard_waiting = True
            resume.rolled_back = protocol.SaveRolledBack(save=save, tag=tag, turns=turns)
        log.info("save.rolled_back", save=save, tag=tag, turns=turns)
        self._runtimes.announcements.send(resume.rolled_back)
        return turns

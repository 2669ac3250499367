"""Operations on the whole store: backup, restore, check, reset and erasure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rfsn_core.admin.archive_queue import ArchiveQueue
from rfsn_core.admin.pause import SavePauses
from rfsn_core.contract.errors import BadMessage
from rfsn_core.contract.storage import Backup, Store
from rfsn_core.conversation.registry import Conversations
from rfsn_core.conversation.store_access import call_store
from rfsn_core.learning.decision_log import DecisionLog
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.telemetry.logs import logger

log = logger("memory")


class Maintenance:
    """Operations on the whole store, and on the files of each server. All raise StoreError."""

    def __init__(
        self, runtimes: Runtimes, conversations: Conversations, pauses: SavePauses, decision_log: DecisionLog,
        archive: ArchiveQueue,
    ) -> None:  # fmt: skip
        self._runtimes, self._conversations, self._pauses = runtimes, conversations, pauses
        self._decision_log, self._archive = decision_log, archive

    @property
    def _store(self) -> Store:
        return self._runtimes.current.store

    async def stats(self, npc: str) -> dict[str, Any]:
        """Return counts and times of an NPC's memory. Raises UnknownNpc."""
        return dict(await call_store(self._store.stats(self._runtimes.current.world.npc(npc).id)))

    async def check(self) -> Sequence[str]:
        """Read everything and return a description of each damaged part; empty when nothing is damaged."""
        return await call_store(self._store.check())

    async def backup(self) -> Backup:
        """Copy the whole store while it is in use."""
        return await call_store(self._store.backup())

    async def backups(self) -> Sequence[Backup]:
        """Return the backups, newest first."""
        return await call_store(self._store.backups())

    async def restore(self, name: str) -> None:
        """Replace the store's content by a backup, after a backup of what it holds now. Raises NotFound."""
        await self._conversations.wait_for_spool()
        async with self._pauses.paused("", "", "", "cancelled") as resume:
            await call_store(self._store.restore(name))
            resume.discard_spooled = True
        log.info("backup.restored", backup=name)

    async def reset(self, name: str) -> Backup:
        """Make an NPC forget everyone, after a backup. Raises UnknownNpc."""
        npc = self._runtimes.current.world.npc(name)
        async with self._pauses.paused("", npc.id, "", "cancelled") as resume:
            backup = await call_store(self._store.reset(npc.id))
            resume.discard_spooled = True
            return backup

    async def erase(self, save: str, npc: str, player: str, *, backups: bool) -> dict[str, int]:
        """Erase an NPC, a player, a save, or their intersection, from the store, the archives and the decision log.

        Returns how many turns and decisions were erased. Raises BadMessage when nothing is named.
        """
        if not (save or npc or player):
            raise BadMessage("name a save, an NPC or a player", hint="To make an NPC forget everyone: reset")
        await self._conversations.wait_for_spool()
        async with self._pauses.paused(save, npc, player, "cancelled", erase="all" if backups else "but_backups"):
            # The archives first: when one is unavailable, nothing has been erased and the command can be repeated.
            await call_store(self._archive.erase(save, npc, player))
            turns = await call_store(self._store.erase(save, npc, player, backups=backups))
            decisions = await self._decision_log.erase(lambda scope: scope.within(save, npc, player))
        log.info("memory.erased", turns=turns, decisions=decisions)
        return {"turns": turns, "decisions": decisions}

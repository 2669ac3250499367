"""Operations on the whole store: backup, restore, check, reset and erasure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from rfsn_core.admin.archiving import Archiving
from rfsn_core.admin.pause import SavePauses
from rfsn_core.contract.errors import BadMessage, NotFound
from rfsn_core.contract.storage import Backup, Scope, Scopes, Store, UndoesTurns
from rfsn_core.conversation.registry import Conversations
from rfsn_core.conversation.store_access import call_store
from rfsn_core.learning.records import Operation
from rfsn_core.learning.turn_log import TurnLog
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.telemetry.logs import logger

log = logger("memory")

PAGE = 500
"""Turns that are stored at once when the store is made again."""


class Maintenance:
    """Operations on the whole store, and on the files of each server. All raise StoreError."""

    def __init__(
        self, runtimes: Runtimes, conversations: Conversations, pauses: SavePauses, turn_log: TurnLog,
        archiving: Archiving,
    ) -> None:  # fmt: skip
        self._runtimes, self._conversations, self._pauses = runtimes, conversations, pauses
        self._log, self._archiving = turn_log, archiving

    @property
    def _store(self) -> Store:
        return self._runtimes.current.store

    async def stats(self, npc: str) -> dict[str, Any]:
        """Return counts and times of an NPC's memory. Raises UnknownNpc."""
        await self._conversations.stored()
        return dict(await call_store(self._store.stats(self._runtimes.current.world.npc(npc).id)))

    async def check(self) -> Sequence[str]:
        """Read everything and return a description of each damaged part; empty when nothing is damaged."""
        return await call_store(self._store.check())

    async def backup(self) -> Backup:
        """Copy the whole store while it is in use."""
        await self._conversations.stored()
        return await call_store(self._store.backup())

    async def backups(self) -> Sequence[Backup]:
        """Return the backups, newest first."""
        return await call_store(self._store.backups())

    async def restore(self, name: str) -> None:
        """Replace the store's content by a backup, after a backup of what it holds now. Raises NotFound."""
        await self._conversations.stored()
        async with self._pauses.paused("", "", "", "cancelled") as resume:
            await self._conversations.log_operation("restore", tag=name)
            await call_store(self._store.restore(name))
            resume.discard_waiting = True
        log.info("backup.restored", backup=name)

    async def reset(self, name: str) -> Backup:
        """Make an NPC forget everyone, after a backup. Raises UnknownNpc."""
        npc = self._runtimes.current.world.npc(name)
        async with self._pauses.paused("", npc.id, "", "cancelled") as resume:
            await self._conversations.log_operation("reset", npc=npc.id)
            backup = await call_store(self._store.reset(npc.id))
            resume.discard_waiting = True
            return backup

    async def erase(self, save: str, npc: str, player: str, *, backups: bool) -> dict[str, int]:
        """Erase an NPC, a player, a save, or their intersection, from the store, the archives and the log.

        Returns how many turns and decisions were erased. Raises BadMessage when nothing is named.
        """
        if not (save or npc or player):
            raise BadMessage("name a save, an NPC or a player", hint="To make an NPC forget everyone: reset")
        await self._conversations.stored()
        async with self._pauses.paused(save, npc, player, "cancelled", erase="all" if backups else "but_backups"):
            await self._conversations.stored()
            # The archives first: when one is unavailable, nothing has been erased and the command can be repeated.
            async with self._archiving.erased(save, npc, player):
                turns = await call_store(self._store.erase(save, npc, player, backups=backups))
                decisions = await self._log.erase(Scopes(save, npc, player))
        if player:  # what the gate keeps of a player for review has neither save nor NPC to go by
            await asyncio.to_thread(self._runtimes.oversight.book.forget, player)
        log.info("memory.erased", turns=turns, decisions=decisions)
        return {"turns": turns, "decisions": decisions}

    async def rebuild(self) -> int:
        """Make the store again from the log, after a backup of what it holds now; return how many turns it has.

        Raises BadMessage when the log does not go back to the first turn.
        """
        first = await self._log.first_line()
        if first != 1:
            hint = "Older lines were removed, as `log.keep_days` says. `rfsn memory restore` brings back a backup"
            raise BadMessage(f"the log begins with line {first}", hint=hint)
        await self._conversations.stored()
        async with self._pauses.paused("", "", "", "cancelled") as resume:
            await self._conversations.stored()
            await call_store(self._store.backup())
            await call_store(self._store.erase("", "", "", backups=False))
            turns = await self._replay(await self._log.operations())
            resume.discard_waiting = True
        log.info("store.rebuilt", turns=turns)
        return turns

    async def _replay(self, operations: list[Operation]) -> int:
        """Do again what the log holds: turns, and between them the operations on whole saves."""
        count, position = 0, 0
        waiting = [operation for operation in operations if operation.name != "erase"]
        while turns := await self._log.turns(position, PAGE):
            while turns:
                until = waiting[0].after if waiting else turns[-1].seq
                part = [numbered for numbered in turns if numbered.seq <= until]
                await self._runtimes.current.store_access.append([numbered.turn for numbered in part])
                count, turns = count + len(part), turns[len(part) :]
                position = part[-1].seq if part else position
                if turns:
                    await self._repeat(waiting.pop(0))
        for operation in waiting:
            await self._repeat(operation)
        return count

    async def _repeat(self, operation: Operation) -> None:
        store = self._store
        try:
            match operation.name:
                case "snapshot":
                    await call_store(store.snapshot(operation.save, operation.tag))
                case "rollback":
                    await call_store(store.rollback(operation.save, operation.tag))
                case "reset":
                    await call_store(store.reset(operation.npc))
                case "undo" if isinstance(store, UndoesTurns):
                    scope = Scope(operation.save, operation.npc, operation.player)
                    await call_store(store.undo(scope, operation.tag))
                case "restore":
                    await call_store(store.restore(operation.tag))
        except NotFound as error:  # it failed then, too, or its backup was deleted since
            log.warning("store.operation_skipped", operation=operation.name, error=str(error))

"""Pauses of a save on all servers that share a store.

A server that rolls back or erases a save first pauses it on every server: it appends a notice to the shared store and
waits until each server has ended the affected turns and acknowledged the notice. After the work it appends a second
notice, and the others resume. A server that does not acknowledge in time is not waited for: the store refuses its late
writes (`StaleSave`), and it handles the notices when it reads them.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from rfsn_core.admin.archiving import Archiving
from rfsn_core.admin.notices import GateNotice, PauseNotice, ResumeNotice, ScopeFilter, decode
from rfsn_core.contract.errors import RfsnError, contained
from rfsn_core.contract.shared_storage import Notices, SharedStore
from rfsn_core.contract.storage import Scopes
from rfsn_core.conversation.registry import Conversations
from rfsn_core.kit.files import replace_file
from rfsn_core.learning.turn_log import TurnLog
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.telemetry.logs import logger

log = logger("pause")

POLL_SECONDS = 0.25
"""Time between two reads of the notices."""
ALIVE_SECONDS = 2.0
"""A server that has not read the notices for so long is not waited for."""
ACKNOWLEDGE_SECONDS = 3.0
"""Time limit for the other servers to acknowledge a pause."""
LOST_SECONDS = 10.0
"""A pause ends by itself when the server that asked for it has not read the notices for so long."""


class SavePauses:
    """Pauses saves on all servers, and takes part in the pauses of others.

    :param folder: this server's data folder, for the position up to which it has read the notices.
    """

    def __init__(
        self, runtimes: Runtimes, conversations: Conversations, turn_log: TurnLog, archiving: Archiving,
        folder: Path,
    ) -> None:  # fmt: skip
        self._runtimes, self._conversations = runtimes, conversations
        self._log, self._archiving = turn_log, archiving
        self._position_file = folder / "notices"
        self._server = uuid.uuid4().hex
        self._position: tuple[SharedStore, str] | None = None
        self._remote: dict[str, RemotePause] = {}
        """Pauses of other servers, by id."""
        self._finished: deque[str] = deque(maxlen=100)
        """Ids of pauses that are over."""
        self._unsent: list[bytes] = []
        """Notices that could not be appended yet."""
        self._unavailable = False

    # ── pausing others ───────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def paused(
        self, save: str, npc: str, player: str, reason: str, *, erase: Literal["", "all", "but_backups"] = ""
    ) -> AsyncIterator[ResumeNotice]:
        """Pause the selected conversations on every server; an empty text selects all.

        Running turns there are cancelled, new ones wait, and afterwards the conversations are read from the store
        again. Yields the notice that ends the pause, for the caller to fill in. Raises what the store raises.

        :param reason: sent to clients whose turns are cancelled.
        :param erase: whether the other servers erase these conversations from their own files.
        """
        resume = ResumeNotice(id=uuid.uuid4().hex)
        async with self._conversations.paused(Scopes(save, npc, player), reason):
            shared = self._runtimes.current.shared_store
            if shared is None:
                yield resume
                return
            pause = PauseNotice(
                id=resume.id, server=self._server, time=time.time(), scopes=ScopeFilter.of(save, npc, player),
                reason=reason, erase=erase,
            )  # fmt: skip
            try:
                with contained():
                    position = await shared.notices.append(msgspec.json.encode(pause))
                    await self._wait_for_others(shared.notices, position)
                yield resume
            finally:
                self._unsent.append(msgspec.json.encode(resume))  # the others wait for it as long as this server lives
                try:
                    await self._send_unsent(shared.notices)
                except Exception as error:  # noqa: BLE001  the store's code; `follow` tries again
                    log.warning("pause.resume_not_sent", error=repr(error))

    def tell(self, change: dict[str, Any]) -> None:
        """Tell the other servers what an operator changed of the gate; nothing happens when no store is shared."""
        if self._runtimes.current.shared_store is not None:
            notice = GateNotice(id=uuid.uuid4().hex, server=self._server, change=change)
            self._unsent.append(msgspec.json.encode(notice))

    async def _send_unsent(self, notices: Notices) -> None:
        while self._unsent:
            notice = self._unsent.pop(0)
            try:
                with contained():
                    await notices.append(notice)
            except BaseException:
                self._unsent.insert(0, notice)
                raise

    async def _wait_for_others(self, notices: Notices, position: str) -> None:
        """Wait until all servers that are alive have acknowledged the notice at a position."""
        deadline = time.monotonic() + ACKNOWLEDGE_SECONDS
        while late := [server for server in await notices.behind(position, ALIVE_SECONDS) if server != self._server]:
            if time.monotonic() > deadline:
                log.warning("pause.not_acknowledged", servers=len(late), seconds=ACKNOWLEDGE_SECONDS)
                return
            await asyncio.sleep(POLL_SECONDS / 5)

    # ── being paused ─────────────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """Handle the notices that were appended while this server was not running."""
        await self._poll()

    async def follow(self) -> None:
        """Handle notices until cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self._poll()

    async def close(self) -> None:
        """End all pauses and deregister from the shared store, so that no server waits for this one."""
        for pause in self._remote.values():
            pause.task.cancel()
        shared = self._runtimes.current.shared_store
        if shared is not None:
            try:
                with contained():
                    await shared.notices.deregister(self._server)
            except Exception as error:  # noqa: BLE001  the store's code; the store forgets this server after a while
                log.info("server.deregister_failed", error=repr(error))

    async def _poll(self) -> None:
        shared = self._runtimes.current.shared_store
        if shared is None:
            self._position = None
            return
        try:
            with contained():
                if self._position is None or self._position[0] is not shared:
                    saved = self._load_position()
                    self._set_position(shared, await shared.notices.last_position() if saved is None else saved)
                assert self._position is not None
                await self._send_unsent(shared.notices)
                for position, line in await shared.notices.read(self._server, self._position[1]):
                    await self._handle(line)
                    self._set_position(shared, position)
            self._unavailable = False
        except Exception as error:  # noqa: BLE001  the store's code, or the disk; the next poll tries again
            if not self._unavailable:
                log.warning("notices.unavailable", error=repr(error))
            self._unavailable = True

    def _load_position(self) -> str | None:
        return self._position_file.read_text("utf-8") if self._position_file.exists() else None

    def _set_position(self, shared: SharedStore, position: str) -> None:
        self._position = shared, position
        with replace_file(self._position_file, sync=False) as file:
            file.write(position.encode())

    async def _handle(self, line: bytes) -> None:
        """Handle a notice; returns when it can be acknowledged."""
        try:
            notice = decode(line)
        except msgspec.MsgspecError as error:
            log.error("notices.invalid", error=str(error), hint="Do all servers run the same version of RFSN?")
            return
        if isinstance(notice, GateNotice):
            if notice.server != self._server and notice.id not in self._finished:
                self._finished.append(notice.id)
                await self._runtimes.oversight.follow(notice.change, self._runtimes.current.embed)
            return
        pause = self._remote.get(notice.id)
        if isinstance(notice, ResumeNotice):
            self._finished.append(notice.id)
            if pause is not None and not pause.resumed.done():
                pause.resumed.set_result(notice)
                if notice.rolled_back is not None:
                    self._runtimes.announcements.send(notice.rolled_back)
        elif notice.server != self._server and pause is None and notice.id not in self._finished:
            # A notice can be in the log twice, when the first attempt to append it seemed to fail.
            pause = self._remote[notice.id] = RemotePause(notice)
            pause.task = asyncio.create_task(self._run(pause), name="pause for another server")
            await pause.started

    async def _run(self, pause: RemotePause) -> None:
        """Pause for another server, from its first notice to its second."""
        notice = pause.notice

        try:
            async with self._conversations.paused(notice.scopes, notice.reason):
                if notice.erase:
                    await self._erase_own_files(pause)
                pause.started.set_result(None)
                resume = await self._wait_for_resume(pause)
                if resume is not None and resume.discard_waiting:
                    follower = self._conversations.follower
                    async with follower.lock:
                        await self._log.discard(notice.scopes, notice.time, follower.position)
        except Exception as error:
            if pause.started.done():
                raise
            pause.started.set_exception(error)
        finally:
            self._remote.pop(notice.id, None)

    async def _wait_for_resume(self, pause: RemotePause) -> ResumeNotice | None:
        """Return the notice that ends a pause, or None when the server that asked for it is lost."""
        deadline = time.monotonic() + LOST_SECONDS
        while time.monotonic() < deadline:
            try:
                async with asyncio.timeout(LOST_SECONDS / 10):
                    return await asyncio.shield(pause.resumed)
            except TimeoutError:
                shared = self._runtimes.current.shared_store
                with suppress(RfsnError), contained():
                    if shared is not None and await shared.notices.is_alive(pause.notice.server, LOST_SECONDS / 2):
                        deadline = time.monotonic() + LOST_SECONDS
        log.warning("pause.server_lost", server=pause.notice.server)
        return None

    async def _erase_own_files(self, pause: RemotePause) -> None:
        """Erase the affected turns from the log, and from backups if asked."""
        notice = pause.notice
        async with self._archiving.follower.lock, self._conversations.follower.lock:
            decisions = await self._log.erase(notice.scopes, notice.time)
        if (shared := self._runtimes.current.shared_store) is not None and notice.erase == "all":
            await shared.scrub(notice.scopes, notice.time)
        log.info("memory.erased", decisions=decisions, asked_by=notice.server)


class RemotePause:
    """A pause that another server asked for: requested, then started, then resumed or lost."""

    task: asyncio.Task[None]

    def __init__(self, notice: PauseNotice) -> None:
        loop = asyncio.get_running_loop()
        self.notice = notice
        self.started: asyncio.Future[None] = loop.create_future()
        """Done when the affected turns have ended, which acknowledges the notice."""
        self.resumed: asyncio.Future[ResumeNotice] = loop.create_future()

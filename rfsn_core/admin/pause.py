"""What servers that share a store do together: whoever takes a save back, or erases, has all of them pause for it.

The one that begins tells the others and waits until each of them has ended the turns that are concerned; then it
works, and tells them to go on. One that does not answer is not waited for: what it writes later is refused by the
store (`StaleSave`), and what it missed it does when it reads on.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

import msgspec

from rfsn_core import protocol
from rfsn_core.admin.archive_queue import ArchiveQueue
from rfsn_core.contract.errors import RfsnError, contained
from rfsn_core.contract.shared_storage import Notices, SharedStore
from rfsn_core.contract.storage import Scope, TurnRecord
from rfsn_core.conversation.registry import Conversations
from rfsn_core.kit.files import replacing
from rfsn_core.learning.decision_log import DecisionLog
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.telemetry.logs import logger

log = logger("coordination")

LOOK_EVERY = 0.25
"""Seconds between two looks for what others tell."""
PRESENT = 2.0
"""Seconds without a look, and a server is not waited for."""
PATIENCE = 3.0
"""Seconds that servers are waited for."""
LOST = 10.0
"""Seconds without a look, and whoever asked for a pause has died."""


class Selection(msgspec.Struct, frozen=True):
    """Some scopes, by digests of their names: what is erased must not stand in the notice of it."""

    salt: str
    save: str
    npc: str
    player: str

    def __call__(self, scope: Scope) -> bool:
        """Whether a scope is one of them."""
        return all(
            wanted in ("", _digest(self.salt, name))
            for wanted, name in ((self.save, scope.save), (self.npc, scope.npc), (self.player, scope.player))
        )


def selection(save: str, npc: str, player: str) -> Selection:
    """Scopes by name; an empty text selects all."""
    salt = uuid.uuid4().hex
    return Selection(salt, *(_digest(salt, name) if name else "" for name in (save, npc, player)))


def _digest(salt: str, name: str) -> str:
    return hashlib.blake2b(f"{salt}/{name}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class Pause(msgspec.Struct, frozen=True, kw_only=True, tag="pause"):
    """End what runs in some sessions, begin nothing there, and say when it is so."""

    id: str
    server: str
    time: float
    selected: Selection
    reason: str
    erase: Literal["", "all", "but_backups"]
    """Leave no trace of them either, in what a server keeps for itself."""


class Resume(msgspec.Struct, kw_only=True, tag="resume"):
    """Go on."""

    id: str
    forgotten: bool = False
    """The past of those sessions is another now: what still waits to be stored there is of no save any more."""
    reverted: protocol.SaveReverted | None = None
    """What clients are told."""


_decode = msgspec.json.Decoder(Pause | Resume).decode


class SavePauses:
    """Of one server with the others.

    :param folder: of this server; where it notes how far it has read.
    """

    def __init__(
        self,
        runtimes: Runtimes,
        conversations: Conversations,
        decision_log: DecisionLog,
        archive: ArchiveQueue,
        folder: Path,
    ) -> None:
        self._runtimes, self._sessions = runtimes, conversations
        self._journal, self._archive = decision_log, archive
        self._file = folder / "notices"
        self._server = uuid.uuid4().hex
        self._position: tuple[SharedStore, str] | None = None
        self._resumed: dict[str, asyncio.Future[Resume]] = {}
        self._past: deque[str] = deque(maxlen=100)
        """Pauses that are over."""
        self._holding: set[asyncio.Task[None]] = set()
        self._untold: list[bytes] = []
        """Notices that the others have still to be told."""
        self._away = False

    # ── asking others ────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def paused(
        self, save: str, npc: str, player: str, reason: str, *, erase: Literal["", "all", "but_backups"] = ""
    ) -> AsyncIterator[Resume]:
        """No turn runs or begins in the selected sessions, on any server; an empty text selects all. They are read
        anew afterwards. Yields what the others are told in the end. Raises what the store's code raises.

        :param reason: why the turns that run end.
        :param erase: the other servers leave no trace of them in what they keep for themselves.
        """
        resume = Resume(id=uuid.uuid4().hex)
        async with self._sessions.paused(lambda scope: scope.within(save, npc, player), reason):
            shared = self._runtimes.current.shared_store
            if shared is None:
                yield resume
                return
            pause = Pause(
                id=resume.id, server=self._server, time=time.time(), selected=selection(save, npc, player),
                reason=reason, erase=erase,
            )  # fmt: skip
            try:
                with contained():
                    position = await shared.notices.tell(msgspec.json.encode(pause))
                    await self._all_heeded(shared.notices, position)
                yield resume
            finally:
                self._untold.append(msgspec.json.encode(resume))  # as long as we are there, they wait for it
                try:
                    await self._tell_the_rest(shared.notices)
                except Exception as error:  # noqa: BLE001  the store's code: it is told later
                    log.warning("the other servers cannot be told to go on", error=repr(error))

    async def _tell_the_rest(self, notices: Notices) -> None:
        while self._untold:
            notice = self._untold.pop(0)
            try:
                with contained():
                    await notices.tell(notice)
            except BaseException:
                self._untold.insert(0, notice)
                raise

    async def _all_heeded(self, notices: Notices, position: str) -> None:
        until = time.monotonic() + PATIENCE
        while late := [each for each in await notices.behind(position, PRESENT) if each != self._server]:
            if time.monotonic() > until:
                log.warning("other servers do not answer, and are not waited for", servers=len(late))
                return
            await asyncio.sleep(LOOK_EVERY / 5)

    # ── being asked ──────────────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """Do what was missed while this server was away."""
        await self._look()

    async def follow(self) -> None:
        """Do what others ask for, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self._look()

    async def close(self) -> None:
        """Nobody waits for this server any more."""
        for task in self._holding:
            task.cancel()
        shared = self._runtimes.current.shared_store
        if shared is not None:
            try:
                with contained():
                    await shared.notices.leave(self._server)
            except Exception as error:  # noqa: BLE001  the store's code: it forgets us by itself
                log.info("could not take leave of the other servers", error=repr(error))

    async def _look(self) -> None:
        shared = self._runtimes.current.shared_store
        if shared is None:
            self._position = None
            return
        try:
            with contained():
                if self._position is None or self._position[0] is not shared:
                    noted = self._noted()
                    self._position = shared, await shared.notices.newest() if noted is None else noted
                    self._note(self._position[1])
                await self._tell_the_rest(shared.notices)
                for position, line in await shared.notices.told(self._server, self._position[1]):
                    await self._heed(line)
                    self._position = shared, position
                    self._note(position)
            self._away = False
        except Exception as error:  # noqa: BLE001  the store's code, or the disk: it is looked for again
            if not self._away:
                log.warning("what other servers tell cannot be read", error=repr(error))
            self._away = True

    def _noted(self) -> str | None:
        return self._file.read_text("utf-8") if self._file.exists() else None

    def _note(self, position: str) -> None:
        with replacing(self._file, sync=False) as file:
            file.write(position.encode())

    async def _heed(self, line: bytes) -> None:
        try:
            notice = _decode(line)
        except msgspec.MsgspecError as error:
            log.error("what another server tells cannot be read; another version's?", error=str(error))
            return
        held = self._resumed.get(notice.id)
        if isinstance(notice, Resume):
            self._past.append(notice.id)
            if held is not None and not held.done():
                held.set_result(notice)
                if notice.reverted is not None:
                    self._runtimes.announce(notice.reverted)
        elif notice.server != self._server and held is None and notice.id not in self._past:
            # Else it was told twice, by one who did not know that it was told.
            loop = asyncio.get_running_loop()
            over = self._resumed[notice.id] = loop.create_future()
            paused: asyncio.Future[None] = loop.create_future()
            task = asyncio.create_task(self._hold(notice, paused, over), name="pause for another server")
            self._holding.add(task)
            task.add_done_callback(self._holding.discard)
            await paused

    async def _hold(self, pause: Pause, paused: asyncio.Future[None], over: asyncio.Future[Resume]) -> None:
        def gone(turn: TurnRecord) -> bool:
            return turn.time <= pause.time and pause.selected(turn.scope)

        try:
            async with self._sessions.paused(pause.selected, pause.reason):
                if pause.erase:
                    await self._leave_no_trace(pause, gone)
                paused.set_result(None)
                resume = await self._until(over, pause.server)
                if resume is not None and resume.forgotten:
                    await self._sessions.spool.drop(gone)
        except Exception as error:
            if paused.done():
                raise
            paused.set_exception(error)
        finally:
            self._resumed.pop(pause.id, None)

    async def _until(self, over: asyncio.Future[Resume], server: str) -> Resume | None:
        """Until a pause is over, or the server that asked for it is lost."""
        until = time.monotonic() + LOST
        while time.monotonic() < until:
            try:
                async with asyncio.timeout(LOST / 10):
                    return await asyncio.shield(over)
            except TimeoutError:
                shared = self._runtimes.current.shared_store
                with suppress(RfsnError), contained():
                    if shared is not None and await shared.notices.present(server, LOST / 2):
                        until = time.monotonic() + LOST
        log.warning("the server that asked for a pause says no more; turns go on")
        return None

    async def _leave_no_trace(self, pause: Pause, gone: Callable[[TurnRecord], bool]) -> None:
        await self._sessions.spool.drop(gone)
        await self._archive.drop(gone)
        decisions = await self._journal.erase(pause.selected, pause.time)
        if (shared := self._runtimes.current.shared_store) is not None and pause.erase == "all":
            await shared.scrub(gone)
        log.info("another server erased; what was kept here is gone too", decisions=decisions)

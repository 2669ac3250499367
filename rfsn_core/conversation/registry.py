"""The sessions in memory: which are held, what waits its turn in them, and what the store has still to be told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from rfsn_core.contract.errors import contained
from rfsn_core.contract.storage import Scope, TurnRecord
from rfsn_core.conversation.conversation import Conversation
from rfsn_core.conversation.spool import Spool
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("sessions")

SPOOL_RETRY = 0.5
"""Seconds between attempts to store what was spooled."""
EVICT_EVERY = 60.0
"""Seconds between two looks for idle sessions."""

Selected = Callable[[Scope], bool]


class Conversations:
    """Of one kernel.

    :param spool: where turns wait for a store that is away.
    :param kept: called with each turn that was stored or spooled.
    :param cancel: ends the running turns that are selected, for a reason.
    """

    def __init__(
        self, runtimes: Runtimes, spool: Spool, kept: Callable[[TurnRecord], None],
        cancel: Callable[[Selected, str], None],
    ) -> None:  # fmt: skip
        self._runtimes, self.spool, self._kept, self._cancel = runtimes, spool, kept, cancel
        self._held: dict[Scope, Conversation] = {}
        self._pauses: list[tuple[Selected, asyncio.Future[None]]] = []
        self._replaying: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, scope: Scope) -> Conversation:
        """The session of a scope; what it knows is read when it is first needed."""
        conversation = self._held.pop(scope, None)
        if conversation is None:
            paused = next((over for selected, over in self._pauses if selected(scope)), None)
            conversation = Conversation(scope, self.spool, last=paused, kept=self._kept)
        self._held[scope] = conversation  # last in, so the first is the longest idle
        conversation.used = time.monotonic()
        self._let_go()
        return conversation

    def _let_go(self) -> None:
        """Of sessions that are too many, or idle for too long: they are read again when they are needed."""
        settings = self._runtimes.current.settings
        if self.spool:  # what is spooled cannot be loaded again yet
            return
        late = time.monotonic() - settings.memory.cache_minutes * 60
        over = len(self._held) - settings.world.max_conversations
        gone = []
        for number, (scope, conversation) in enumerate(self._held.items()):  # the longest idle first
            if number >= over and conversation.used > late:
                break
            if conversation.last is None or conversation.last.done():
                gone.append(scope)
        for scope in gone:
            del self._held[scope]
        METRICS.conversations.set(len(self._held))

    async def evict(self) -> None:
        """Let go of idle sessions, for ever."""
        while True:
            await asyncio.sleep(EVICT_EVERY)
            self._let_go()

    def close(self) -> None:
        """What is spooled stays there for the next start."""
        if self._replaying:
            self._replaying.cancel()

    # ── taking turns ─────────────────────────────────────────────────────────────────────────────

    def queue(self, conversation: Conversation, work: Callable[[], Awaitable[Any]], name: str) -> asyncio.Task[Any]:
        """Work that takes its place among the session's turns at once."""
        previous = conversation.last if conversation.last and not conversation.last.done() else None

        async def wait_and_work() -> Any:
            if previous is not None:
                await asyncio.wait([previous])
            with self._runtimes.current.leased():
                try:
                    return await work()
                finally:
                    self.replay_soon()

        conversation.last = asyncio.create_task(wait_and_work(), name=name)
        return conversation.last

    @asynccontextmanager
    async def paused(self, selected: Selected, reason: str) -> AsyncIterator[None]:
        """End the turns of some sessions; those that begin meanwhile wait until it is over, and read all anew."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pauses.append((selected, over))
        try:
            self._cancel(selected, reason)
            ended = [self._held.pop(scope) for scope in list(self._held) if selected(scope)]
            if busy := [
                conversation.last for conversation in ended if conversation.last and not conversation.last.done()
            ]:
                await asyncio.wait(busy)
            yield
        finally:
            self._pauses.remove((selected, over))
            over.set_result(None)

    # ── the spool ────────────────────────────────────────────────────────────────────────────────

    def replay_soon(self) -> None:
        """Store what was spooled, as soon as the store takes it again."""
        if self.spool and self._replaying is None:
            self._replaying = asyncio.create_task(self._replay())

    async def _replay(self) -> None:
        try:
            while self.spool:
                try:
                    done = await self.spool.replay(self._append)
                    log.info("spooled turns are stored", turns=done)
                except Exception as error:  # noqa: BLE001  the store's code: what is spooled stays there
                    log.warning("the store is still away", error=repr(error))
                    await asyncio.sleep(SPOOL_RETRY)
        finally:
            self._replaying = None

    async def _append(self, turn: TurnRecord) -> None:
        runtime = self._runtimes.current
        with contained():
            async with asyncio.timeout(runtime.settings.operations.store_timeout):
                await runtime.store.append(turn)

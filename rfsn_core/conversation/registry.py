"""The conversations in memory, and the store that follows the log of their turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Sequence
from contextlib import asynccontextmanager
from typing import Literal, Protocol, TypeVar

from rfsn_core.contract.errors import StoreError
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.storage import Scope, TurnRecord
from rfsn_core.conversation.background import Background
from rfsn_core.conversation.conversation import Conversation
from rfsn_core.conversation.store_access import StoreAccess
from rfsn_core.learning.log_follower import Follower
from rfsn_core.learning.records import LoggedTurn, Operation
from rfsn_core.learning.turn_log import TurnLog
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("conversations")

BATCH = 64
"""Turns that the store takes at once."""
PAUSE = 0.05
"""Seconds to wait for more turns before the store gets them."""
RETRY = (0.5,)
"""Seconds between attempts while the store is unavailable."""
STORE_WAIT = 3.0
"""Seconds that an operation on stored memory waits for the store to take the turns before it."""
EVICT_EVERY = 60.0
"""Seconds between two looks for idle conversations."""

T = TypeVar("T")


class Runtime(Protocol):
    """What a reload replaces as a whole."""

    @property
    def store_access(self) -> StoreAccess:
        """How to reach the store."""


class CurrentRuntime(Protocol):
    """Holds the runtime that is in use."""

    @property
    def current(self) -> Runtime:
        """The runtime that is in use."""


class Conversations:
    """The conversations of one process.

    :param turn_log: receives each turn.
    """

    def __init__(self, runtimes: CurrentRuntime, turn_log: TurnLog) -> None:
        self._runtimes, self._log = runtimes, turn_log
        self.follower = Follower(
            "store", turn_log, self._store, batch=BATCH, pause=PAUSE, retries=RETRY, skips_stored=True
        )
        self._conversations: dict[Scope, Conversation] = {}  # the longest idle first
        self._pauses: list[tuple[Container[Scope], asyncio.Future[None]]] = []
        self._background = Background()

    def __len__(self) -> int:
        return len(self._conversations)

    def __getitem__(self, scope: Scope) -> Conversation:
        """Return the conversation of a scope; its past is loaded when it is first needed."""
        conversation = self._conversations.pop(scope, None)
        if conversation is None:
            paused = next((over for scopes, over in self._pauses if scope in scopes), None)
            conversation = Conversation(scope, self._log, self.follower, paused)
        self._conversations[scope] = conversation
        conversation.last_used = time.monotonic()
        self._evict()
        return conversation

    def _evict(self) -> None:
        """Remove conversations that are too many or idle for too long: they are loaded again when needed."""
        settings = self._access.settings
        if self.follower.failures:  # what the store lacks cannot be loaded again yet
            return
        idle_since = time.monotonic() - settings.memory.cache_minutes * 60
        excess = len(self._conversations) - settings.world.max_conversations
        evicted = []
        for number, (scope, conversation) in enumerate(self._conversations.items()):
            if number >= excess and conversation.last_used > idle_since:
                break
            if not conversation.busy:
                evicted.append(scope)
        for scope in evicted:
            del self._conversations[scope]
        METRICS.conversations.set(len(self._conversations))

    async def evict(self) -> None:
        """Remove idle conversations from time to time, until cancelled."""
        while True:
            await asyncio.sleep(EVICT_EVERY)
            self._evict()

    async def close(self) -> None:
        """Wait for what happens in the background."""
        await self._background.wait(5)

    @property
    def _access(self) -> StoreAccess:
        return self._runtimes.current.store_access

    # ── work in a conversation ───────────────────────────────────────────────────────────────────

    def queue(self, conversation: Conversation, work: Callable[[], Awaitable[T]], name: str) -> asyncio.Task[T]:
        """Start work that takes its place among the conversation's turns at once."""

        async def leased_work() -> T:
            with self._access.leases.held():
                return await work()

        return conversation.start(leased_work, name)

    def prefetch(self, scope: Scope, initial: NpcState) -> asyncio.Task[None] | None:
        """Load a conversation, if it is not loaded. The task raises StoreError."""
        conversation = self[scope]
        if conversation.state is not None:
            return None

        async def load() -> None:
            await conversation.load(self._access, initial)
            self.index_soon(conversation)  # a turn need not wait for that

        return self.queue(conversation, load, "prefetch")

    def index_soon(self, conversation: Conversation) -> None:
        """Bring a conversation's embedding index up to date in the background."""
        self._background.start(self.update_index(conversation))

    async def update_index(self, conversation: Conversation) -> None:
        """Bring a conversation's embedding index up to date; a failure is only logged."""
        access = self._access
        try:
            with access.leases.held():
                await conversation.index(access)
        except Exception as error:  # noqa: BLE001  the embedder's code, or the store's: words are enough
            METRICS.errors.labels("embedding").inc()
            log.warning("index.failed", npc=conversation.scope.npc, error=repr(error))

    @asynccontextmanager
    async def paused(self, scopes: Container[Scope], reason: str) -> AsyncIterator[None]:
        """End the turns of some conversations. Turns that begin meanwhile wait for the end of the block, and load."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pauses.append((scopes, over))
        try:
            removed = [self._conversations.pop(scope) for scope in list(self._conversations) if scope in scopes]
            for conversation in removed:
                for turn in list(conversation.turns):
                    turn.cancel(reason)
            if work := [work for conversation in removed for work in conversation.unfinished]:
                await asyncio.wait(work)
            yield
        finally:
            self._pauses.remove((scopes, over))
            over.set_result(None)

    # ── the store ────────────────────────────────────────────────────────────────────────────────

    async def stored(self) -> None:
        """Wait until the store has all turns of the log. Raises StoreError after `STORE_WAIT` seconds."""
        await self.follower.caught_up(STORE_WAIT)

    async def flush(self) -> None:
        """Wait a while until the store has all turns, when the server stops."""
        try:
            await self.stored()
        except StoreError:
            log.warning("store.flush_timeout", hint="Turns wait in the log; the store gets them at the next start")

    async def import_turns(self, turns: Sequence[TurnRecord]) -> None:
        """Log turns that happened elsewhere; the store gets them from there. Raises StoreError."""
        await self._log.append(*(LoggedTurn(turn=turn) for turn in turns))

    async def log_operation(
        self, name: Literal["snapshot", "rollback", "restore", "reset"], *, save: str = "", npc: str = "", tag: str = ""
    ) -> None:
        """Log what is about to be done with a whole save, when the store has all turns before it. Raises StoreError."""
        await self.stored()
        after = self.follower.position
        await self._log.append(Operation(name=name, time=time.time(), after=after, save=save, npc=npc, tag=tag))

    async def _store(self, turns: Sequence[TurnRecord]) -> None:
        """Hand turns to the store. Raises what it raises."""
        access = self._access
        try:
            with access.leases.held():
                await access.append(turns)
        except Exception as error:
            if not self.follower.failures:
                METRICS.errors.labels("storage").inc()
                log.error("store.unavailable", error=repr(error), hint="Turns wait in the log")
            METRICS.waiting.set(self.follower.waiting)
            raise
        if self.follower.failures:
            log.info("store.available", hint="It takes the turns that waited")
            METRICS.waiting.set(0)

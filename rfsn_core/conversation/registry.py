"""The conversations in memory, and the replay of spooled turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from rfsn_core.contract.errors import StoreError
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.storage import Scope
from rfsn_core.conversation.background import Background
from rfsn_core.conversation.conversation import Conversation, TurnQueue
from rfsn_core.conversation.spool import Spool
from rfsn_core.conversation.store_access import StoreAccess
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("conversations")

SPOOL_RETRY = 0.5
"""Seconds between attempts to store what was spooled."""
SPOOL_WAIT = 3.0
"""Seconds that an operation on a whole save waits for the store to take the spooled turns."""
EVICT_EVERY = 60.0
"""Seconds between two looks for idle conversations."""

Selected = Callable[[Scope], bool]
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

    :param spool: where turns wait for an unavailable store.
    :param archive: receives each turn that was stored or spooled.
    """

    def __init__(self, runtimes: CurrentRuntime, spool: Spool, archive: TurnQueue) -> None:
        self._runtimes, self.spool, self._archive = runtimes, spool, archive
        self._conversations: dict[Scope, Conversation] = {}  # the longest idle first
        self._pauses: list[tuple[Selected, asyncio.Future[None]]] = []
        self._replaying: asyncio.Task[None] | None = None
        self._background = Background()

    def __len__(self) -> int:
        return len(self._conversations)

    def __getitem__(self, scope: Scope) -> Conversation:
        """Return the conversation of a scope; its past is loaded when it is first needed."""
        conversation = self._conversations.pop(scope, None)
        if conversation is None:
            paused = next((over for selected, over in self._pauses if selected(scope)), None)
            conversation = Conversation(scope, self.spool, self._archive, paused)
        self._conversations[scope] = conversation
        conversation.last_used = time.monotonic()
        self._evict()
        return conversation

    def _evict(self) -> None:
        """Remove conversations that are too many or idle for too long: they are loaded again when needed."""
        settings = self._access.settings
        if self.spool:  # what is spooled cannot be loaded again yet
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
        """Stop replaying; what is spooled stays there for the next start."""
        if self._replaying:
            self._replaying.cancel()
        await self._background.wait(5)

    @property
    def _access(self) -> StoreAccess:
        return self._runtimes.current.store_access

    # ── work in a conversation ───────────────────────────────────────────────────────────────────

    def queue(self, conversation: Conversation, work: Callable[[], Awaitable[T]], name: str) -> asyncio.Task[T]:
        """Start work that takes its place among the conversation's turns at once."""

        async def leased_work() -> T:
            with self._access.leases.held():
                try:
                    return await work()
                finally:
                    self.replay_soon()

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
    async def paused(self, selected: Selected, reason: str) -> AsyncIterator[None]:
        """End the turns of some conversations. Turns that begin meanwhile wait for the end of the block, and load."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pauses.append((selected, over))
        try:
            removed = [self._conversations.pop(scope) for scope in list(self._conversations) if selected(scope)]
            for conversation in removed:
                for turn in list(conversation.turns):
                    turn.cancel(reason)
            if work := [work for conversation in removed for work in conversation.unfinished]:
                await asyncio.wait(work)
            yield
        finally:
            self._pauses.remove((selected, over))
            over.set_result(None)

    # ── the spool ────────────────────────────────────────────────────────────────────────────────

    def replay_soon(self) -> None:
        """Store the spooled turns as soon as the store is available."""
        if self.spool and self._replaying is None:
            self._replaying = asyncio.create_task(self._replay())

    async def wait_for_spool(self) -> None:
        """Wait until the store has taken all spooled turns. Raises StoreError after `SPOOL_WAIT` seconds."""
        self.replay_soon()
        deadline = time.monotonic() + SPOOL_WAIT
        while self.spool:
            if time.monotonic() > deadline:
                raise StoreError("turns wait for the store", hint="Try again when the store is available")
            await asyncio.sleep(0.05)

    async def _replay(self) -> None:
        try:
            while self.spool:
                try:
                    turns = await self.spool.replay(lambda turn: self._access.append(turn))
                    log.info("spool.replayed", turns=turns)
                except Exception as error:  # noqa: BLE001  the store's code: what is spooled stays there
                    log.warning("spool.replay_failed", error=repr(error))
                    await asyncio.sleep(SPOOL_RETRY)
        finally:
            self._replaying = None

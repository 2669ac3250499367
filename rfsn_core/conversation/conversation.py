"""A session, one NPC with one player, and what is asked of it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import msgspec

from rfsn_core.contract.errors import StaleSave, StoreError, VersionConflict, contained
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.storage import MemoryRecord, Past, Scope, SearchHit, Store, TurnRecord
from rfsn_core.conversation.embedding_index import EmbeddingIndex
from rfsn_core.conversation.spool import Spool
from rfsn_core.memory.beliefs import latest, working_set
from rfsn_core.memory.cards import Card
from rfsn_core.memory.update import MemoryRules, MemoryUpdate
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn.runtime import Runtime

log = logger("turn")

PLACING = 30.0
"""Seconds for placing a conversation by meaning; nobody waits for it."""
T = TypeVar("T")


@dataclass
class Conversation:
    """One NPC with one player in one world, while it is in memory."""

    scope: Scope
    spool: Spool
    """Where turns wait for a store that is away."""
    state: NpcState | None = None
    """None until it was loaded."""
    memories: dict[str, MemoryRecord] = field(default_factory=dict)
    """By id, the newest version of what the NPC knows of the player."""
    card: Card = field(default_factory=Card)
    _from: Store | None = None
    """Where what is held was read."""
    _near: EmbeddingIndex | None = None
    _taken: int = 0
    """How often what is held was read from the store."""
    kept: Callable[[TurnRecord], None] = lambda turn: None
    """Called with each turn that was stored or spooled."""
    version: str = ""
    """Of what is held, in a shared store."""
    used: float = field(default_factory=time.monotonic)
    """When it was asked for last."""
    recent: deque[TurnRecord] = field(default_factory=lambda: deque(maxlen=50))
    last: asyncio.Future[Any] | None = None
    """The newest turn or game event, which the next one waits for."""
    waiting: int = 0

    @property
    def last_decision(self) -> str:
        """The newest that was stored; empty when there is none."""
        return next((turn.decision_id for turn in reversed(self.recent) if turn.decision_id), "")

    async def load(self, runtime: Runtime, initial: NpcState) -> NpcState:
        """The NPC's state; read from the store on first use, and when another server has gone on. Raises StoreError."""
        store, turns = runtime.store, _wanted(runtime)
        if self.state is None or self._from is not store:  # or the settings name another store now
            self._take(await self._in_time(runtime, store.load(self.scope, turns)), initial)
            self._from = store
        elif (shared := runtime.shared_store) is not None:
            try:
                past = await self._in_time(runtime, shared.newer(self.scope, turns, self.version))
            except Exception as error:  # noqa: BLE001  the store's code: what is held here is good enough to go on
                METRICS.errors.labels("storage").inc()
                log.warning("the shared store does not answer; the turn goes on with what is held", error=repr(error))
            else:
                if past is not None:
                    self._take(past, initial)
        assert self.state is not None
        return self.state

    async def _in_time(self, runtime: Runtime, call: Awaitable[T]) -> T:
        patience = runtime.settings.operations.store_timeout
        try:
            with contained():
                async with asyncio.timeout(patience):
                    return await call
        except TimeoutError:
            raise StoreError(f"the store did not answer in {patience:g} s") from None

    def _take(self, past: Past, initial: NpcState) -> None:
        """What the store has becomes what is held. Raises StoreError when it cannot be used."""
        try:
            card, state = Card.from_plain(past.card), initial
            if past.state is not None:
                state = NpcState.from_plain(past.state)
            turns, memories = list(past.turns), working_set(latest(past.memories))
        except (msgspec.MsgspecError, ValueError, TypeError, AttributeError) as error:
            hint = f"POST /api/memory/{self.scope.npc}/safe_reset starts anew, after a backup"
            raise StoreError(f"the stored past of {self.scope} cannot be used: {error}", hint=hint) from error
        self.card, self.state, self.version = card, state, past.version
        self._near, self._taken = None, self._taken + 1
        self.recent.clear()
        self.recent.extend(turns)
        self.memories = {memory.memory_id: memory for memory in memories}

    async def by_meaning(self, runtime: Runtime, text: str, limit: int) -> list[SearchHit]:
        """Turns that say something like it; none before `place` was called. Raises what the embedder's code raises."""
        if self._near is None or self._near.embedder is not runtime.embedder:
            return []
        with contained():
            async with asyncio.timeout(runtime.settings.embedding.seconds):
                return await self._near.search(text, limit)

    async def place(self, runtime: Runtime) -> None:
        """Bring what is found by meaning up to date, if it is found so at all; not while somebody waits."""
        embedder, most = runtime.embedder, runtime.settings.embedding.turns
        if embedder is None:
            self._near = None
            return
        near, turns, taken = self._near, list(self.recent), self._taken
        if near is None or near.embedder is not embedder or near.most != most:
            near = EmbeddingIndex(embedder, most)
            turns = list((await self._in_time(runtime, runtime.store.load(self.scope, most))).turns)
        with contained():
            async with asyncio.timeout(PLACING):
                await near.add(turns)
        if taken == self._taken:  # else another past was loaded meanwhile
            self._near = near

    def memory_update(self, runtime: Runtime) -> MemoryUpdate:
        """Return an update of what the NPC knows, without changes yet."""
        memory = runtime.settings.memory
        rules = MemoryRules(memory.admitted, memory.single_valued, memory.summary_every)
        return MemoryUpdate(self.memories, self.card, rules)

    async def keep(self, record: TurnRecord, state: NpcState, runtime: Runtime) -> bool:
        """Turn, decision and state, all or nothing. False: spooled on disk, because the store is away.

        Raises StoreError when the disk takes neither; then nothing has changed here either. Raises StaleSave when
        another server took the world back meanwhile.
        """
        durable = not self.spool  # what happened after a spooled turn waits behind it
        if durable:
            try:
                with contained():
                    async with asyncio.timeout(runtime.settings.operations.store_timeout):
                        record, state = await self._append(record, state, runtime)
            except StaleSave:
                self.state = None  # what is held is no more
                raise
            except Exception as error:  # noqa: BLE001  the store's code: nothing acknowledged may be lost
                METRICS.errors.labels("storage").inc()
                log.error("the store is away; the turn is spooled", error=repr(error), spool=str(self.spool.path))
                durable = False
        if not durable:
            await self.spool.append(record)
        self.kept(record)
        if record.spoken:
            self.recent.append(record)
        self.state = state
        if record.card is not None:
            self.card = Card.from_plain(record.card)
        if record.memories:
            known = working_set(latest([*self.memories.values(), *record.memories]))
            self.memories = {memory.memory_id: memory for memory in known}
        return durable

    async def _append(self, record: TurnRecord, state: NpcState, runtime: Runtime) -> tuple[TurnRecord, NpcState]:
        """Stored; and what of it holds, when another server has gone on with the conversation meanwhile."""
        store = runtime.shared_store
        if store is None:
            await runtime.store.append(record)
            return record, state
        while True:
            try:
                self.version = await store.append_after(record, self.version)
            except VersionConflict:
                # The words were said; how the NPC feels is for the one who was first.
                METRICS.overtaken.inc()
                log.warning("another server has gone on with this conversation", npc=self.scope.npc)
                self._take(await store.load(self.scope, _wanted(runtime)), state)
                assert self.state is not None
                record, state = replace(record, state=self.state.plain(), card=None), self.state
            else:
                return record, state


def _wanted(runtime: Runtime) -> int:
    """Turns to load: one at least, for its decision, where a prompt takes none."""
    return max(1, runtime.settings.memory.recent)

"""One NPC with one player in one save, while it is in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from rfsn_core.contract.errors import StaleSave, VersionConflict
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.provider_call import provider_call
from rfsn_core.contract.shared_storage import SharedStore
from rfsn_core.contract.storage import MemoryRecord, Scope, SearchHit, Store, TurnRecord, UndoesTurns
from rfsn_core.conversation.embedding_index import EmbeddingIndex
from rfsn_core.conversation.known_past import KnownPast
from rfsn_core.conversation.store_access import StoreAccess, call_store
from rfsn_core.learning.log_follower import Follower
from rfsn_core.learning.records import DecisionRecord, LoggedTurn, Operation
from rfsn_core.learning.turn_log import TurnLog
from rfsn_core.memory.cards import Card
from rfsn_core.memory.update import MemoryUpdate
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("conversation")

INDEX_SECONDS = 30.0
"""Time limit for embedding a conversation's turns; nobody waits for it."""
T = TypeVar("T")


class RunningTurn(Protocol):
    """A turn that runs or waits in a conversation."""

    def cancel(self, reason: str) -> None:
        """Stop it."""


class Conversation:
    """What is known of one conversation, and the turns that run in it, one after the other.

    :param turn_log: receives each turn; the store follows it.
    :param follower: what hands the turns of the log to the store.
    :param paused: ends when a pause of this conversation ends; nothing begins before.
    """

    def __init__(
        self, scope: Scope, turn_log: TurnLog, follower: Follower, paused: asyncio.Future[None] | None
    ) -> None:
        self.scope = scope
        self._log, self._follower = turn_log, follower
        self.last: asyncio.Future[Any] | None = paused
        """The newest work in this conversation."""
        self._work: set[asyncio.Future[Any]] = set() if paused is None else {paused}
        self.turns: list[RunningTurn] = []
        """The turns that run or wait, oldest first."""
        self.last_used = time.monotonic()
        self._past: KnownPast | None = None
        self._store: Store | None = None  # where the past was loaded
        self._loads = 0
        self._index: EmbeddingIndex | None = None

    # ── one after the other ──────────────────────────────────────────────────────────────────────

    @property
    def busy(self) -> bool:
        """Whether work runs or waits."""
        return self.last is not None and not all(work.done() for work in self._work)

    @property
    def unfinished(self) -> list[asyncio.Future[Any]]:
        """All work that runs or waits."""
        return [work for work in self._work if not work.done()]

    def start(self, work: Callable[[], Awaitable[T]], name: str) -> asyncio.Task[T]:
        """Start work that waits until all that was started before it has ended."""
        # All of it, not only the newest: work that is cancelled while it waits ends before the work that it waits for.
        previous = self.unfinished

        async def wait_and_work() -> T:
            if previous:
                await asyncio.wait(previous)
                previous.clear()
            return await work()

        self.last = task = asyncio.create_task(wait_and_work(), name=name)
        self._work = {*previous, task}
        return task

    # ── what is known ────────────────────────────────────────────────────────────────────────────

    @property
    def state(self) -> NpcState | None:
        """The NPC's state; None before it was loaded."""
        return self._past.state if self._past else None

    @property
    def memories(self) -> Mapping[str, MemoryRecord]:
        """What the NPC knows of the player: the newest versions by id."""
        return self._past.memories if self._past else {}

    @property
    def card(self) -> Card:
        """What happened between them, counted."""
        return self._past.card if self._past else Card()

    @property
    def recent(self) -> tuple[TurnRecord, ...]:
        """The last turns with words, oldest first."""
        return self._past.recent if self._past else ()

    @property
    def last_decision(self) -> str:
        """Id of the newest decision that was stored; empty when there is none."""
        return next((turn.decision_id for turn in reversed(self.recent) if turn.decision_id), "")

    async def load(self, access: StoreAccess, initial: NpcState) -> NpcState:
        """Return the NPC's state, from the store on first use and when another server has added turns.

        Raises StoreError.
        """
        past = self._past
        if past is None or self._store is not access.store:  # or the settings name another store now
            if self._follower.lacks(self.scope):
                await self._follower.caught_up(access.seconds)
            loaded = await access.load(self.scope, access.recent)
            past = self._replace(KnownPast.of(self.scope, loaded, initial))
            self._store = access.store
        elif (shared := access.shared_store) is not None:
            try:
                newer = await call_store(shared.newer(self.scope, access.recent, past.version), access.seconds)
            except Exception as error:  # noqa: BLE001  the store's code: what is in memory is good enough
                METRICS.errors.labels("storage").inc()
                log.warning("shared_store.unavailable", error=repr(error), npc=self.scope.npc)
            else:
                if newer is not None:
                    past = self._replace(KnownPast.of(self.scope, newer, initial))
        return past.state

    def _replace(self, past: KnownPast) -> KnownPast:
        """Take over a past that was loaded."""
        self._past, self._index = past, None
        self._loads += 1
        return past

    def memory_update(self, access: StoreAccess) -> MemoryUpdate:
        """Return an update of what the NPC knows, without changes yet."""
        return MemoryUpdate(dict(self.memories), self.card, access.rules)

    # ── storing ──────────────────────────────────────────────────────────────────────────────────

    async def keep(
        self, record: TurnRecord, state: NpcState, access: StoreAccess, *decisions: DecisionRecord
    ) -> tuple[bool, list[bytes]]:
        """Log a turn with its decision and state, all or nothing.

        Returns whether the store takes turns at the moment, else this one waits in the log; and the decisions, encoded.
        Raises StoreError when the disk refuses; then nothing has changed here either. Raises StaleSave when another
        server rolled the save back meanwhile.
        """
        stored = False
        if access.shared_store is not None and not self._follower.waiting:  # otherwise it waits behind the others
            try:
                async with provider_call(access.seconds):
                    record, state = await self._append(record, state, access.shared_store, access)
                stored = True
            except StaleSave:
                self._past = None
                raise
            except Exception as error:  # noqa: BLE001  the store's code: nothing acknowledged may be lost
                METRICS.errors.labels("storage").inc()
                log.error("store.unavailable", error=repr(error), hint="The turn waits in the log")
        *lines, _ = await self._log.append(*decisions, LoggedTurn(turn=record, stored=stored))
        self._past = (self._past or KnownPast(state=state)).after(record, state)
        return stored or (access.shared_store is None and not self._follower.failures), lines

    async def undo(self, access: StoreAccess, initial: NpcState, decision_id: str = "") -> str:
        """Undo the last turn and return its decision; empty when there is none, or the store cannot.

        A game event is no turn: what came before it stays. Raises StoreError.

        :param decision_id: of the turn to undo, if it is the last; empty: the last one, whichever it is.
        """
        await self.load(access, initial)
        last = self.recent[-1] if self.recent else None
        if last is None or last.outcome == "event" or decision_id not in ("", last.decision_id):
            return ""
        if not isinstance(access.store, UndoesTurns):
            return ""
        await self._follower.caught_up(access.seconds)
        scope = self.scope
        await self._log.append(
            Operation(
                name="undo", time=time.time(), after=self._follower.position, save=scope.save, npc=scope.npc,
                player=scope.player, tag=last.turn_id,
            )
        )  # fmt: skip
        if not await call_store(access.store.undo(self.scope, last.turn_id), access.seconds):
            return ""
        self._past = self._index = None
        await self.load(access, initial)
        return last.decision_id

    async def _append(
        self, record: TurnRecord, state: NpcState, store: SharedStore, access: StoreAccess
    ) -> tuple[TurnRecord, NpcState]:
        """Store a turn; return what of it is valid after a version conflict with another server."""
        past = self._past or KnownPast(state=state)
        while True:
            try:
                version = await store.append_after(record, past.version)
            except VersionConflict:
                # The words were said; how the NPC feels follows from what the other server stored first.
                METRICS.version_conflicts.inc()
                log.warning("conversation.version_conflict", npc=self.scope.npc)
                newer = await store.load(self.scope, access.recent)
                past = self._replace(KnownPast.of(self.scope, newer, state))
                record, state = replace(record, state=past.state.plain(), card=None), past.state
            else:
                self._past = replace(past, version=version)
                return record, state

    # ── searching by meaning ─────────────────────────────────────────────────────────────────────

    async def search_by_meaning(self, access: StoreAccess, text: str, limit: int) -> list[SearchHit]:
        """Return turns that mean something like the text; none before `index` was called.

        Raises what the embedder's code raises.
        """
        if self._index is None or self._index.embedder is not access.embedder:
            return []
        async with provider_call(access.settings.embedding.seconds):
            return await self._index.search(text, limit)

    async def index(self, access: StoreAccess) -> None:
        """Bring the embedding index up to date, if there is an embedder. Nobody should wait for this.

        Raises StoreError, and what the embedder's code raises.
        """
        embedder, most = access.embedder, access.settings.embedding.turns
        if embedder is None:
            self._index = None
            return
        index, turns, loads = self._index, list(self.recent), self._loads
        if index is None or index.embedder is not embedder or index.most != most:
            index = EmbeddingIndex(embedder, most)
            turns = list((await access.load(self.scope, most)).turns)
        async with provider_call(INDEX_SECONDS):
            await index.add(turns)
        if loads == self._loads:  # otherwise another past was loaded meanwhile
            self._index = index

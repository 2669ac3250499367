"""A session, one NPC with one player, and what is asked of it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rfsn_core import events
from rfsn_core.dialogue.outbox import Outbox
from rfsn_core.errors import StoreError, contained
from rfsn_core.memory.cards import Card
from rfsn_core.memory.governance import in_mind, latest
from rfsn_core.memory.remembering import Mind, Rules
from rfsn_core.memory.spool import Spool
from rfsn_core.operations.logs import logger
from rfsn_core.operations.metrics import METRICS
from rfsn_core.providers import MemoryRecord, Scope, TurnRecord
from rfsn_core.runtime import Runtime
from rfsn_core.world.folder import Npc
from rfsn_core.world.state import NpcState

log = logger("turn")


@dataclass
class Session:
    """One NPC with one player in one world, while it is in memory."""

    scope: Scope
    state: NpcState | None = None
    """None until it was loaded."""
    memories: dict[str, MemoryRecord] = field(default_factory=dict)
    """By id, the newest version of what the NPC knows of the player."""
    card: Card = field(default_factory=Card)
    used: float = field(default_factory=time.monotonic)
    """When it was asked for last."""
    recent: deque[TurnRecord] = field(default_factory=lambda: deque(maxlen=50))
    last: asyncio.Future[Any] | None = None
    """The newest turn or game event, which the next one waits for."""
    waiting: int = 0

    async def load(self, runtime: Runtime, initial: NpcState) -> NpcState:
        """The NPC's state, on first use read from the store together with the last turns. Raises StoreError."""
        if self.state is None:
            patience = runtime.settings.operations.store_timeout
            try:
                async with asyncio.timeout(patience):
                    past = await runtime.store.load(self.scope, runtime.settings.memory.recent)
            except TimeoutError:
                raise StoreError(f"the store did not answer in {patience:g} s") from None
            try:
                card, state = Card.from_plain(past.card), initial
                if past.state is not None:
                    state = NpcState.from_plain(past.state)
                turns, memories = list(past.turns), in_mind(latest(past.memories))
            except (msgspec.MsgspecError, ValueError, TypeError, AttributeError) as error:
                hint = f"POST /api/memory/{self.scope.npc}/safe_reset starts anew, after a backup"
                raise StoreError(f"the stored past of {self.scope} cannot be used: {error}", hint=hint) from error
            self.card, self.state = card, state
            self.recent.extend(turns)
            self.memories = {memory.memory_id: memory for memory in memories}
        return self.state

    def mind(self, runtime: Runtime) -> Mind:
        """What the NPC knows, to add to."""
        memory = runtime.settings.memory
        return Mind(self.memories, self.card, Rules(memory.admitted, memory.single_valued, memory.summary_every))

    async def keep(self, record: TurnRecord, state: NpcState, runtime: Runtime, spool: Spool) -> bool:
        """Turn, decision and state, all or nothing. False: spooled on disk, because the store is away.

        Raises StoreError when the disk takes neither; then nothing has changed here either.
        """
        durable = not spool  # what happened after a spooled turn waits behind it
        if durable:
            try:
                with contained():
                    async with asyncio.timeout(runtime.settings.operations.store_timeout):
                        await runtime.store.append(record)
            except Exception as error:  # noqa: BLE001  the store's code: nothing acknowledged may be lost
                METRICS.errors.labels("storage").inc()
                log.error("the store is away; the turn is spooled", error=repr(error), spool=str(spool.path))
                durable = False
        if not durable:
            await spool.append(record)
        if record.outcome != "governed":
            self.recent.append(record)
        self.state = state
        if record.card is not None:
            self.card = Card.from_plain(record.card)
        if record.memories:
            known = in_mind(latest([*self.memories.values(), *record.memories]))
            self.memories = {memory.memory_id: memory for memory in known}
        return durable


@dataclass(frozen=True)
class Request:
    """What is to be answered, and where the answer goes."""

    turn_id: str
    turn_no: int
    scope: Scope
    npc: Npc
    text: str
    game: Mapping[str, Any]
    signal: str
    outbox: Outbox
    wants: events.Hello
    arrived: float
    """`time.perf_counter()` when the message came in."""

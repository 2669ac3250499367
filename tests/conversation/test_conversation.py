"""One conversation: what it keeps in memory, and what it does when the store fails or another server was first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rfsn_core.contract.errors import EngineError, StoreError, VersionConflict
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.provider_call import provider_call
from rfsn_core.contract.storage import Past, Scope, TurnRecord
from rfsn_core.conversation.conversation import Conversation
from rfsn_core.conversation.leases import Leases
from rfsn_core.conversation.store_access import StoreAccess
from rfsn_core.learning.log_follower import Follower
from rfsn_core.learning.turn_log import TurnLog
from rfsn_core.settings.schema import Settings
from rfsn_core.testing.scripted import Memory

SCOPE = Scope("default", "smith", "player")


class Shared(Memory):
    """A store whose versions are the number of its turns."""

    async def load(self, scope: Scope, turns: int, memories: int | None = None) -> Past:
        past = await super().load(scope, turns, memories)
        return Past(**{**vars(past), "version": str(len(self.turns))})

    async def newer(self, scope: Scope, turns: int, version: str) -> Past | None:
        past = await self.load(scope, turns)
        return None if past.version == version else past

    async def append_after(self, turn: TurnRecord, version: str) -> str:
        if version != str(len(self.turns)):
            raise VersionConflict("another server was first")
        await self.append(turn)
        return str(len(self.turns))


def record(number: int, state: NpcState) -> TurnRecord:
    return TurnRecord(f"t{number}", SCOPE, time.time(), "Hello", "Good day.", "complete", f"t{number}", state.plain())


def access(store: Any, *, shared: bool = False, seconds: float = 5.0) -> StoreAccess:
    settings = Settings.model_validate({"operations": {"store_timeout": seconds}})
    return StoreAccess(
        settings=settings, store=store, shared_store=store if shared else None, embedder=None, leases=Leases()
    )


@pytest.fixture
async def turn_log(tmp_path: Path) -> AsyncIterator[TurnLog]:
    opened = TurnLog(tmp_path / "log")
    await opened.open()
    yield opened
    await opened.close()


def conversation(turn_log: TurnLog, store: Any = None) -> Conversation:
    async def deliver(turns: Sequence[TurnRecord]) -> None:
        for turn in turns:
            await store.append(turn)

    follower = Follower("store", turn_log, deliver, batch=10, pause=0.0, retries=(0.01,), skips_stored=True)
    follower._must_read = False  # as after `open`: nothing waits from an earlier run
    return Conversation(SCOPE, turn_log, follower, None)


async def test_words_are_kept_and_the_state_is_the_other_servers_after_a_version_conflict(turn_log: TurnLog) -> None:
    store = Shared()
    here, there = conversation(turn_log), conversation(turn_log)
    reach = access(store, shared=True)
    await here.load(reach, NpcState())
    await there.load(reach, NpcState())
    assert (await there.keep(record(1, NpcState(trust=0.9)), NpcState(trust=0.9), reach))[0]
    assert (await here.keep(record(2, NpcState(trust=0.1)), NpcState(trust=0.1), reach))[0]
    assert [turn.turn_id for turn in store.turns] == ["t1", "t2"]
    assert here.state == NpcState(trust=0.9)
    assert store.turns[1].state["trust"] == 0.9
    assert [turn.turn_id for turn in here.recent] == ["t1", "t2"]
    assert await there.load(reach, NpcState()) == NpcState(trust=0.9)
    assert [turn.turn_id for turn in there.recent] == ["t1", "t2"]


async def test_the_cached_past_is_used_while_the_shared_store_is_unavailable(turn_log: TurnLog) -> None:
    store = Shared()
    here, reach = conversation(turn_log), access(store, shared=True)
    await here.load(reach, NpcState())
    await here.keep(record(1, NpcState(trust=0.9)), NpcState(trust=0.9), reach)
    store.away = True
    assert await here.load(reach, NpcState()) == NpcState(trust=0.9)


async def test_any_failure_of_a_store_is_a_store_error(turn_log: TurnLog) -> None:
    class Broken(Memory):
        async def load(self, scope: Scope, turns: int, memories: int | None = None) -> Past:
            raise ZeroDivisionError("no")

    class Ending(Memory):
        async def load(self, scope: Scope, turns: int, memories: int | None = None) -> Past:
            raise SystemExit(3)

    slow = Memory()
    slow.delay = 5
    with pytest.raises(StoreError, match="the store failed: ZeroDivisionError: no"):
        await conversation(turn_log).load(access(Broken()), NpcState())
    with pytest.raises(EngineError, match="tried to end the process"):
        await conversation(turn_log).load(access(Ending()), NpcState())
    with pytest.raises(StoreError, match=r"did not answer in 0\.05 s"):
        await conversation(turn_log).load(access(slow, seconds=0.05), NpcState())


async def test_work_begins_when_all_before_it_has_ended_even_if_waiting_work_was_cancelled(turn_log: TurnLog) -> None:
    here, done = conversation(turn_log), list[int]()

    async def work(number: int, seconds: float) -> None:
        await asyncio.sleep(seconds)
        done.append(number)

    tasks = [here.start(partial(work, n, 0.02 / (n + 1)), f"work {n}") for n in range(3)]
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert done == [0, 2]
    assert not here.busy


async def test_a_provider_call_passes_a_real_cancellation_on() -> None:
    async def work() -> None:
        async with provider_call(60):
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(EngineError, match="cancelled itself"):
        async with provider_call(None):
            raise asyncio.CancelledError

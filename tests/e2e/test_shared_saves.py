"""Operations that pause all servers on one Redis: rolling a save back, and erasing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfsn_memory_redis

from rfsn_core import NotFound, Scope, StaleSave, StoreError, protocol
from rfsn_core.admin import pause
from rfsn_core.kernel import Kernel
from rfsn_core.learning.records import LoggedTurn
from rfsn_core.learning.turn_log import TurnLog
from rfsn_core.testing import NPC, kernel, plugin, turn
from rfsn_core.testing.databases import RedisServer
from rfsn_core.testing.scripted import Tokens
from rfsn_core.testing.suites import exported, record
from rfsn_core.turn.outbox import Outbox
from rfsn_core.turn.turns import RunningTurn

pytestmark = pytest.mark.engines
SECRET = "Zanzibarella"


@asynccontextmanager
async def server(folder: Path, redis: RedisServer, tokens: Tokens | None = None) -> AsyncIterator[Kernel]:
    settings = {"storage": {"provider": "redis", "redis": {"url": redis.url}}}
    offered = ("memory_redis", rfsn_memory_redis), plugin(rendering={"t": tokens or Tokens()})
    async with kernel(folder, *offered, settings=settings) as it:
        yield it


def begun(it: Kernel, text: str = "Good day.", **fields: Any) -> tuple[RunningTurn, Outbox]:
    outbox = Outbox()
    return it.begin(protocol.PlayerTurn(npc=NPC, text=text, **fields), outbox, protocol.Hello()), outbox


async def until(outbox: Outbox, *kinds: type) -> Any:
    while not isinstance(item := await outbox.get(), kinds):
        pass
    return item


async def texts(it: Kernel) -> list[str]:
    return [each.player_text for each in await exported(it.runtimes.current.store)]


async def test_after_a_version_conflict_the_client_gets_the_stored_feelings(tmp_path: Path, redis: RedisServer) -> None:
    slow = Tokens(["I remember. "] * 6, interval=0.05)
    async with server(tmp_path / "a", redis) as one, server(tmp_path / "b", redis, slow) as two:
        await turn(one, "Good day.")
        _, outbox = begun(two, "Thank you, my friend.")
        await until(outbox, protocol.Sentence)
        first = [each for each in await turn(one, "You fool! I hate you!") if isinstance(each, protocol.State)]
        late = await until(outbox, protocol.State)
        assert (late.affinity, late.trust) == (first[0].affinity, first[0].trust)
        assert await texts(one) == ["Good day.", "You fool! I hate you!", "Thank you, my friend."]


async def test_a_rollback_reaches_all_servers(tmp_path: Path, redis: RedisServer) -> None:
    slow = Tokens(["I remember. "] * 200, interval=0.05)
    told: list[Any] = []
    async with server(tmp_path / "a", redis) as one, server(tmp_path / "b", redis, slow) as two:
        two.runtimes.announcements.subscribe(told.append)
        await turn(one, "before")
        await one.saves.snapshot("default", "save")
        await turn(one, "after")
        known, at_known = begun(two, "known")
        fresh, at_fresh = begun(two, "fresh", player="new")  # whose conversation is not in the save
        for outbox in (at_known, at_fresh):
            await until(outbox, protocol.Sentence)
        assert await one.saves.rollback("default", "save") == 1
        for outbox in (at_known, at_fresh):
            ended = await until(outbox, protocol.TurnCancelled, protocol.TurnFinished)
            assert isinstance(ended, protocol.TurnCancelled)
            assert ended.reason == "rollback"
        await asyncio.wait([known.task, fresh.task])
        async with asyncio.timeout(5):
            while not told:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.02)
        assert told == [protocol.SaveRolledBack(save="default", tag="save", turns=1)]
        assert await texts(one) == ["before"]
        await turn(one, "on")
        assert await texts(two) == ["before", "on"]


async def test_a_server_that_stalled_during_a_rollback_cannot_store_its_turn(
    tmp_path: Path, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Tokens(["I remember. "] * 8, interval=0.05)
    async with server(tmp_path / "a", redis) as one, server(tmp_path / "b", redis, slow) as two:
        await turn(one, "before")
        await one.saves.snapshot("default", "save")
        monkeypatch.setattr(pause, "ACKNOWLEDGE_SECONDS", 0.05)
        monkeypatch.setattr(two.pauses, "_poll", lambda: asyncio.sleep(60))  # it does not read the notices
        _, outbox = begun(two, "stalled")
        await until(outbox, protocol.Sentence)
        await one.saves.rollback("default", "save")
        ended = await until(outbox, protocol.TurnCancelled, protocol.TurnFinished)
        assert isinstance(ended, protocol.TurnCancelled)
        assert (ended.reason, ended.text) == ("rollback", "")
        assert await texts(one) == ["before"]
        assert isinstance((await turn(two, "on"))[-1], protocol.TurnFinished)
        assert await texts(one) == ["before", "on"]


async def test_turns_wait_for_a_pause_and_continue_when_its_server_is_lost(
    tmp_path: Path, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pause, "LOST_SECONDS", 1.0)
    async with server(tmp_path / "a", redis) as one, server(tmp_path / "b", redis) as two:
        async with one.pauses.paused("default", NPC, "", "cancelled"):
            waiting, outbox = begun(two)
            await turn(two, save="another")
            await asyncio.sleep(2.0)
            assert not waiting.task.done()
        assert isinstance(await until(outbox, protocol.TurnFinished), protocol.TurnFinished)
        lost = one.pauses.paused("", "", "", "cancelled")
        await lost.__aenter__()  # and never out: it died
        monkeypatch.setattr(one.pauses, "_poll", lambda: asyncio.sleep(60))
        began = time.monotonic()
        async with asyncio.timeout(10):
            await turn(two)
        assert time.monotonic() - began > 0.5


async def unavailable(turns: object) -> None:
    raise StoreError("away, for the test")


async def test_waiting_turns_of_another_server_are_discarded_by_a_rollback(
    tmp_path: Path, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with server(tmp_path / "a", redis) as one, server(tmp_path / "b", redis) as two:
        await turn(one, "before")
        await one.saves.snapshot("default", "save")
        await asyncio.sleep(0.2)
        monkeypatch.setattr(two.conversations.follower, "_deliver", unavailable)
        for text, world in (("abandoned", "default"), ("another world", "another")):
            lost = replace(record(1, Scope(world, NPC, "player"), text=text), turn_id=text, time=time.time())
            await two.turn_log.append(LoggedTurn(turn=lost))
        with pytest.raises(NotFound):
            await one.saves.rollback("default", "no such save")
        await asyncio.sleep(1)
        assert containing(tmp_path / "b", "abandoned")
        await one.saves.rollback("default", "save")
        await asyncio.sleep(1)
        monkeypatch.undo()
        await two.conversations.follower.caught_up(10)
        assert sorted(await texts(one)) == ["another world", "before"]


async def test_a_pause_whose_work_failed_ends_on_all_servers(tmp_path: Path, redis: RedisServer) -> None:
    async with server(tmp_path / "a", redis) as one, server(tmp_path / "b", redis) as two:
        await asyncio.gather(turn(one), turn(two))
        with pytest.raises(NotFound):
            await one.saves.rollback("default", "no such save")
        tell, calls = one.pauses._send_unsent, 0

        async def away(notices: Any) -> None:
            nonlocal calls
            calls += 1
            if calls == 1:  # the end of the pause; the next poll sends it again
                raise StoreError("away")
            await tell(notices)

        one.pauses._send_unsent = away  # type: ignore[method-assign]
        async with one.pauses.paused("", "", "", "cancelled"):
            calls = 0
        async with asyncio.timeout(5):
            assert isinstance((await turn(two))[-1], protocol.TurnFinished)
        assert calls > 1


async def test_a_notice_that_was_appended_twice_is_handled_once(tmp_path: Path, redis: RedisServer) -> None:
    async with server(tmp_path / "a", redis) as one, server(tmp_path / "b", redis) as two:
        told: list[protocol.Message] = []
        two.runtimes.announcements.subscribe(told.append)
        notices = one.runtimes.current.shared_store.notices  # type: ignore[union-attr]
        tell = notices.append

        async def twice(notice: bytes) -> str:
            await tell(notice)
            return await tell(notice)

        notices.append = twice  # type: ignore[method-assign]
        await turn(one, "before")
        await one.saves.snapshot("default", "save")
        for _ in range(2):
            await one.saves.rollback("default", "save")
            async with asyncio.timeout(5):
                assert isinstance((await turn(two))[-1], protocol.TurnFinished)
        assert [type(each) for each in told] == [protocol.SaveRolledBack] * 2


async def test_two_rollbacks_at_the_same_time_do_not_wait_for_each_other(tmp_path: Path, redis: RedisServer) -> None:
    async with server(tmp_path / "a", redis) as one, server(tmp_path / "b", redis) as two:
        await turn(one, "before")
        await one.saves.snapshot("default", "save")
        for _ in range(3):
            back = [asyncio.create_task(it.saves.rollback("default", "save")) for it in (one, two)]
            await asyncio.sleep(0.02)
            meanwhile = [it.event(protocol.GameEvent(npc=NPC, kind="gift")) for it in (one, two)]
            async with asyncio.timeout(20):
                await asyncio.gather(*back)
                for happened in await asyncio.gather(*meanwhile, return_exceptions=True):
                    assert isinstance(happened, protocol.State | StaleSave)
        assert (await texts(one))[0] == "before"
        assert isinstance((await turn(two))[-1], protocol.TurnFinished)


def containing(folder: Path, text: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


async def test_erasing_leaves_no_trace_on_any_server(tmp_path: Path, redis: RedisServer) -> None:
    async with server(tmp_path / "a", redis) as one, server(tmp_path / "b", redis) as two:
        for it in (one, two):
            for player in (SECRET, "Another"):
                await turn(it, f"My name is {player}.", player=player)
            await it.maintenance.backup()
        assert containing(tmp_path / "a", SECRET)
        assert containing(tmp_path / "b", SECRET)
        gone = await one.maintenance.erase("", "", SECRET, backups=True)
        assert gone == {"turns": 2, "decisions": 1}
        assert containing(tmp_path / "a", SECRET) == []
        assert containing(tmp_path / "b", SECRET) == []
        assert len(await two.turn_log.decisions()) == 1
        async with asyncio.timeout(10):
            while containing(tmp_path / "redis", SECRET):  # noqa: ASYNC110  it rewrites its file in its own time
                await asyncio.sleep(0.1)


async def test_a_server_that_was_not_running_erases_at_its_next_start(tmp_path: Path, redis: RedisServer) -> None:
    async with server(tmp_path / "b", redis) as two:
        await turn(two, "My name is.", player=SECRET)
    waiting = TurnLog(tmp_path / "b" / ".rfsn" / "log")  # it was killed while Redis was away
    await waiting.open()
    for player in (SECRET, "Another"):
        turn_of = replace(record(1, Scope("default", NPC, player)), turn_id=player, time=time.time())
        await waiting.append(LoggedTurn(turn=turn_of))
    await waiting.close()
    async with server(tmp_path / "a", redis) as one:
        await one.maintenance.erase("", "", SECRET, backups=False)
    async with server(tmp_path / "b", redis) as two:
        await two.conversations.follower.caught_up(10)
        assert {each.scope.player for each in await exported(two.runtimes.current.store)} == {"Another"}
        assert await two.turn_log.decisions() == []
        assert isinstance((await turn(two, player=SECRET))[-1], protocol.TurnFinished)  # who comes back is not erased
    async with server(tmp_path / "b", redis) as two:
        assert len(await two.turn_log.decisions()) == 1

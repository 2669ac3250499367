"""Servers on one Redis learn as one: what any of them is taught, all know, once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import rfsn_memory_redis
import rfsn_policy_linucb
from redis.asyncio import Redis

from rfsn_core import Arm, protocol
from rfsn_core.kernel import Kernel
from rfsn_core.learning.log_files import read_records
from rfsn_core.learning.records import DecisionRecord, UpdateRecord
from rfsn_core.testing import kernel, plugin, turn
from rfsn_core.testing.databases import RedisServer
from rfsn_core.testing.scripted import Tokens

pytestmark = pytest.mark.engines
TEXTS = ("Good day.", "You fool!", "Will you help me?", "Thank you, friend.", "Tell me of the river.", "Where is it?")


@asynccontextmanager
async def server(folder: Path, redis: RedisServer, **learning: Any) -> AsyncIterator[Kernel]:
    settings = {
        "storage": {"provider": "redis", "redis": {"url": redis.url}},
        "selection": {"provider": "linucb", "linucb": {"discount": 0.999}},
        "learning": {"detect": False, "cooldown": 0, "credit_steps": 0, **learning},
    }
    offered = ("memory_redis", rfsn_memory_redis), ("linucb", rfsn_policy_linucb), plugin(rendering={"t": Tokens()})
    async with kernel(folder, *offered, settings=settings) as it:
        yield it


async def decide(it: Kernel, text: str = "Good day.", **fields: Any) -> str:
    got = await turn(it, text, **fields)
    return next(item.decision_id for item in got if isinstance(item, protocol.Decision))


async def reward(it: Kernel, decision: str, value: float, reward_id: str = "") -> protocol.RewardAccepted:
    return await it.reward(protocol.Reward(decision_id=decision, value=value, reward_id=reward_id))


async def settled(*servers: Kernel) -> None:
    for it in servers:
        await it.learner.settle()
    for it in servers:
        await it.learner.catch_up()


async def views(*servers: Kernel) -> list[list[float]]:
    """What the policy of each thinks of all actions, in all situations that any server has decided in."""
    records = [each for it in servers for each in await it.turn_log.decisions(limit=1000)]
    names = servers[0].runtimes.current.decider.actions
    return [
        [
            number
            for record in records
            for slot in ("action", "style")
            for numbers in policy.predict(record.context(slot), [Arm(name, 0.0) for name in names])
            for number in numbers
        ]
        for policy in (_policy(it) for it in servers)
    ]


def _policy(it: Kernel) -> Any:
    return it.runtimes.current.decider.policy


def updates(folder: Path) -> list[UpdateRecord]:
    return list(read_records(folder / ".rfsn" / "log", UpdateRecord))


async def test_all_know_what_any_was_taught_whoever_decided(tmp_path: Path, redis: RedisServer) -> None:
    dice = random.Random(5)
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(server(tmp_path / name, redis)) for name in "ab"]
        fresh = (await views(one, two))[0]
        for number in range(150):
            decided, rewarded = dice.choices((one, two), k=2)
            decision = await decide(decided, TEXTS[number % len(TEXTS)], player=f"p{number % 7}")
            assert not (await reward(rewarded, decision, dice.uniform(-1, 1))).quarantined
        await settled(one, two)
        late = await stack.enter_async_context(server(tmp_path / "c", redis))
        await settled(late)
        seen = await views(one, two, late)
        assert seen[0] != fresh
        assert seen[1] == pytest.approx(seen[0], abs=1e-9)
        assert seen[2] == pytest.approx(seen[0], abs=1e-9)
        assert one.learner.updates == two.learner.updates == 300
    logged = [update for name in "abc" for update in updates(tmp_path / name)]
    assert len(logged) == 300  # each by the server that was rewarded
    assert not any(update.rejected for update in logged)


async def test_where_learning_is_disabled_nothing_changes(tmp_path: Path, redis: RedisServer) -> None:
    async with server(tmp_path / "a", redis) as one, server(tmp_path / "b", redis, enabled=False) as two:
        before = _policy(two).checkpoint()
        await reward(one, await decide(one), 1.0)
        await one.learner.settle()
        await asyncio.sleep(1.5)
        assert one.learner.updates == 2
        assert _policy(two).checkpoint() == before


async def test_a_reward_that_comes_to_two_servers_is_learned_once(tmp_path: Path, redis: RedisServer) -> None:
    async with server(tmp_path / "a", redis) as one, server(tmp_path / "b", redis) as two:
        decision = await decide(one)
        for it in (one, two, one, two):
            await reward(it, decision, 0.5, "r1")
        await reward(two, decision, 0.25, "r2")
        await settled(one, two)
        assert one.learner.updates == two.learner.updates == 4  # both slots of two rewards
        seen = await views(one, two)
        assert seen[0] == pytest.approx(seen[1], abs=1e-12)


async def test_a_reward_reaches_decisions_before_it_on_other_servers(tmp_path: Path, redis: RedisServer) -> None:
    async with (
        server(tmp_path / "a", redis, credit_steps=2) as one,
        server(tmp_path / "b", redis, credit_steps=2) as two,
    ):
        decisions = [await decide(it, text) for it, text in zip((one, two, one, two), TEXTS, strict=False)]
        record = await two.turn_log.decision(decisions[3])
        assert isinstance(record, DecisionRecord)
        assert record.prior_decision_id == decisions[2]
        await reward(two, decisions[3], 1.0)
        await settled(one, two)
    taught = [(decisions.index(each.decision_id), each.steps_back) for each in updates(tmp_path / "b")]
    assert taught == [(3, 0), (3, 0), (2, 1), (2, 1), (1, 2), (1, 2)]


async def test_an_operator_speaks_to_all(tmp_path: Path, redis: RedisServer) -> None:
    async with server(tmp_path / "a", redis) as one, server(tmp_path / "b", redis) as two:
        await reward(one, await decide(one), 1.0)
        await settled(one, two)
        (first,) = await two.learner.checkpoints.newest_first("linucb")
        for number in range(12):
            await reward(one, await decide(one, player=f"p{number}"), 1.0)
        await settled(one, two)
        learned = (await views(two))[0]
        one.guard.freeze("a test")
        await asyncio.sleep(0.1)
        await settled(one, two)
        assert (two.guard.state, two.guard.reason) == ("frozen", "a test")
        async with server(tmp_path / "c", redis) as late:  # it has received no notice
            assert late.guard.state == "frozen"
        two.guard.unfreeze()
        await asyncio.sleep(0.1)
        await settled(one, two)
        assert one.guard.state == "learning"
        await two.learner.rollback(first.id)
        await settled(one, two)
        seen = await views(one, two)
        assert seen[0] == pytest.approx(seen[1], abs=1e-12)
        assert seen[0] != pytest.approx(learned, abs=1e-6)


async def test_updates_wait_while_redis_is_away(tmp_path: Path, redis: RedisServer) -> None:
    async with server(tmp_path / "a", redis) as one, server(tmp_path / "b", redis) as two:
        decisions = [await decide(one, player=f"p{number}") for number in range(3)]
        redis.stop(signal.SIGKILL)
        for decision in decisions:
            assert not (await reward(one, decision, 0.5)).quarantined
        await asyncio.sleep(0.3)
        assert one.learner.updates == 0
        await asyncio.to_thread(redis.start)
        async with asyncio.timeout(15):
            while two.learner.updates < 6:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.1)
        assert one.learner.updates == 6
        redis.stop(signal.SIGKILL)
        one.guard.freeze("a test")
        await asyncio.sleep(0.1)
        await asyncio.to_thread(redis.start)
        async with asyncio.timeout(15):
            while two.guard.state != "frozen":  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.1)


async def test_an_update_whose_append_timed_out_after_it_happened_is_learned_and_logged_once(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with server(tmp_path / "a", redis) as one:
        await reward(one, await decide(one), 1.0)  # Redis knows the script from here on
        await settled(one)
        decision = await decide(one)
        os.kill(redis.pid, signal.SIGSTOP)  # it has the call in its socket, and answers too late
        try:
            await reward(one, decision, 0.5)
            async with asyncio.timeout(10):
                while not one.learner._is_unavailable:  # noqa: ASYNC110  nobody tells
                    await asyncio.sleep(0.05)
        finally:
            os.kill(redis.pid, signal.SIGCONT)
        async with asyncio.timeout(15):
            while one.learner.updates < 4:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.1)
        await settled(one)
        assert one.learner.updates == 4
    assert [(each.slot, each.rejected) for each in updates(tmp_path / "a")] == [("action", ""), ("style", "")] * 2


async def test_a_decision_that_could_not_be_shared_is_shared_later(tmp_path: Path, redis: RedisServer) -> None:
    async with server(tmp_path / "a", redis) as one, server(tmp_path / "b", redis) as two:
        await decide(one)
        redis.stop(signal.SIGKILL)
        decision = await decide(one)
        await asyncio.to_thread(redis.start)
        await decide(one, player="another")
        async with asyncio.timeout(10):
            while (await reward(two, decision, 0.5)).quarantined:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.1)
        await settled(one, two)
        assert one.learner.updates == 2


async def test_a_reward_whose_server_stopped_while_redis_was_away_is_learned_at_its_next_start(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with server(tmp_path / "b", redis) as two:
        async with server(tmp_path / "a", redis) as one:
            decision = await decide(one)
            redis.stop(signal.SIGKILL)
            await reward(one, decision, 0.5)
        await asyncio.to_thread(redis.start)
        async with server(tmp_path / "a", redis) as one:
            await settled(one, two)
            assert one.learner.updates == two.learner.updates == 2


async def test_unreadable_entries_are_skipped_and_a_lost_log_is_begun_again(tmp_path: Path, redis: RedisServer) -> None:
    client: Any = Redis.from_url(redis.url)
    async with server(tmp_path / "a", redis) as one, server(tmp_path / "b", redis) as two, client:
        for odd in (
            {"foo": "bar"},
            {"data": "{"},
            {"data": '{"type":"data"}', "again": "0"},
            {"data": b"\xff"},
        ):
            await client.xadd("rfsn:{learning}:updates", odd)
            await client.xadd("rfsn:{servers}:notices", odd)
        await reward(one, await decide(one), 1.0)
        await settled(one, two)
        assert one.learner.updates == two.learner.updates == 2
        await client.flushall()
        await reward(two, await decide(two), 1.0)
        await settled(one, two)
        await settled(one, two)
        assert one.learner.updates == two.learner.updates == 4
        seen = await views(one, two)
        assert seen[0] == pytest.approx(seen[1], abs=1e-9)


async def test_what_one_server_learned_alone_is_where_all_begin(tmp_path: Path, redis: RedisServer) -> None:
    alone = {"selection": {"provider": "linucb"}, "learning": {"detect": False, "cooldown": 0, "credit_steps": 0}}
    offered = ("linucb", rfsn_policy_linucb), plugin(rendering={"t": Tokens()})
    async with kernel(tmp_path / "a", *offered, settings=alone) as it:
        for number in range(5):
            await reward(it, await decide(it, player=f"p{number}"), 1.0)
        await settled(it)
        before = (await views(it))[0]
    async with server(tmp_path / "a", redis) as one, server(tmp_path / "b", redis) as two:
        await settled(one, two)
        seen = await views(one, two)
        assert seen[0] == pytest.approx(before, abs=1e-9)
        assert seen[1] == pytest.approx(before, abs=1e-9)

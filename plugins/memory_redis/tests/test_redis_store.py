"""Redis as a store: a real one, started here, or the one that RFSN_TEST_REDIS_URL names."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import rfsn_memory_redis
from rfsn_memory_redis import Settings, keys
from rfsn_memory_redis.store import RedisStore

from rfsn_core import Host, MemoryKind, Scope, StoreError, TurnFailed, TurnFinished
from rfsn_core.testing import NPC, Kernel, kernel, plugin, turn
from rfsn_core.testing.databases import RedisServer
from rfsn_core.testing.scripted import Tokens
from rfsn_core.testing.suites import HERE, SharedStoreSuite, exported, memory_of, record

pytestmark = pytest.mark.engines
LOG = logging.getLogger("rfsn.test")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if url := os.environ.get("RFSN_TEST_REDIS_URL"):
        yield url
        return
    running = RedisServer(tmp_path_factory.mktemp("redis"))
    yield running.url
    running.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two nodes, half of the slots each."""
    import redis

    nodes = [RedisServer(tmp_path_factory.mktemp("node"), **{"cluster-enabled": "yes"}) for _ in range(2)]
    clients: list[Any] = [redis.Redis.from_url(node.url) for node in nodes]
    for number, client in enumerate(clients):
        client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        client.execute_command("CLUSTER", "ADDSLOTS", *range(8192 * number, 8192 * (number + 1)))
    clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[1].port)
    for client in clients:
        for _ in range(200):
            known = client.cluster("info")
            if known["cluster_state"] == "ok" and known["cluster_slots_assigned"] == "16384":
                break
            time.sleep(0.1)
        client.close()
    yield nodes[0].url
    for node in nodes:
        node.stop(signal.SIGKILL)


def emptied(url: str, *, cluster: bool = False) -> dict[str, Any]:
    """The settings of a store in which nothing is."""
    import redis

    client: Any
    with (redis.RedisCluster if cluster else redis.Redis).from_url(url) as client:
        for key in client.scan_iter("rfsn:*"):
            client.delete(key)
    return {"url": url, "cluster": cluster, "days": 40_000}  # the suites' turns are from 1970


@pytest.fixture(autouse=True)
def empty(database: str) -> None:
    emptied(database)


class TestRedis(SharedStoreSuite):
    provider = "redis"
    settings: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def on_redis(self, database: str) -> None:
        type(self).settings = emptied(database)


class TestCluster(SharedStoreSuite):
    provider = "redis"
    settings: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def on_the_cluster(self, cluster: str) -> None:
        type(self).settings = emptied(cluster, cluster=True)


@asynccontextmanager
async def opened(folder: Path, **settings: Any) -> AsyncIterator[RedisStore]:
    host = Host(folder, folder, LOG, random.Random(1))
    store = RedisStore(Settings(**settings), host)
    try:
        await store.start()
        yield store
    finally:
        await store.stop()


@asynccontextmanager
async def server(folder: Path, url: str, **fields: Any) -> AsyncIterator[Kernel]:
    settings = {"storage": {"provider": "redis", "redis": {"url": url}}} | fields
    offered = ("memory_redis", rfsn_memory_redis), plugin(rendering={"t": Tokens()})
    async with kernel(folder, *offered, settings=settings) as it:
        yield it


def words(items: list[Any]) -> TurnFinished:
    return next(item for item in items if isinstance(item, TurnFinished))


async def test_keys_of_a_conversation_share_a_slot_and_no_two_conversations_a_key(tmp_path: Path) -> None:
    odd = ["a", "a:b", "{a}", "a}", "", "%7Ba%7D", "a/b", "ünï", "a\x00b", " "]
    seen: set[str] = set()
    for world in odd:
        for npc in odd:
            scope = Scope(world, npc, "p")
            names = keys.conversation("rfsn:", scope)
            assert len({name[name.index("{") + 1 : name.index("}")] for name in names}) == 1
            assert keys.scope_of(world, keys.member(scope)) == scope
            assert seen.isdisjoint(names)
            seen |= set(names)
    assert keys.conversation("rfsn:", HERE).sessions == "rfsn:npc:{default:smith:player}:sessions"


async def test_old_turns_are_dropped_and_idle_conversations_expire(tmp_path: Path, database: str) -> None:
    import redis.asyncio

    now = time.time()
    async with opened(tmp_path, url=database, days=1) as store, redis.asyncio.Redis.from_url(database) as client:
        for number, age in enumerate((3, 2, 0.5, 0)):
            await store.append(replace(record(number), time=now - age * 86400))
        past = await store.load(HERE, 10)
        assert [each.state["turns"] for each in past.turns] == [2, 3]
        names = keys.conversation("rfsn:", HERE)
        assert 86000 < await client.ttl(names.sessions) <= 86400
        assert await client.zcard(names.seen) == 2


async def test_the_least_valuable_of_too_many_memories_are_dropped(tmp_path: Path, database: str) -> None:
    promise = replace(memory_of("t", "You promised."), kind=MemoryKind.PROMISE)
    passing = [replace(memory_of("t", f"It rained, {n}."), kind=MemoryKind.EVENT, time=1000.0 + n) for n in range(600)]
    async with opened(tmp_path, url=database, days=40_000) as store:
        await store.append(replace(record(1), memories=(promise, *passing)))
        memories = (await store.load(HERE, 1)).memories
        assert (len(memories), memories[0], memories[-1]) == (501, promise, passing[-1])


async def test_a_player_who_changes_servers_loses_nothing(tmp_path: Path, database: str) -> None:
    async with server(tmp_path / "a", database) as one, server(tmp_path / "b", database) as two:
        await turn(one, "My name is Aldric.")
        for _ in range(5):
            for it in (one, two):
                assert words(await turn(it, "You fool! I hate you!")).durable
        shown = [await it.memory.show(NPC, "player", "default") for it in (one, two)]
        assert shown[0]["state"] == shown[1]["state"]
        assert shown[0]["state"]["turns"] == 11
        assert shown[0]["card"]["insults"] == 10
        both = await asyncio.gather(*(turn(it, "Well?") for it in (one, two) * 5))  # at once, in one conversation
        told = {words(items).decision_id for items in both if any(isinstance(i, TurnFinished) for i in items)}
        stored = {each.decision_id for each in await exported(one.runtimes.current.store)}
        assert told <= stored


async def test_turns_continue_while_redis_is_unavailable_and_are_stored_in_order(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    database = RedisServer(tmp_path / "db")
    try:
        async with server(tmp_path / "a", database.url) as it:
            assert words(await turn(it, "one")).durable
            database.stop(signal.SIGKILL)
            for text in ("two", "three"):
                assert not words(await turn(it, text)).durable
            stranger = await turn(it, "Hello?", player="new")  # not in memory, and nothing is invented
            assert isinstance(stranger[-1], TurnFailed)
            await asyncio.to_thread(database.start)
            async with asyncio.timeout(10):
                while it.conversations.follower.waiting:  # noqa: ASYNC110  nobody tells
                    await asyncio.sleep(0.05)
            assert words(await turn(it, "four")).durable
            past = await it.runtimes.current.store.load(Scope("default", NPC, "player"), 10)
            assert [each.player_text for each in past.turns] == ["one", "two", "three", "four"]
    finally:
        database.stop()


async def test_connections_that_died_with_a_restart_cost_nothing(tmp_path: Path, redis: RedisServer) -> None:
    scopes = [Scope("default", NPC, f"p{n}") for n in range(5)]
    async with opened(tmp_path, url=redis.url, days=40_000) as store:
        await asyncio.gather(*(store.append(record(1, scope)) for scope in scopes))
        redis.stop(signal.SIGKILL)
        await asyncio.to_thread(redis.start)
        await asyncio.gather(*(store.append(record(2, scope)) for scope in scopes))
        assert [len((await store.load(scope, 5)).turns) for scope in scopes] == [2] * 5


async def test_a_frozen_redis_costs_a_bounded_wait(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    database = RedisServer(tmp_path / "db")
    try:
        async with server(tmp_path / "a", database.url) as it:
            await turn(it)
            os.kill(database.pid, signal.SIGSTOP)
            async with asyncio.timeout(5):
                assert not words(await turn(it)).durable
            os.kill(database.pid, signal.SIGCONT)
    finally:
        os.kill(database.pid, signal.SIGCONT)
        database.stop()


async def test_a_rollback_is_complete_although_redis_is_unavailable_for_a_moment(
    tmp_path: Path, redis: RedisServer
) -> None:
    scopes = [Scope("default", NPC, f"p{n}") for n in range(30)]
    async with opened(tmp_path, url=redis.url, days=40_000, timeout=0.1) as store:
        for scope in scopes:
            await store.append(record(1, scope))
        await store.snapshot("default", "save")
        for scope in scopes:
            await store.append(record(2, scope))

        async def freeze() -> None:
            for _ in range(4):
                os.kill(redis.pid, signal.SIGSTOP)
                await asyncio.sleep(0.25)
                os.kill(redis.pid, signal.SIGCONT)
                await asyncio.sleep(0.01)

        freezing = asyncio.create_task(freeze())
        await asyncio.sleep(0.01)
        assert await store.rollback("default", "save") == 30
        await freezing
        assert [len((await store.load(scope, 5)).turns) for scope in scopes] == [1] * 30


async def test_a_store_that_cannot_work_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "replica").mkdir()
    locked = RedisServer(tmp_path / "db", requirepass="secret")
    try:
        for url, says in (
            (locked.url, "refuses the user or password"),
            (locked.url.replace("//", "//:wrong@"), "refuses the user or password"),
            ("redis://127.0.0.1:1/0", "Is it running?"),
        ):
            with pytest.raises(StoreError, match=says):
                async with opened(tmp_path, url=url):
                    pass
        async with opened(tmp_path, url=locked.url.replace("//", "//:secret@")):
            pass
        replica = RedisServer(tmp_path / "replica", replicaof=f"127.0.0.1 {locked.port}", masterauth="secret")
        try:
            with pytest.raises(StoreError, match="is a replica"):
                async with opened(tmp_path, url=replica.url):
                    pass
        finally:
            replica.stop(signal.SIGKILL)
    finally:
        locked.stop(signal.SIGKILL)

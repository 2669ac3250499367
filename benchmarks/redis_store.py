"""The store in Redis, against a PING in the same run.

uv run --group engines benchmarks/redis_store.py
"""

from __future__ import annotations

import asyncio
import logging
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from rfsn_memory_redis import Settings
from rfsn_memory_redis.store import RedisStore

from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.provider import Host
from rfsn_core.contract.storage import Scope, TurnRecord
from rfsn_core.memory.cards import Card
from rfsn_core.testing.databases import RedisServer

HERE = Scope("default", "smith", "player")


def turn(number: int, scope: Scope = HERE) -> TurnRecord:
    said = "Has the ferry come back from the weir, or must I wait for the bell?"
    card = Card(gifts=number).plain()
    state = NpcState(turns=number).plain()
    return TurnRecord(f"t{number}", scope, time.time(), said, said * 2, "complete", f"d{number}", state, card=card)


async def timed(work: Callable[[int], Awaitable[object]], count: int = 2000) -> float:
    times = []
    for number in range(count):
        begun = time.perf_counter()
        await work(number)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


async def measure(url: str, folder: Path) -> None:
    host = Host(folder, folder, logging.getLogger("benchmark"), random.Random(1))
    store = RedisStore(Settings(url=url), host)
    await store.start()
    for number in range(40):
        await store.append(turn(number))
    version = (await store.load(HERE, 20)).version
    floor = await timed(lambda _: store._redis.ping())
    print(f"PING                                          p50 {floor * 1e6:6.0f} µs")
    for what, work in (
        ("read a turn's context, 20 turns", lambda _: store.load(HERE, 20)),
        ("ask for turns of other servers", lambda _: store.newer(HERE, 20, version)),
        ("append a turn", lambda n: store.append(turn(1000 + n))),
    ):
        took = await timed(work)
        print(f"{what:45} p50 {took * 1e6:6.0f} µs   {took / floor:.2f} × PING (target: 1.5)")

    async def worker(which: int) -> None:
        for number in range(200):
            await store.append(turn(number, Scope("default", f"npc{which}", "player")))

    begun = time.perf_counter()
    await asyncio.gather(*(worker(which) for which in range(16)))
    print(f"append, 16 at once: {16 * 200 / (time.perf_counter() - begun):.0f} a second")
    await store.stop()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        try:
            asyncio.run(measure(server.url, Path(folder)))
        finally:
            server.stop()


if __name__ == "__main__":
    main()

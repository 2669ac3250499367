"""The built-in SQLite store, against the raw operations in the same run.

    uv run benchmarks/storage.py            # 100,000 turns, two minutes
    uv run benchmarks/storage.py --turns 10000
    uv run benchmarks/storage.py --lengths  # searches in short and long conversations of one store, by CPU time

Reading is compared with the bare query on another connection, appending with a hop to a thread and one fdatasync.
Searches use words outside the fifty most frequent (the stop list contains those). `cached` is the conversation's copy
in memory, which every turn but the first uses.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path

from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.storage import Scope, TurnRecord
from rfsn_core.defaults.storage import Settings
from rfsn_core.defaults.storage.store import Sqlite
from rfsn_core.defaults.storage.tables import FIELDS
from rfsn_core.memory.cards import Card

WORDS = ["".join(syllables) for syllables in itertools.product(("ka", "lo", "mer", "tin", "vas", "ru"), repeat=5)][
    :5000
]
"""A vocabulary. The nth word occurs in proportion to 1/n, as in any language."""
OFTEN = list(itertools.accumulate(1 / n for n in range(1, len(WORDS) + 1)))


def scope(npc: int) -> Scope:
    return Scope("default", f"npc{npc}", "player")


def turn(number: int, npc: int, draw: random.Random) -> TurnRecord:
    def said(count: int) -> str:
        return " ".join(draw.choices(WORDS, cum_weights=OFTEN, k=count)).capitalize() + "."

    return TurnRecord(
        turn_id=f"t{number}",
        scope=scope(npc),
        time=1e9 + number,
        player_text=said(10),
        npc_text=said(25),
        outcome="complete",
        decision_id=f"d{number}",
        state=NpcState(turns=number).plain(),
        card=Card(gifts=number).plain() if number % 5 == 0 else None,
    )


def percentile(times: list[float], share: float) -> float:
    return statistics.quantiles(times, n=1000)[round(share * 1000) - 1]


async def timed(work: Callable[[int], Awaitable[object]], count: int) -> list[float]:
    times = []
    for number in range(count):
        begun = time.perf_counter()
        await work(number)
        times.append(time.perf_counter() - begun)
    return times


def show(what: str, times: list[float], floor: float | None = None, name: str = "") -> None:
    p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
    ratio = f"   {p50 / floor:5.2f} × {name}" if floor else ""
    print(f"{what:58} p50 {p50 * 1e6:8.0f} µs   p99 {p99 * 1e6:8.0f} µs{ratio}")


async def measure(folder: Path, turns: int, npcs: int) -> None:
    draw = random.Random(1)
    store = Sqlite(folder / "memory.db", Settings())
    await store.start()

    batch = 500
    for start in range(0, turns, batch):
        await asyncio.gather(*(store.append(turn(n, n % npcs, draw)) for n in range(start, start + batch)))
    print(f"{turns} turns of {npcs} NPCs\n")

    def synced() -> None:
        os.write(descriptor, b"x" * 1000)
        os.fdatasync(descriptor) if hasattr(os, "fdatasync") else os.fsync(descriptor)

    with (folder / "floor").open("wb") as file:
        descriptor = file.fileno()
        hop = await timed(lambda _: asyncio.to_thread(lambda: None), 2000)
        floor = await timed(lambda _: asyncio.to_thread(synced), 500)
    show("a hop to a thread and back", hop)
    show("a hop and a synced write of 1 kB", floor)
    more = [turn(turns + n, n % npcs, draw) for n in range(20_000)]
    alone = await timed(lambda n: store.append(more.pop()), 500)
    show("append, one at a time", alone, percentile(floor, 0.5), "hop and sync (target: 1.5)")

    async def worker() -> None:
        for _ in range(200):
            await store.append(more.pop())

    for workers in (16, 64):
        begun = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(workers)))
        rate = workers * 200 / (time.perf_counter() - begun)
        print(f"append, {workers} at once: {rate:.0f} a second" + (" (target: 10,000)" if workers == 16 else ""))
    print()

    read = await timed(lambda n: store.load(scope(n % npcs), 20), 2000)
    rare, weights = WORDS[50:], [often - OFTEN[49] for often in OFTEN[50:]]
    asked = [" ".join(draw.choices(rare, cum_weights=weights, k=4)) for _ in range(2000)]
    searches = await timed(lambda n: store.search(scope(n % npcs), asked[n], 5), 2000)
    await store.close()
    raw = []
    with closing(sqlite3.connect(folder / "memory.db")) as db:
        conversations = dict(db.execute("SELECT npc, id FROM conversations"))
        sql = f"SELECT {FIELDS} FROM turns WHERE conversation=? AND live=1 ORDER BY position DESC, id DESC LIMIT 20"
        for n in range(2000):
            begun = time.perf_counter()
            db.execute(sql, (conversations[f"npc{n % npcs}"],)).fetchall()
            raw.append(time.perf_counter() - begun)
    show("the bare query: 20 turns", raw)
    both = percentile(raw, 0.5) + percentile(hop, 0.5)
    show("read a turn's context: state, 20 turns, memories, card", read, both, "query and hop (target: 1.5)")
    cached: dict[Scope, Card] = {scope(n): Card() for n in range(npcs)}
    hits = []
    for n in range(20_000):
        begun = time.perf_counter()
        cached[scope(n % npcs)]
        hits.append(time.perf_counter() - begun)
    show("cached by the conversation (target: 20 µs)", hits)
    print()
    show(f"search in a store of {turns} turns (target: 2 and 8 ms)", searches)


async def measure_lengths(folder: Path, lengths: Sequence[int]) -> None:
    draw = random.Random(1)
    store = Sqlite(folder / "memory.db", Settings(synchronous="NORMAL"))
    await store.start()
    order = [npc for npc, length in enumerate(lengths) for _ in range(length)]
    draw.shuffle(order)
    for start in range(0, len(order), 500):
        await asyncio.gather(*(store.append(turn(n, npc, draw)) for n, npc in enumerate(order[start:][:500], start)))
    rare, weights = WORDS[50:], [often - OFTEN[49] for often in OFTEN[50:]]
    queries = [" ".join(draw.choices(rare, cum_weights=weights, k=4)) for _ in range(100)]
    cpu = dict.fromkeys(lengths, 0.0)
    for query in queries:  # one length after the other, so that a busy machine does not favour one of them
        for npc, length in enumerate(lengths):
            times = []
            for _ in range(5):
                begun = time.process_time()
                await store.search(scope(npc), query, 5)
                times.append(time.process_time() - begun)
            cpu[length] += min(times) / len(queries)
    await store.close()
    for length in lengths:
        ratio = cpu[length] / cpu[lengths[0]]
        print(f"search among {length:7} turns: {cpu[length] * 1e6:6.0f} µs of CPU, {ratio:5.2f} × the shortest")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=100_000)
    parser.add_argument("--npcs", type=int, default=100)
    parser.add_argument("--lengths", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.lengths:
            asyncio.run(measure_lengths(Path(folder), (10, 100, 1000, 10_000, 100_000)))
        else:
            asyncio.run(measure(Path(folder), options.turns, options.npcs))


if __name__ == "__main__":
    main()

"""What a long run costs: turns a second at saturation, pauses of the collector, and what grows with what.

    uv run benchmarks/long_run.py                   # two minutes
    uv run benchmarks/long_run.py --big             # the sizes of the targets: a quarter of an hour

Everything is a ratio within one run: to the floor, Starlette that answers with 25 messages, or to the smallest size.
Server and client share the process, so both ends count. Turns are stored in SQLite; hundreds of lines are said.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import logging
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from collector import Pauses
from script import said
from turn_overhead import Mute, Paced, cpu_of_an_echo, serving

from rfsn_core import protocol
from rfsn_core.contract.storage import MemoryKind, MemoryRecord, MemorySource, Scope, TurnRecord
from rfsn_core.kernel import Kernel, conversation
from rfsn_core.learning.records import LoggedTurn
from rfsn_core.testing import NPC, kernel, plugin
from rfsn_core.testing.client import connected

AT_ONCE = 25
BLOCK = 20
"""Turns of which the CPU is measured together."""
SETTINGS: dict[str, Any] = {"operations": {"log_level": "error"}}


def rss() -> int:
    """Return the memory of this process in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


# ── saturation ───────────────────────────────────────────────────────────────────────────────────


async def saturation(turns: int) -> None:
    """Let 25 players talk as fast as they can, and print what came of it."""
    numbers, took = itertools.count(), list[float]()
    pauses = Pauses()
    async with serving(0) as server, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(server.ws)) for _ in range(AT_ONCE)]

        async def talk(number: int, count: int) -> None:
            for turn in range(count):
                begun = time.perf_counter()
                player = f"p{number}.{turn // BLOCK}"
                await clients[number].turn(NPC, text=said(next(numbers)), player=player)
                took.append(time.perf_counter() - begun)

        async def all_talk(count: int) -> None:
            await asyncio.gather(*(talk(number, count // AT_ONCE) for number in range(AT_ONCE)))

        await all_talk(turns // 4)
        took.clear()
        before, begun, cpu = rss(), time.perf_counter(), time.process_time()
        gc.callbacks.append(pauses)
        await all_talk(turns)
        gc.callbacks.remove(pauses)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        grown = rss() - before
    ranks = statistics.quantiles(took, n=100)
    longest = max(itertools.chain.from_iterable(pauses.seconds.values()), default=0.0)
    print(f"at saturation, {AT_ONCE} at once: {len(took) / seconds:.0f} turns/s, {cpu / len(took) * 1000:.2f} ms CPU")
    print(f"  a turn, ms: p50 {ranks[49] * 1000:.1f}, p95 {ranks[94] * 1000:.1f}, p99 {ranks[98] * 1000:.1f}")
    print(f"  collections: {sum(map(len, pauses.seconds.values()))}, the longest {longest * 1000:.1f} ms")
    print(f"  memory: {grown / len(took) / 1000:.1f} kB a turn")


# ── growth ───────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def world(files: dict[str, str] | None = None, memories: int = 0, history: int = 0) -> AsyncIterator[Kernel]:
    """Run a kernel with a world of these files, and with a past."""
    offered = plugin(rendering={"paced": Paced(0)}, speech={"mute": Mute()})
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {f"npcs/{NPC}.toml": 'name = "Berit"\n', **(files or {})}.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            os.utime(path, (1, 1))
        async with kernel(Path(folder), offered, settings=SETTINGS) as it:
            for first in range(0, max(history, memories), 500):
                some = range(first, min(first + 500, max(history, memories)))
                await it.turn_log.append(*(LoggedTurn(turn=past(number, memories)) for number in some))
            await it.conversations.follower.caught_up(600)
            yield it


def past(number: int, memories: int) -> TurnRecord:
    """Return a turn of the past, with a memory if there are to be so many."""
    turn_id = f"past{number}"
    text = said(number * 7)
    turn = TurnRecord(
        turn_id=turn_id, scope=Scope("default", NPC, "player"), time=1000.0 + number, player_text=text,
        npc_text=f"I heard of it on day {number % 365}.", outcome="complete", decision_id=turn_id, state={},
    )  # fmt: skip
    if number >= memories:
        return turn
    memory = MemoryRecord(
        memory_id=turn_id, kind=MemoryKind.FACT, source=MemorySource.PLAYER, text=f"Fact {number}: {text}",
        time=1000.0 + number, turn_id=turn_id,
    )  # fmt: skip
    return replace(turn, memories=(memory,))


async def one_turn(it: Kernel, number: int, player: str = "player") -> float:
    """Run a turn and return its CPU seconds."""
    before = time.process_time()
    message = protocol.PlayerTurn(npc=NPC, text=said(number), player=player)
    async for _ in conversation(it, message, protocol.Hello(text=True)):
        pass
    return time.process_time() - before


async def later_turns(it: Kernel) -> float:
    """Return the CPU seconds of a turn: the median of blocks."""
    for number in range(BLOCK):
        await one_turn(it, number)
    blocks = [[await one_turn(it, block * BLOCK + number) for number in range(BLOCK)] for block in range(6)]
    return statistics.median(statistics.fmean(block) for block in blocks)


async def grown(what: str, sizes: list[int], measure: Callable[[int], Any]) -> None:
    """Print a measure at each size, and its ratio to the smallest."""
    smallest = 0.0
    for size in sizes:
        seconds = await measure(size)
        smallest = smallest or seconds
        print(f"  {what:52} {size:7}  {seconds * 1000:8.2f} ms  {seconds / smallest:6.2f} ×")


async def with_history(size: int) -> float:
    async with world(history=size) as it:
        return await later_turns(it)


async def first_with_memories(size: int) -> float:
    async with world(memories=size) as it:
        await one_turn(it, 0, "somebody else")
        return await one_turn(it, 1)


async def first_with_lore(size: int) -> float:
    lore = {f"lore/{number:05}.md": f"Of {said(number)} it is told on day {number}. " * 4 for number in range(size)}
    async with world(lore) as it:
        return await one_turn(it, 0)


async def reload_of_one(size: int) -> float:
    npcs = {f"npcs/n{number:05}.toml": f'name = "Npc {number}"\nknows = ["The well."]\n' for number in range(size)}
    async with world(npcs) as it:
        (it.runtimes.world_dir / "npcs" / "n00003.toml").write_text(
            'name = "Changed"\nknows = ["The well."]\n', "utf-8"
        )
        before = time.process_time()
        await it.runtimes.reload()
        return time.process_time() - before


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=1500, help="turns at saturation")
    parser.add_argument("--big", action="store_true", help="histories of 100,000 turns, and 10,000 of the rest")
    options = parser.parse_args()
    logging.disable()
    floor = asyncio.run(cpu_of_an_echo(300))
    print(f"floor: Starlette answers with 25 messages, both ends: {floor * 1000:.2f} ms CPU, {1 / floor:.0f} a second")
    asyncio.run(saturation(options.turns))
    most = 10_000 if options.big else 2000
    print("what grows with what, CPU")
    history = [10, 1000, most * 10 if options.big else most]
    asyncio.run(grown("a turn after a history of so many turns", history, with_history))
    asyncio.run(first_with_lore(1))  # what a process does once is not part of it
    asyncio.run(grown("the first turn with so many memories", [10, most], first_with_memories))
    asyncio.run(grown("the first turn in a world with so many lore files", [10, most], first_with_lore))
    asyncio.run(grown("a reload of one of so many NPC files", [10, most], reload_of_one))


if __name__ == "__main__":
    main()

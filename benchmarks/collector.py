"""How long the garbage collector stops a server: many conversations at once, each collection timed.

uv run benchmarks/collector.py            # as `rfsn serve` sets the collector
uv run benchmarks/collector.py --plain    # Python's own thresholds, nothing exempt
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import resource
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from rfsn_core import protocol
from rfsn_core.kernel import Kernel, conversation
from rfsn_core.server.collector import Collector
from rfsn_core.testing import NPC, kernel, plugin
from rfsn_core.testing.scripted import Tokens

AT_ONCE = 25


class Pauses:
    """CPU seconds of each collection, by generation."""

    def __init__(self) -> None:
        self.seconds: dict[int, list[float]] = {0: [], 1: [], 2: []}
        self._started = 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        """Take the time: a function for `gc.callbacks`."""
        if phase == "start":
            self._started = time.thread_time()
        else:
            self.seconds[info["generation"]].append(time.thread_time() - self._started)


async def talk(it: Kernel, player: str, turns: int) -> None:
    """One player, turn after turn."""
    for number in range(turns):
        message = protocol.PlayerTurn(npc=NPC, player=player, text=f"What is new, number {number}?")
        async for _ in conversation(it, message, protocol.Hello()):
            pass


async def measure(turns: int, *, plain: bool) -> None:
    """Run the turns and print what the collector took."""
    pauses = Pauses()
    offered = plugin(rendering={"tokens": Tokens(["All quiet here. ", "Nothing to tell."])})
    with tempfile.TemporaryDirectory() as folder:
        async with kernel(Path(folder), offered, settings={"memory": {"related": 0}}) as it:
            with nullcontext() if plain else Collector() as collector:
                if collector is not None:
                    collector.settle()
                gc.callbacks.append(pauses)
                cpu = time.process_time()
                await asyncio.gather(*(talk(it, f"player{n}", turns // AT_ONCE) for n in range(AT_ONCE)))
                cpu = time.process_time() - cpu
                gc.callbacks.remove(pauses)
    for generation, name in enumerate(("young", "middle", "full")):
        times = pauses.seconds[generation]
        print(f"{name}: {len(times)} collections, longest {1000 * max(times, default=0):.1f} ms")
    collecting = sum(map(sum, pauses.seconds.values()))
    print(f"a turn: {1e6 * collecting / turns:.0f} µs of collecting, {100 * collecting / cpu:.1f} % of its CPU")
    print(f"memory at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:.0f} MB")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=2000)
    parser.add_argument("--plain", action="store_true", help="leave the collector as Python sets it")
    arguments = parser.parse_args()
    logging.disable()
    asyncio.run(measure(arguments.turns, plain=arguments.plain))


if __name__ == "__main__":
    main()

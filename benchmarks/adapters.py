"""Time to choose and switch adapters: 35 adapters, 300 NPCs.

    uv run benchmarks/adapters.py

Measures the time from a turn's request for an adapter until it has one. The server answers at once and turns release
their adapters at once, so only RFSN's own time is left. `switch`: the adapter must first replace another one.
"""

from __future__ import annotations

import asyncio
import logging
import random
import tempfile
import time
from pathlib import Path

from rfsn_llm_vllm.adapters import Adapters
from rfsn_llm_vllm.archetypes import BUILT_IN, TASK_OF, TASKS, Registry

NPCS, TURNS, PLACES = 300, 40, 10


async def answer(*_: str) -> None:
    """A server that answers at once."""


def percentiles(times: list[float]) -> str:
    times.sort()
    p50, p99 = (times[int(len(times) * share)] * 1000 for share in (0.5, 0.99))
    return f"p50 {p50:6.3f} ms, p99 {p99:6.3f} ms, worst {times[-1] * 1000:6.3f} ms   ({len(times)} turns)"


async def measure(registry: Registry, places: int, pace: float) -> None:
    adapters = Adapters(answer, answer, places, 0.05, logging.getLogger("benchmark"))
    times: dict[str, list[float]] = {"loaded": [], "switch": []}
    actions = list(TASK_OF)

    async def npc(number: int) -> None:
        generator = random.Random(number)
        archetype = list(BUILT_IN)[number % len(BUILT_IN)]
        for _ in range(TURNS):
            await asyncio.sleep(pace * generator.random())
            start = time.perf_counter()
            name, path = registry.choose(archetype, generator.choice(actions))
            there = name in adapters.loaded
            async with adapters.using(name, path):
                times["loaded" if there else "switch"].append(time.perf_counter() - start)

    await asyncio.gather(*(npc(number) for number in range(NPCS)))
    await adapters.close()
    print(f"{places} places, {adapters.switches} loads (target: p99 5 ms)")
    for kind, waits in times.items():
        if waits:
            print(f"  {kind:8} {percentiles(waits)}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder)
        for archetype in BUILT_IN:
            for task in TASKS:
                (world / "adapters" / archetype / task).mkdir(parents=True)
        registry = Registry(world, "adapters")
        for places in (len(BUILT_IN) * len(TASKS), PLACES):
            asyncio.run(measure(registry, places, 0.2))


if __name__ == "__main__":
    main()

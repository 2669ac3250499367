"""Whether this machine and these settings are fast enough: delay, throughput, memory and start, without a model.

A renderer sends 21 tokens in three sentences at 20 tokens a second, as a good engine does. Everything else is the
world's own: its NPCs, prompts, gates, policy. The delay of a sentence is the time from its last token to the message
that carries it; the delay of a decision is the time from the turn to its decision.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import shutil
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from rfsn_core import protocol
from rfsn_core.contract.capabilities import Capabilities
from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import NoSettings, Provider
from rfsn_core.contract.rendering import Prompt, RenderOptions
from rfsn_core.exam.run import SAFE, merged
from rfsn_core.kernel import Kernel, conversation, running
from rfsn_core.plugins.discovery import discover
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.telemetry.resident import resident_bytes

TOKENS_A_SECOND = 20
SENTENCES = (
    (" the", " ferry", " stopped", " nine", " days", " ago."),
    (" the", " rope", " is", " fine,", " I", " say."),
    (" come", " in", " and", " have", " some", " stew."),
)
"""After a first token for each, which names it."""
TOKENS = sum(len(sentence) + 1 for sentence in SENTENCES)
SAID = (
    "Hello", "Do you have a room for the night?", "What do you know about the bridge?", "Thank you, friend.",
    "Have you seen the captain?", "I want to buy an ale.", "Tell me a rumour.", "You are a liar!",
)  # fmt: skip
BARS = {100: 150.0, 500: 250.0}
"""NPCs that talk at once → the most milliseconds of delay at the 95th percentile."""
STARVED_MS, STARVED_BUSY = 20.0, 0.7
AIMS = {100: 10.0, 500: 25.0, 1000: 30.0}
"""What we aim at ourselves."""


class Spread(msgspec.Struct, frozen=True):
    """Percentiles, in milliseconds."""

    p50: float
    p95: float
    p99: float
    count: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        """Return the percentiles of times in seconds."""
        p50, p95, p99 = (round(float(value) * 1000, 2) for value in np.percentile(seconds or [0.0], [50, 95, 99]))
        return cls(p50, p95, p99, len(seconds))


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured while so many NPCs talked at once."""

    npcs: int
    sentence: Spread
    decision: Spread
    timers: Spread
    """How late the event loop's timers were: no program on this machine could be faster."""
    turns_a_second: float
    busy: float
    """CPU of the process, as a share of one core."""
    bar: float | None = None
    aim: float | None = None

    @property
    def starved(self) -> bool:
        """Whether other programs used the processor: timers were late while this one had part of a core."""
        return self.timers.p95 > STARVED_MS and self.busy < STARVED_BUSY

    @property
    def verdict(self) -> str:
        """`passed`, `failed`, `unsure` when the bar was missed on a starved machine; empty without a bar."""
        if self.bar is None:
            return ""
        return "passed" if self.sentence.p95 <= self.bar else "unsure" if self.starved else "failed"


class Speed(msgspec.Struct, kw_only=True):
    """Everything that was measured."""

    loads: list[Load]
    turns_a_second: float = 0.0
    """At saturation: 25 conversations at once, and a renderer that does not wait."""
    cpu_ms: float = 0.0
    """Of a turn at saturation."""
    start_seconds: float = 0.0
    """CPU seconds until a world of `start_npcs` NPCs is ready."""
    start_npcs: int = 0
    idle_kb: float | None = None
    """Memory for each conversation that is loaded, and does not talk; None where the system does not tell."""
    talking_kb: float | None = None
    """Memory for each that talks, besides."""


@dataclass
class _Paced:
    """The renderer."""

    interval: float
    ended: dict[str, float] = field(default_factory=dict)
    """First word of a sentence → when its last token was sent."""
    _count: Iterator[int] = field(default_factory=itertools.count)

    async def render(self, prompt: Prompt, options: RenderOptions) -> AsyncIterator[str]:
        """Yield the tokens at an even pace."""
        turn, due = next(self._count), time.perf_counter()
        for number, words in enumerate(SENTENCES):
            name = f"S{turn}x{number}"
            for token in (f" {name}" if number else name, *words):
                if self.interval:
                    due += self.interval
                    await asyncio.sleep(max(0.0, due - time.perf_counter()))
                if token is words[-1]:
                    self.ended[name] = time.perf_counter()
                yield token


def _plugin(renderer: _Paced) -> tuple[str, Any]:
    class Offer:
        @hookimpl
        def rfsn_rendering(self) -> Iterable[Provider[Any, Any]]:
            yield Provider(
                "paced", NoSettings, lambda settings, host: nullcontext(renderer), "21 tokens at an even pace",
                capabilities=Capabilities(reports=False),
            )  # fmt: skip

    return "rfsn_exam_speed", Offer()


def _runtimes(world: Path, config_file: Path | None, data: Path, renderer: _Paced) -> Runtimes:
    paced = {"rendering": {"provider": "paced", "fallback": []}, "data_dir": str(data)}
    plugins = discover([_plugin(renderer)], world=world)
    return Runtimes(world, plugins, config_file=config_file, overrides=merged(SAFE, paced))


async def measure(
    world: Path, config_file: Path | None, folder: Path, counts: Sequence[int], seconds: float, start_npcs: int
) -> Speed:
    """Measure everything.

    :param folder: an empty folder for the data, which the caller removes.
    :param counts: how many NPCs talk at once.
    :param seconds: of each load.
    """
    speed = Speed(loads=[])
    for number, count in enumerate(counts):
        renderer = _Paced(1 / TOKENS_A_SECOND)
        async with running(_runtimes(world, config_file, folder / f"load{number}", renderer)) as kernel:
            before = resident_bytes()
            await _prefetch(kernel, count)
            idle = resident_bytes()
            speed.loads.append(await _load(kernel, renderer, count, seconds))
            if count == max(counts) and before is not None and idle is not None:
                speed.idle_kb = round((idle - before) / count / 1024, 1)
                speed.talking_kb = round(((resident_bytes() or idle) - idle) / count / 1024, 1)
    renderer = _Paced(0.0)
    async with running(_runtimes(world, config_file, folder / "saturation", renderer)) as kernel:
        await _saturate(kernel, speed, max(1.0, seconds / 2))
    if start_npcs:
        speed.start_npcs, speed.start_seconds = start_npcs, await _start(world, folder / "many", start_npcs)
    return speed


def _players(kernel: Kernel, count: int) -> list[tuple[str, str]]:
    """Return (NPC, player) of so many conversations."""
    npcs = list(kernel.runtimes.current.world.npcs)
    return [(npcs[number % len(npcs)], f"player {number}") for number in range(count)]


async def _prefetch(kernel: Kernel, count: int) -> None:
    for npc, player in _players(kernel, count):
        await asyncio.gather(*kernel.prefetch(protocol.Prefetch(npcs=[npc], player=player)))


async def _load(kernel: Kernel, renderer: _Paced, count: int, seconds: float) -> Load:
    arrived: dict[str, float] = {}
    decisions: list[float] = []
    finished = 0
    until = time.perf_counter() + seconds

    async def talk(npc: str, player: str, wait: float) -> None:
        nonlocal finished
        await asyncio.sleep(wait)
        for number in itertools.count():
            if number and time.perf_counter() >= until:
                return
            begun = time.perf_counter()
            message = protocol.PlayerTurn(npc=npc, player=player, text=SAID[number % len(SAID)])
            async with aclosing(conversation(kernel, message, protocol.Hello(audio=False))) as items:
                async for item in items:
                    if isinstance(item, protocol.Decision):
                        decisions.append(time.perf_counter() - begun)
                    elif isinstance(item, protocol.Sentence):
                        arrived[item.text.split(maxsplit=1)[0]] = time.perf_counter()
            finished += 1

    chance = random.Random(0)
    spent, began = time.process_time(), time.perf_counter()
    late = asyncio.create_task(_lateness(until))
    await asyncio.gather(*(talk(*who, chance.random() * TOKENS / TOKENS_A_SECOND) for who in _players(kernel, count)))
    wall = time.perf_counter() - began
    delays = [at - renderer.ended[name] for name, at in arrived.items() if name in renderer.ended]
    return Load(
        npcs=count,
        sentence=Spread.of(delays),
        decision=Spread.of(decisions),
        timers=Spread.of(await late),
        turns_a_second=round(finished / wall, 1),
        busy=round((time.process_time() - spent) / wall, 2),
        bar=BARS.get(count),
        aim=AIMS.get(count),
    )


async def _lateness(until: float) -> list[float]:
    late = []
    while (now := time.perf_counter()) < until:
        await asyncio.sleep(0.05)
        late.append(time.perf_counter() - now - 0.05)
    return late


async def _saturate(kernel: Kernel, speed: Speed, seconds: float) -> None:
    done = 0
    until = time.perf_counter() + seconds

    async def talk(npc: str, player: str) -> None:
        nonlocal done
        for number in itertools.count():
            if time.perf_counter() >= until:
                return
            message = protocol.PlayerTurn(npc=npc, player=player, text=SAID[number % len(SAID)])
            async with aclosing(conversation(kernel, message, protocol.Hello(audio=False))) as items:
                async for _ in items:
                    pass
            done += 1

    spent, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(talk(*who) for who in _players(kernel, 25)))
    speed.turns_a_second = round(done / (time.perf_counter() - began), 1)
    speed.cpu_ms = round((time.process_time() - spent) / max(1, done) * 1000, 2)


async def _start(world: Path, folder: Path, count: int) -> float:
    """Return the CPU seconds until a world with so many copies of the world's NPCs is ready."""
    (folder / "npcs").mkdir(parents=True)
    originals = sorted((world / "npcs").glob("*.toml"))
    for number in range(count):
        original = originals[number % len(originals)]
        shutil.copy(original, folder / "npcs" / f"{original.stem}_{number}.toml")
    for place in ("lore", "lines", "prompts"):
        if (world / place).is_dir():
            shutil.copytree(world / place, folder / place)
    began = time.process_time()
    async with running(_runtimes(folder, None, folder / "data", _Paced(0.0))):
        return round(time.process_time() - began, 2)

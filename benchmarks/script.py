"""The script that `turn_overhead` plays, and the times it notes: the same words and pace for us and for a peer."""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import time
from collections.abc import AsyncIterator, Sequence

TOKENS = 22
WORDS = (
    ["the", " ferry", " stopped", " nine", " days", " ago."],
    ["the", " rope", " is", " fine,", " I", " say."],
    ["come", " in", " and", " have", " some", " stew", "."],
)
"""Three sentences; each begins with a token that names it, so that its times can be told apart: 22 tokens."""
_turns = itertools.count()

ended: dict[str, float] = {}
"""Sentence → when the last token of it was given out."""
spoke: dict[str, float] = {}
"""Sentence → when the speech engine was called with it."""


async def tokens(interval: float) -> AsyncIterator[str]:
    """A turn's tokens, evenly paced; notes when each sentence ends."""
    turn = next(_turns)
    due = time.perf_counter()
    for number, words in enumerate(WORDS):
        name = f"S{turn}x{number}"
        for token in (f"{name} ", *words):
            if interval:
                due += interval
                await asyncio.sleep(due - time.perf_counter())
            if token is words[-1]:
                ended[name] = time.perf_counter()
            yield token if token is not words[-1] or number == len(WORDS) - 1 else token + " "


def called(text: str) -> None:
    """The speech engine was called with this sentence."""
    spoke[text.split(maxsplit=1)[0]] = time.perf_counter()


def stagger(conversation: int, interval: float) -> float:
    """Seconds that a session waits before its first turn, so that they do not march in step."""
    return random.Random(conversation).random() * interval * TOKENS


def spread(delays: Sequence[float]) -> str:
    """p50 and p95 in milliseconds."""
    if len(delays) < 2:
        return "      –       –"
    percentiles = statistics.quantiles(delays, n=100)
    return f"{percentiles[49] * 1000:7.2f} {percentiles[94] * 1000:7.2f}"


def p95(delays: Sequence[float]) -> float:
    """In seconds."""
    return statistics.quantiles(delays, n=100)[94]


def delays(times: dict[str, float]) -> list[float]:
    """Seconds from the end of each sentence to its time in `times`."""
    return [at - ended[name] for name, at in times.items() if name in ended]


async def lateness(seconds: float, interval: float) -> list[float]:
    """How late the event loop's own timers are: what no framework on this loop can beat."""
    late = []
    until = time.perf_counter() + seconds
    while (now := time.perf_counter()) < until:
        await asyncio.sleep(interval)
        late.append(time.perf_counter() - now - interval)
    return late

"""The script of `turn_overhead` and the times it notes. RFSN and its peer play the same words at the same pace."""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence

TOKENS = 22
WORDS = (
    ["the", " ferry", " stopped", " nine", " days", " ago."],
    ["the", " rope", " is", " fine,", " I", " say."],
    ["come", " in", " and", " have", " some", " stew", "."],
)
"""Three sentences of 22 tokens. Each begins with a token that identifies it, so that its times can be matched."""
_turns = itertools.count(100)
CONSONANTS, VOWELS = "bdfgklmnprstvwz", "aeiou"

ended: dict[str, float] = {}
"""Time at which the last token of each sentence was sent."""
spoke: dict[str, float] = {}
"""Time at which the speech engine was called with each sentence."""


def named(number: int) -> str:
    """Return a name for a sentence, in syllables: a gate reads figures within words as a disguise."""
    syllables = "".join(CONSONANTS[digit // 5] + VOWELS[digit % 5] for digit in _digits(number, 75))
    return f"{syllables.capitalize()}n"


def _digits(number: int, base: int) -> Iterator[int]:
    while True:
        number, digit = divmod(number, base)
        yield digit
        if not number:
            return


async def tokens(interval: float) -> AsyncIterator[str]:
    """Yield the tokens of a turn at an even pace, and note when each sentence ends."""
    turn = next(_turns)
    due = time.perf_counter()
    for number, words in enumerate(WORDS):
        name = named(turn * len(WORDS) + number)
        for token in (f"{name} ", *words):
            if interval:
                due += interval
                await asyncio.sleep(due - time.perf_counter())
            if token is words[-1]:
                ended[name] = time.perf_counter()
            yield token if token is not words[-1] or number == len(WORDS) - 1 else token + " "


def called(text: str) -> None:
    """Note that the speech engine was called with this sentence."""
    spoke[text.split(maxsplit=1)[0]] = time.perf_counter()


def stagger(conversation: int, interval: float) -> float:
    """Return the seconds that a conversation waits before its first turn, so that not all start at once."""
    return random.Random(conversation).random() * interval * TOKENS


def spread(delays: Sequence[float]) -> str:
    """Return p50, p95 and p99 in milliseconds, as text."""
    if len(delays) < 2:
        return "      –       –       –"
    percentiles = statistics.quantiles(delays, n=100)
    return " ".join(f"{percentiles[rank - 1] * 1000:7.2f}" for rank in (50, 95, 99))


def p95(delays: Sequence[float]) -> float:
    """Return the 95th percentile in seconds."""
    return statistics.quantiles(delays, n=100)[94]


def delays(times: dict[str, float]) -> list[float]:
    """Return the seconds from the end of each sentence to its time in `times`."""
    return [at - ended[name] for name, at in times.items() if name in ended]


async def lateness(seconds: float, interval: float) -> list[float]:
    """Measure how late the event loop's timers are: no framework on this loop can be faster."""
    late = []
    until = time.perf_counter() + seconds
    while (now := time.perf_counter()) < until:
        await asyncio.sleep(interval)
        late.append(time.perf_counter() - now - interval)
    return late


SAID = (
    "Hello, how is {}?", "Do you know anything about {}?", "What do you think of {}?", "I thank you for {}.",
    "Have you seen {}?", "I want to buy {}.", "Tell me a rumour about {}.", "You are a liar, there is no {}!",
    "I promise that I will find {}.", "I love {}.", "Who owns {}?", "I hate {}!", "Where is {}?", "Well, {} is gone.",
)  # fmt: skip
ABOUT = (
    "the bridge", "the ferry", "an ale", "the captain", "the old mill", "your brother", "a room", "the king's road",
    "the market", "plums", "the missing boat", "a good sword", "the healer", "that wolf", "the fair", "the war", "rain",
)  # fmt: skip


def said(number: int) -> str:
    """Return what a player says: hundreds of lines before one comes again."""
    return SAID[number % len(SAID)].format(ABOUT[number % len(ABOUT)])

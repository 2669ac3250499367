"""From scores to probabilities, and from probabilities to a choice that can be repeated."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def uniform(key: bytes, *parts: str) -> float:
    """Return a number in [0, 1) that depends on the key and the parts alone: any draw can be repeated on its own."""
    digest = hashlib.blake2b("\x1f".join(parts).encode(), key=key, digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53


# Plain Python from here on: for nine candidates it is faster than numpy.


def floored(shares: Sequence[float], floor: float) -> list[float]:
    """Return `shares` with the probability `floor` shared equally by all arms."""
    each = floor / len(shares)
    return [(1.0 - floor) * share + each for share in shares]


TIE = 1e-9
"""Scores that are nearer tie: their last bits depend on how many arms are asked, and no choice must hang on them."""


def greedy(scores: list[float]) -> list[float]:
    """Return all probability on the best arm, shared equally by those that tie."""
    least = max(scores) - TIE
    shares = [1.0 if score >= least else 0.0 for score in scores]
    return shares if (count := sum(shares)) == 1.0 else [share / count for share in shares]


def first_best(scores: list[float]) -> int:
    """Return the first arm of those that tie for the best."""
    least = max(scores) - TIE
    return next(index for index, score in enumerate(scores) if score >= least)


def softmax(scores: Sequence[float], temperature: float) -> list[float]:
    """Return exp(score / temperature), normalised."""
    best = max(scores)
    powers = [math.exp((score - best) / temperature) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def best_share(means: Sequence[float], deviations: Sequence[float], samples: int, u: float) -> list[float]:
    """Return how often each arm is the best of `samples` normal draws (Thompson sampling's table).

    The draw is made from this table, and not from a further sample, so that what is logged is what was used.
    """
    generator = np.random.Generator(np.random.PCG64(int(u * 2**53)))
    drawn = np.array(means) + np.array(deviations) * generator.standard_normal((samples, len(means)))
    return shares_of(drawn)


def shares_of(drawn: Array) -> list[float]:
    """Return how often each column has the largest value of its row."""
    counts = np.bincount(drawn.argmax(axis=1), minlength=drawn.shape[1])
    return [count / len(drawn) for count in counts.tolist()]


def choose(propensities: Sequence[float], u: float) -> int:
    """Return the first arm whose cumulated probability is above u."""
    total = 0.0
    for index, propensity in enumerate(propensities):
        total += propensity
        if total > u:
            return index
    return len(propensities) - 1

"""From scores to probabilities, and from probabilities to a choice that can be repeated."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def uniform(key: bytes, *parts: str) -> float:
    """A number in [0, 1) that depends on the key and the parts alone: any draw can be repeated on its own."""
    digest = hashlib.blake2b("\x1f".join(parts).encode(), key=key, digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53


def floored(best: Array, floor: float) -> Array:
    """`best` with the probability `floor` shared equally by all arms."""
    mixed: Array = (1.0 - floor) * best + floor / len(best)
    return mixed


def greedy(scores: Array) -> Array:
    """All probability on the best arm; equally on the best ones when they tie to 1e-9."""
    best = np.round(scores, 9)
    ties = best == best.max()
    shared: Array = ties / ties.sum()
    return shared


def softmax(scores: Array, temperature: float) -> Array:
    """exp(score / temperature), normalised."""
    powers = np.exp((scores - scores.max()) / temperature)
    shares: Array = powers / powers.sum()
    return shares


def best_share(means: Array, deviations: Array, samples: int, u: float) -> Array:
    """How often each arm is the best of `samples` draws from its normal distribution (Thompson sampling's table).

    The draw is made from this table, and not from a further sample, so that what is logged is what was used.
    """
    generator: Any = np.random.Generator(np.random.PCG64(int(u * 2**53)))
    drawn = means + deviations * generator.standard_normal((samples, len(means)))
    counts: Array = np.bincount(drawn.argmax(axis=1), minlength=len(means)) / samples
    return counts


def choose(propensities: Array, u: float) -> int:
    """The first arm whose cumulated probability is above u."""
    index = int(np.searchsorted(np.cumsum(propensities), u, side="right"))
    return min(index, len(propensities) - 1)


def normalised(propensities: Sequence[float] | Array) -> tuple[float, ...]:
    """As plain numbers that sum to 1 within float noise."""
    values = np.asarray(propensities, dtype=float)
    return tuple((values / values.sum()).tolist())

"""Is learning better than not learning? The rewards of the learned choices against those of the default's.

Only decisions count in which the two differ; elsewhere the player gets the same either way. A stretch of a conversation
belongs to one of the two as a whole, by chance, so the two groups of stretches are alike but for the policy.

The interval holds at every moment at once, however often one looks (an asymptotic confidence sequence: Waudby-Smith,
Arbour, Sinha, Kennedy, Ramdas, arXiv 2103.06476, theorem 2.2). Rewards within a stretch are not independent, so its
standard error is that of whole stretches.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import msgspec

from rfsn_core.world.trial import Acting

ALPHA = 0.05
"""Probability that the interval is ever wrong."""
SHARPEST_AT = 500
"""Decisions at which the interval is narrowest, compared with one for that number alone."""
FEWEST_STRETCHES = 5
"""Stretches of each kind below which nothing is said."""
OPEN = 200
"""Stretches, the newest, that rewards may still come for."""
_LOG = -2 * math.log(ALPHA)
_RHO2 = (_LOG + math.log(_LOG) + 1) / SHARPEST_AT


class Sums(msgspec.Struct):
    """Sums over the stretches of one policy, of their decisions n and rewards s."""

    stretches: int = 0
    n: float = 0.0
    s: float = 0.0
    nn: float = 0.0
    ns: float = 0.0
    ss: float = 0.0

    def add(self, n: float, s: float, sign: int = 1) -> None:
        """Add a stretch, or remove it."""
        self.stretches += sign
        self.n, self.s = self.n + sign * n, self.s + sign * s
        self.nn, self.ns, self.ss = self.nn + sign * n * n, self.ns + sign * n * s, self.ss + sign * s * s

    @property
    def mean(self) -> float:
        """Mean reward of a decision."""
        return self.s / self.n if self.n else 0.0

    @property
    def variance(self) -> float:
        """Of the mean: the sum of (s - mean·n)² over stretches, / n²; inf for one stretch."""
        if self.stretches < 2:
            return math.inf
        squares = self.ss - 2 * self.mean * self.ns + self.mean**2 * self.nn
        return max(0.0, squares) / self.n**2 * self.stretches / (self.stretches - 1)


class Difference(msgspec.Struct, frozen=True):
    """By how much a learned choice is better than the default's, where the two differ."""

    value: float
    low: float
    high: float
    decisions: int
    """That the two groups have together."""

    @property
    def is_sure(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0

    @property
    def more_decisions(self) -> int:
        """How many more decisions of this kind it takes until it is sure, if the difference stays as it is; 0 when it
        is, and -1 when that cannot be said."""
        if self.is_sure:
            return 0
        half = (self.high - self.low) / 2
        if not math.isfinite(half) or abs(self.value) < 1e-6:
            return -1
        return math.ceil(self.decisions * ((half / self.value) ** 2 - 1)) + 1


class Comparison(msgspec.Struct):
    """The rewards of decisions in which the two policies differ."""

    learned: Sums = msgspec.field(default_factory=Sums)
    default: Sums = msgspec.field(default_factory=Sums)
    open: dict[str, tuple[Acting, float, float]] = msgspec.field(default_factory=OrderedDict)
    """Stretch → who acts, decisions, rewards; they are in the sums already."""

    def add(self, acts: Acting, stretch: str, reward: float, before: float | None = None) -> None:
        """Take in what a decision earned.

        :param before: what it had earned when it was last taken in; None for the first time.
        """
        sums = self.learned if acts == "learned" else self.default
        n = s = 0.0
        if (known := self.open.pop(stretch, None)) is not None and known[0] == acts:
            n, s = known[1], known[2]
            sums.add(n, s, -1)
        elif before is not None:
            return  # the stretch is closed
        n, s = (n + 1, s + reward) if before is None else (n, s + reward - before)
        sums.add(n, s)
        self.open[stretch] = (acts, n, s)
        if len(self.open) > OPEN:
            del self.open[next(iter(self.open))]

    def difference(self) -> Difference:
        """Return the difference, with the interval that holds at every moment."""
        n = self.learned.n + self.default.n
        value = self.learned.mean - self.default.mean if self.learned.n and self.default.n else 0.0
        if min(self.learned.stretches, self.default.stretches) < FEWEST_STRETCHES:
            return Difference(value, -math.inf, math.inf, int(n))
        half = _width(n) * math.sqrt(self.learned.variance + self.default.variance)
        return Difference(value, value - half, value + half, int(n))

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers for people."""
        found = self.difference()
        is_known = math.isfinite(found.low)
        return {
            "learned": {"decisions": int(self.learned.n), "mean_reward": round(self.learned.mean, 4)},
            "default": {"decisions": int(self.default.n), "mean_reward": round(self.default.mean, 4)},
            "difference": round(found.value, 4),
            "low": round(found.low, 4) if is_known else None,
            "high": round(found.high, 4) if is_known else None,
        }


def _width(n: float) -> float:
    """Return how many standard errors the interval reaches at n decisions."""
    root = n * _RHO2 + 1
    return math.sqrt(2 * root / (n * _RHO2) * math.log(math.sqrt(root) / ALPHA))

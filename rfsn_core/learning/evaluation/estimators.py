"""Estimates of what another policy would have earned, from logged choices: plain arrays in, numbers out.

With w = π(action|x) / p the importance weight of a logged choice, r its reward, and q̂(x, a) a model of the reward:

- IPS    = mean(w·r)                              unbiased, wide
- SNIPS  = Σ(w·r) / Σw                            nearly unbiased, narrower
- DM     = mean(Σ_a π(a|x)·q̂(x, a))               as good as the model, and no better
- DR     = DM + mean(w·(r - q̂(x, a_logged)))      unbiased if either the model or p is right
- DRos   = as DR, with λ·w / (w² + λ) for w       a little biased, and not thrown by a few heavy weights

Sources: Horvitz–Thompson 1952 (IPS), Swaminathan–Joachims 2015 (SNIPS), Dudík–Langford–Li 2011 (DR), Su–Dimakopoulou–
Krishnamurthy–Dudík 2020 (DRos). Names and shapes are those of the Open Bandit Pipeline, which the numbers agree with.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
STRENGTH = 100.0
"""λ of DRos: weights far above its root are shrunk."""


def ips(reward: Array, weight: Array) -> float:
    """Return the inverse propensity score."""
    return float(np.mean(weight * reward))


def snips(reward: Array, weight: Array) -> float:
    """Return the self-normalised inverse propensity score."""
    total = float(weight.sum())
    return float((weight * reward).sum()) / total if total else 0.0


def dm(expected: Array) -> float:
    """Return the direct method's estimate.

    :param expected: Σ_a π(a|x)·q̂(x, a) of each decision.
    """
    return float(np.mean(expected))


def dr(reward: Array, weight: Array, expected: Array, logged: Array) -> float:
    """Return the doubly robust estimate.

    :param logged: q̂ of the action that was taken.
    """
    return float(np.mean(expected + weight * (reward - logged)))


def shrunk(weight: Array, strength: float = STRENGTH) -> Array:
    """Return weights for DRos: nearly w where w is small, and never above √λ / 2."""
    return np.asarray(strength * weight / (weight**2 + strength))


def effective_size(weight: Array) -> float:
    """Return the effective sample size, (Σw)² / Σw²: how many decisions of the target policy the log is worth."""
    squares = float((weight**2).sum())
    return float(weight.sum()) ** 2 / squares if squares else 0.0


def standard_error(values: Array, groups: NDArray[np.intp]) -> float:
    """Return the standard error of the mean of values whose groups are independent of each other, but not what is in a
    group (the sandwich estimate, with the usual correction for few groups).

    :param groups: the number of each value's group, from 0.
    """
    count = int(groups.max()) + 1
    if count < 2:
        return float("inf")
    sums = np.bincount(groups, weights=values - values.mean(), minlength=count)
    return float(np.sqrt((sums**2).sum() * count / (count - 1)) / len(values))

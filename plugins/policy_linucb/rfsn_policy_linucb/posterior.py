"""Ridge regression for each arm, one observation at a time: the mathematics of disjoint LinUCB.

For arm a, with ridge λ: A_a = λI + Σ w·x·xᵀ, b_a = Σ w·r·x, θ_a = A_a⁻¹·b_a. The width of a prediction is
√(xᵀ·A_a⁻¹·x). (Li, Chu, Langford, Schapire: A contextual-bandit approach to personalized news article
recommendation, arXiv 1003.0146, algorithm 1.) The inverse follows each observation by Sherman–Morrison, and is
computed anew now and then, because rounding errors add up.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
REFACTOR_EVERY = 10_000
"""Updates of an arm between two fresh inverses."""


class Posterior:
    """All arms of one model. Arms are rows and are added as they come."""

    def __init__(self, dimension: int, ridge: float) -> None:
        self.dimension, self.ridge = dimension, ridge
        self.arms: dict[str, int] = {}
        self._room(8)

    def _room(self, count: int) -> None:
        d, old = self.dimension, len(self.arms)
        shapes = {"A": (count, d, d), "inverse": (count, d, d), "b": (count, d), "theta": (count, d), "n": (count,)}
        for name, shape in shapes.items():
            grown = np.zeros(shape)
            if old:
                grown[:old] = getattr(self, name)[:old]
            setattr(self, name, grown)

    A: Array
    inverse: Array
    b: Array
    theta: Array
    n: Array

    def row(self, arm: str) -> int:
        """The arm's row; a new arm starts from the prior."""
        known = self.arms.get(arm)
        if known is not None:
            return known
        row = len(self.arms)
        if row == len(self.n):
            self._room(2 * row)
        self.arms[arm] = row
        diagonal = np.arange(self.dimension)
        self.A[row, diagonal, diagonal] = self.ridge
        self.inverse[row, diagonal, diagonal] = 1 / self.ridge
        return row

    def predict(self, rows: list[int], index: NDArray[np.intp], x: Array) -> tuple[Array, Array]:
        """(means, variances) of the arms in `rows` at the features `x`, whose places are `index`.

        Game state is one-hot: about a dozen of the features are not 0, and only their part of the matrices is read.
        """
        if len(index) * 3 < self.dimension:
            part = self.inverse[np.asarray(rows)[:, None, None], index[:, None], index]
            means = self.theta[np.asarray(rows)[:, None], index] @ x
            variances = (part @ x) @ x
        else:
            full = np.zeros(self.dimension)
            full[index] = x
            # One product over all arms, also those that are no candidates: faster than gathering them.
            used = len(self.arms)
            spread = self.inverse[:used].reshape(-1, self.dimension) @ full
            variances = (spread.reshape(used, self.dimension) @ full)[rows]
            means = (self.theta[:used] @ full)[rows]
        return means, np.maximum(variances, 0.0)

    def observe(
        self, row: int, index: NDArray[np.intp], x: Array, target: float, weight: float, max_step: float
    ) -> tuple[float, float]:
        """Learn that x gave `target`; returns (step, weight).

        When θ would move by more than `max_step`, the observation's weight is lowered until it moves by exactly that:
        the posterior stays that of a weighted ridge regression, which clipping θ would not.
        """
        v = self.inverse[row][:, index] @ x
        q = float(x @ v[index])
        error = target - float(self.theta[row, index] @ x)
        length = float(np.sqrt(v @ v))
        if weight * length * abs(error) > max_step * (1 + weight * q):
            weight = max_step / (length * abs(error) - max_step * q)
        gain = weight / (1 + weight * q)
        self.theta[row] += (gain * error) * v
        self.inverse[row] -= np.outer(gain * v, v)
        self.A[row, index[:, None], index] += np.outer(weight * x, x)
        self.b[row, index] += (weight * target) * x
        self.n[row] += 1
        if self.n[row] % REFACTOR_EVERY == 0 or not (1 + weight * q >= 1 and math.isfinite(q)):
            self.refactor(row)
        return gain * abs(error) * length, weight

    def amend(
        self, row: int, index: NDArray[np.intp], x: Array, change: float, weight: float, max_step: float
    ) -> tuple[float, float]:
        """A further reward for an observation that was made: b moves, A does not, because nothing new was observed."""
        v = self.inverse[row][:, index] @ x
        length = float(np.sqrt(v @ v)) * abs(change)
        if weight * length > max_step:
            weight = max_step / length
        self.theta[row] += (weight * change) * v
        self.b[row, index] += (weight * change) * x
        return weight * length, weight

    def refactor(self, row: int) -> None:
        """Inverse and θ from A and b."""
        self.inverse[row] = np.linalg.inv(self.A[row])
        self.theta[row] = self.inverse[row] @ self.b[row]

    def forget(self, keep: float) -> None:
        """Stabilised forgetting: A → keep·A + (1 - keep)·λI, b → keep·b. The unseen returns to the prior."""
        used = len(self.arms)
        diagonal = np.arange(self.dimension)
        self.A[:used] *= keep
        self.A[:used, diagonal, diagonal] += (1 - keep) * self.ridge
        self.b[:used] *= keep
        for row in range(used):
            self.refactor(row)

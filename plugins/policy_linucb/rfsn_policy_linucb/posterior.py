"""Ridge regression for each arm, one observation at a time: the mathematics of disjoint LinUCB.

For arm a, with ridge λ: A_a = λI + Σ w·x·xᵀ, b_a = Σ w·r·x, θ_a = A_a⁻¹·b_a. The width of a prediction is
√(xᵀ·A_a⁻¹·x). (Li, Chu, Langford, Schapire: A contextual-bandit approach to personalized news article
recommendation, arXiv 1003.0146, algorithm 1.) The inverse follows each observation by Sherman–Morrison, and is
computed again from time to time, because rounding errors add up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
REFACTOR_EVERY = 10_000
"""Updates of an arm between two fresh inverses."""
FOLD_AT = 1000
"""Observations of an arm that wait before they are added to A and b in one product."""


class Features:
    """A feature vector: all values, and the indices of those that are not 0."""

    __slots__ = ("few", "full", "index", "values")

    def __init__(self, values: Sequence[float] | Array) -> None:
        self.full: Array = np.array(values, dtype=float)
        self.index = self.full.nonzero()[0]
        self.few = len(self.index) * 6 < len(self.full)
        self.values = self.full[self.index] if self.few else self.full


class Posterior:
    """All arms of one model. Arms are rows and are added as they come."""

    def __init__(self, dimension: int, ridge: float) -> None:
        self.dimension, self.ridge = dimension, ridge
        self.arms: dict[str, int] = {}
        self._seen: dict[
            int, list[tuple[Array, float, float]]
        ] = {}  # row → (x, weight, weighted reward) not yet in A, b
        self._room(8)

    def _room(self, count: int) -> None:
        d, old = self.dimension, len(self.arms)
        shapes = {"_A": (count, d, d), "inverse": (count, d, d), "_b": (count, d), "theta": (count, d), "n": (count,)}
        for name, shape in shapes.items():
            grown = np.zeros(shape)
            if old:
                grown[:old] = getattr(self, name)[:old]
            setattr(self, name, grown)

    _A: Array
    _b: Array
    inverse: Array
    theta: Array
    n: Array

    @property
    def A(self) -> Array:
        """Return λI + Σ w·x·xᵀ of each arm."""
        self._fold()
        return self._A

    @property
    def b(self) -> Array:
        """Return Σ w·r·x of each arm."""
        self._fold()
        return self._b

    def row(self, arm: str) -> int:
        """Return the arm's row; a new arm starts from the prior."""
        known = self.arms.get(arm)
        if known is not None:
            return known
        row = len(self.arms)
        if row == len(self.n):
            self._room(2 * row)
        self.arms[arm] = row
        diagonal = np.arange(self.dimension)
        self._A[row, diagonal, diagonal] = self.ridge
        self.inverse[row, diagonal, diagonal] = 1 / self.ridge
        return row

    def predict(self, rows: list[int], x: Features) -> tuple[list[float], list[float]]:
        """Return (means, variances) of the arms in `rows`.

        Game state is one-hot: about a dozen of the features are not 0, and only their part of the matrices is read.
        """
        if x.few:
            part = self.inverse[np.array(rows)[:, None, None], x.index[:, None], x.index]
            means = self.theta[np.array(rows)[:, None], x.index] @ x.values
            variances = (part @ x.values) @ x.values
            return means.tolist(), variances.tolist()
        # One product over all arms, also those that are no candidates: faster than gathering them.
        used, full = len(self.arms), x.full
        spread = (self.inverse[:used].reshape(-1, self.dimension) @ full).reshape(used, self.dimension)
        variances, means = (spread @ full).tolist(), (self.theta[:used] @ full).tolist()
        return [means[row] for row in rows], [variances[row] for row in rows]

    def mean(self, row: int, x: Features) -> float:
        """Return the prediction of one arm."""
        return float(self.theta[row] @ x.full)

    def observe(self, row: int, x: Features, target: float, weight: float, max_step: float) -> tuple[float, float]:
        """Learn that x gave `target`, and return (step, weight). Raises ValueError for what is not finite.

        When θ would move by more than `max_step`, the observation's weight is lowered until it moves by exactly that:
        the posterior stays that of a weighted ridge regression, which clipping θ would not.
        """
        inverse, full = self.inverse[row], x.full
        v = x.values @ inverse[x.index] if x.few else inverse @ full
        q = float(full @ v)
        error = target - float(self.theta[row] @ full)
        if not (q >= 0 and math.isfinite(q + error)):
            if math.isfinite(error) and np.isfinite(full).all():
                self.refactor(row)  # rounding made the inverse worthless; A is not
                return self.observe(row, x, target, weight, max_step)
            raise ValueError("features that are not finite")
        length = math.sqrt(float(v @ v))
        if weight * length * abs(error) > max_step * (1 + weight * q):
            weight = max_step / (length * abs(error) - max_step * q)
        gain = weight / (1 + weight * q)
        self.theta[row] += (gain * error) * v
        inverse -= (gain * v)[:, None] * v
        self.n[row] += 1
        self._note(row, full, weight, weight * target)
        if self.n[row] % REFACTOR_EVERY == 0:
            self.refactor(row)
        return gain * abs(error) * length, weight

    def amend(self, row: int, x: Features, change: float, weight: float, max_step: float) -> tuple[float, float]:
        """Add a further reward for an earlier observation: b moves, A does not, because nothing new was observed."""
        v = self.inverse[row] @ x.full
        length = math.sqrt(float(v @ v)) * abs(change)
        if not math.isfinite(length):
            raise ValueError("features that are not finite")
        if weight * length > max_step:
            weight = max_step / length
        self.theta[row] += (weight * change) * v
        self._note(row, x.full, 0.0, weight * change)
        return weight * length, weight

    def _note(self, row: int, full: Array, weight: float, reward: float) -> None:
        """Note a change of A and b. They are updated when they are read, to compute the inverse again or to save."""
        seen = self._seen.setdefault(row, [])
        seen.append((full, weight, reward))
        if len(seen) >= FOLD_AT:
            self._fold()

    def _fold(self) -> None:
        for row, seen in self._seen.items():
            x = np.array([full for full, _, _ in seen])
            self._A[row] += (x.T * np.array([weight for _, weight, _ in seen])) @ x
            self._b[row] += x.T @ np.array([reward for _, _, reward in seen])
        self._seen.clear()

    def refactor(self, row: int) -> None:
        """Compute the inverse and θ from A and b."""
        self.inverse[row] = np.linalg.inv(self.A[row])
        self.theta[row] = self.inverse[row] @ self.b[row]

    def forget(self, keep: float) -> None:
        """Forget by stabilised forgetting: A → keep·A + (1 - keep)·λI, b → keep·b. The unseen returns to the prior."""
        self._fold()
        used = len(self.arms)
        diagonal = np.arange(self.dimension)
        self._A[:used] *= keep
        self._A[:used, diagonal, diagonal] += (1 - keep) * self.ridge
        self._b[:used] *= keep
        for row in range(used):
            self.refactor(row)

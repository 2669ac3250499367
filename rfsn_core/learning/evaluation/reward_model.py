"""A model of the reward, for the direct method and the doubly robust estimate."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from rfsn_core.learning.evaluation.estimators import Array
from rfsn_core.learning.evaluation.log import EvaluationLog
from rfsn_core.learning.records import Slot


def reward_model(log: EvaluationLog, slot: str, folds: int = 2, ridge: float = 0.3) -> list[Array]:
    """Return q̂ of each candidate of each decision: a ridge regression for each arm, fitted on the other folds.

    :param slot: `action` or `style`.
    """
    fold_of = _folds(log, folds)
    x = [np.array(record.abstraction.features) for record in log.records]
    slots = log.slots(slot)
    estimates: list[Array] = [np.zeros(len(one.arms)) for one in slots]
    for fold in range(folds):
        others = np.flatnonzero(fold_of != fold)
        # What is hardly ever chosen is as good as what was hardly ever chosen, and not as the policy's favourites.
        rarity = np.array([1 / slots[row].propensity for row in others])
        mean = float(rarity @ log.rewards[others] / rarity.sum()) if len(others) else 0.0
        theta = _fit(log, slots, x, others, mean, ridge)
        for row in np.flatnonzero(fold_of == fold):
            for position, arm in enumerate(slots[row].arms):
                weights = theta.get((arm, len(x[row])))
                estimates[row][position] = mean + (float(weights @ x[row]) if weights is not None else 0.0)
    return estimates


def _folds(log: EvaluationLog, folds: int) -> NDArray[np.intp]:
    """Return the fold of each decision: that of its conversation, or of its place when there are too few of them."""
    count = len(log.records)
    conversations = sorted({record.conversation for record in log.records})
    if len(conversations) < folds:
        return np.arange(count) * folds // count
    fold_of = {conversation: index % folds for index, conversation in enumerate(conversations)}
    return np.array([fold_of[record.conversation] for record in log.records])


def _fit(
    log: EvaluationLog, slots: list[Slot], x: list[Array], rows: NDArray[np.intp], mean: float, ridge: float
) -> dict[tuple[str, int], Array]:
    """Return the regression weights of each (arm, number of features)."""
    groups: dict[tuple[str, int], list[int]] = defaultdict(list)
    for row in rows:
        groups[slots[row].chosen, len(x[row])].append(int(row))
    theta = {}
    for (arm, width), group in groups.items():
        matrix = np.array([x[row] for row in group])
        left = matrix.T @ matrix + ridge * np.eye(width)
        theta[arm, width] = np.linalg.solve(left, matrix.T @ (log.rewards[group] - mean))
    return theta

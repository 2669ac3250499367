"""The report of `rfsn evaluate`: the estimates with their intervals, and whether they can be trusted.

Intervals are percentile bootstraps that resample whole conversations, because rewards flow back within one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfsn_core.learning.evaluation.estimators import Array, dm, dr, effective_size, ips, snips
from rfsn_core.learning.evaluation.log import EvaluationLog
from rfsn_core.learning.evaluation.reward_model import reward_model
from rfsn_core.learning.evaluation.target_policy import Target

FEWEST_EFFECTIVE = 100
"""Effective sample size below which an estimate is refused."""
FEWEST_CONVERSATIONS = 10
"""Conversations below which stretches of the log are resampled instead."""
MISCALIBRATED = 4.0
"""Standard errors from which on the log's probabilities are not believed."""
Estimator = Callable[[Any], float]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class EvaluationReport:
    """What `rfsn evaluate` shows."""

    decisions: int
    conversations: int
    left_out: dict[str, int]
    logged: Estimate
    """What the logging policy earned."""
    estimates: dict[str, Estimate]
    effective_size: float
    mean_weight: float
    largest_weight: float
    warnings: list[str]
    refused: str
    """Why the weighted estimates must not be used; empty when they may."""
    actions: dict[str, tuple[float, float]]
    """Action → its share in the log, and under the policy."""
    by_key: dict[str, tuple[int, float]]
    """Abstract state → decisions, and mean reward."""


def evaluate(log: EvaluationLog, target: Target, *, rounds: int = 1000, seed: int = 0) -> EvaluationReport:
    """Estimate what the target policy would have earned with both slots, action and style.

    :param rounds: of the bootstrap.
    """
    rows = list(range(len(log.records)))
    picks = [record.action.index for record in log.records]
    p = np.array([record.action.propensity * record.style.propensity for record in log.records])
    weight = np.array([target.actions[row][picks[row]] for row in rows]) * target.styles / p
    model = reward_model(log)
    expected = np.array([float(target.actions[row] @ model[row]) for row in rows])
    predicted = np.array([model[row][picks[row]] for row in rows])
    estimates = _bootstrap(log, _estimators(log.rewards, weight, expected, predicted), rounds, seed)
    size = effective_size(weight)
    refused = ""
    if size < min(FEWEST_EFFECTIVE, len(weight)):
        refused = f"the log is worth {size:.0f} decisions of this policy; {FEWEST_EFFECTIVE} are the fewest to go by"
    return EvaluationReport(
        decisions=len(rows),
        conversations=len({record.conversation for record in log.records}),
        left_out=log.left_out,
        logged=estimates.pop("logged"),
        estimates=estimates,
        effective_size=size,
        mean_weight=float(weight.mean()),
        largest_weight=float(weight.max()),
        warnings=_warnings(log),
        refused=refused,
        actions=_shares(log, target.actions),
        by_key=_by_key(log),
    )


def _estimators(reward: Array, weight: Array, expected: Array, predicted: Array) -> dict[str, Estimator]:
    """Return functions from rows of the log to an estimate."""
    return {
        "IPS": lambda rows: ips(reward[rows], weight[rows]),
        "SNIPS": lambda rows: snips(reward[rows], weight[rows]),
        "DM": lambda rows: dm(expected[rows]),
        "DR": lambda rows: dr(reward[rows], weight[rows], expected[rows], predicted[rows]),
        "logged": lambda rows: float(reward[rows].mean()),
    }


def _bootstrap(log: EvaluationLog, estimators: Mapping[str, Estimator], rounds: int, seed: int) -> dict[str, Estimate]:
    groups = _groups(log)
    generator = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in estimators}
    for _ in range(rounds):
        rows = np.concatenate([groups[index] for index in generator.integers(0, len(groups), len(groups))])
        for name, estimator in estimators.items():
            drawn[name].append(estimator(rows))
    return {
        name: Estimate(estimator(slice(None)), *np.percentile(drawn[name], [2.5, 97.5]).tolist())
        for name, estimator in estimators.items()
    }


def _groups(log: EvaluationLog) -> list[NDArray[np.intp]]:
    """Return the rows of each conversation; of stretches of the log when there are too few to resample."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, record in enumerate(log.records):
        rows[record.conversation].append(row)
    if len(rows) < FEWEST_CONVERSATIONS:
        return list(np.array_split(np.arange(len(log.records)), min(50, len(log.records))))
    return [np.array(group) for group in rows.values()]


def _warnings(log: EvaluationLog) -> list[str]:
    warnings = []
    if abs(off := _miscalibration(log)) > MISCALIBRATED:
        warnings.append(
            f"choices differ from their probabilities by {off:+.1f} standard errors: the log cannot be trusted"
        )
    if len({record.conversation for record in log.records}) < FEWEST_CONVERSATIONS:
        warnings.append("few conversations: the intervals treat stretches of one conversation as independent")
    return warnings


def _miscalibration(log: EvaluationLog) -> float:
    """Return by how many standard errors the likeliest candidate was chosen more often than its probability says.

    It shows a log whose probabilities are those of another moment, such as before a veto.
    """
    likeliest = np.array([max(record.action.propensities) for record in log.records])
    hits = np.array([record.action.propensity == max(record.action.propensities) for record in log.records])
    spread = float((likeliest * (1 - likeliest)).sum()) ** 0.5
    return float((hits - likeliest).sum()) / spread if spread else 0.0


def _shares(log: EvaluationLog, target: Sequence[Array]) -> dict[str, tuple[float, float]]:
    logged: dict[str, float] = defaultdict(float)
    wanted: dict[str, float] = defaultdict(float)
    for record, probabilities in zip(log.records, target, strict=True):
        logged[record.action.chosen] += 1 / len(log.records)
        for arm, share in zip(record.action.arms, probabilities, strict=True):
            wanted[arm] += float(share) / len(log.records)
    return {arm: (logged[arm], wanted[arm]) for arm in sorted({*logged, *wanted}, key=lambda arm: -wanted[arm])}


def _by_key(log: EvaluationLog) -> dict[str, tuple[int, float]]:
    rewards: dict[str, list[float]] = defaultdict(list)
    for record, reward in zip(log.records, log.rewards, strict=True):
        rewards[record.key].append(float(reward))
    most_frequent = sorted(rewards.items(), key=lambda item: -len(item[1]))
    return {key: (len(values), float(np.mean(values))) for key, values in most_frequent}

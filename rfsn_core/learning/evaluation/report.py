"""The report of `rfsn evaluate`: the estimates with their intervals, and whether they can be trusted.

A decision has two slots, and each can be evaluated alone, the other one left as it was logged: that needs far fewer
decisions than both together. Standard errors are those of whole conversations, because rewards within one are not
independent. The interval of DRos also holds what the log cannot know: for choices of the target that the log hardly
ever made, the estimate has only its model to go by, so it is wider by their share times the model's usual error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfsn_core.learning.evaluation.estimators import (
    Array,
    dm,
    dr,
    effective_size,
    ips,
    shrunk,
    snips,
    standard_error,
)
from rfsn_core.learning.evaluation.log import EvaluationLog
from rfsn_core.learning.evaluation.reward_model import reward_model
from rfsn_core.learning.evaluation.target_policy import Target

FEWEST_CONVERSATIONS = 10
"""Conversations below which stretches of the log are resampled instead."""
MISCALIBRATED = 4.0
"""Standard errors from which on the log's probabilities are not believed."""
Z = 1.96
"""Standard errors of a 95 % interval."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class SlotReport:
    """What the policy would have earned with one slot, the other one left as it was logged; or with both."""

    estimate: Estimate
    """Of DRos."""
    worth: float
    """Effective sample size: how many of the policy's own decisions the log is worth."""
    uncovered: float
    """Share of the policy's choices that the log hardly ever made."""
    others: dict[str, Estimate]
    """IPS, SNIPS, DM and DR."""
    mean_weight: float
    largest_weight: float


@dataclass(frozen=True)
class EvaluationReport:
    """What `rfsn evaluate` shows."""

    decisions: int
    conversations: int
    left_out: dict[str, int]
    logged: Estimate
    """What the logging policy earned."""
    slots: dict[str, SlotReport]
    warnings: list[str]
    actions: dict[str, tuple[float, float]]
    """Action → its share in the log, and under the policy."""
    by_key: dict[str, tuple[int, float]]
    """Abstract state → decisions, and mean reward."""


def evaluate(log: EvaluationLog, target: Target) -> EvaluationReport:
    """Estimate what the target policy would have earned with each slot, and with both."""
    groups = _groups(log)
    action, style = _Choices.of(log, target.actions, "action"), _Choices.of(log, target.styles, "style")
    choices = {"action": action, "style": style, "both": action.times(style)}
    return EvaluationReport(
        decisions=len(log.records),
        conversations=len({record.conversation for record in log.records}),
        left_out=log.left_out,
        logged=_interval(log.rewards, groups),
        slots={name: _slot(log.rewards, slot, groups) for name, slot in choices.items()},
        warnings=_warnings(log),
        actions=_shares(log, target.actions),
        by_key=_by_key(log),
    )


@dataclass(frozen=True)
class _Choices:
    """The choices of one slot: weights and the model's estimates of all arms of each decision, and the logged arm."""

    weights: list[Array]
    target: list[Array]
    model: list[Array]
    picks: list[int]

    @classmethod
    def of(cls, log: EvaluationLog, target: list[Array], name: str) -> _Choices:
        slots = log.slots(name)
        weights = [_weights(wanted, np.array(slot.propensities)) for slot, wanted in zip(slots, target, strict=True)]
        return cls(weights, target, reward_model(log, name), [slot.index for slot in slots])

    def times(self, other: _Choices) -> _Choices:
        """Return the choices of both slots; the model is that of this one."""
        pairs = list(zip(self.weights, other.weights, strict=True))
        sizes = [len(weights) for weights in other.weights]
        return _Choices(
            [_products(one, two) for one, two in pairs],
            [np.outer(one, two).ravel() for one, two in zip(self.target, other.target, strict=True)],
            [np.repeat(model, size) for model, size in zip(self.model, sizes, strict=True)],
            [one * size + two for one, two, size in zip(self.picks, other.picks, sizes, strict=True)],
        )


def _weights(wanted: Array, logged: Array) -> Array:
    """Return π/p of each arm; inf where the log could not choose it, 0 where the target does not."""
    return np.divide(wanted, logged, out=np.where(wanted > 0, np.inf, 0.0), where=logged > 0)


def _products(one: Array, two: Array) -> Array:
    return np.array([0.0 if not (a and b) else a * b for a in one.tolist() for b in two.tolist()])


def _slot(reward: Array, choices: _Choices, groups: NDArray[np.intp]) -> SlotReport:
    rows, picks = range(len(reward)), choices.picks
    weight = np.array([choices.weights[row][picks[row]] for row in rows])
    logged = np.array([choices.model[row][picks[row]] for row in rows])
    expected = np.array([float(choices.target[row] @ choices.model[row]) for row in rows])
    all_lost = [_lost(weights) for weights in choices.weights]
    missing = np.array([float(choices.target[row] @ all_lost[row]) for row in rows])
    lost = np.array([float(all_lost[row][picks[row]]) for row in rows])
    error = reward - logged
    total = float(weight.sum()) or 1.0
    best = snips(reward, weight)
    others = {
        "IPS": _interval(weight * reward, groups, ips(reward, weight)),
        "SNIPS": _interval((weight * (reward - best)) * len(weight) / total, groups, best),
        "DM": _interval(expected, groups, dm(expected)),
        "DR": _interval(expected + weight * error, groups, dr(reward, weight, expected, logged)),
    }
    unsure = _usual_error(error, lost)
    return SlotReport(
        estimate=_interval(expected + shrunk(weight) * error, groups, extra=float(missing.mean()) * unsure),
        worth=effective_size(weight),
        uncovered=float(missing.mean()),
        others=others,
        mean_weight=float(weight.mean()),
        largest_weight=float(weight.max()),
    )


def _usual_error(error: Array, lost: Array) -> float:
    """Return the model's error (root mean square) for choices that the log hardly ever made, from those few of them
    that it did make; near 1 without them, the size of a reward."""
    return float(np.sqrt((lost @ error**2 + 1.0) / (lost.sum() + 1.0)))


def _lost(weights: Array) -> Array:
    """Return the share of each weight that shrinking removes; 1 for a choice that the log could not make."""
    finite = np.where(np.isfinite(weights), weights, 0.0)
    kept = np.where(finite > 0, shrunk(finite) / np.where(finite > 0, finite, 1.0), 1.0)
    return np.asarray(np.where(np.isfinite(weights), 1.0 - kept, 1.0))


def _interval(values: Array, groups: NDArray[np.intp], value: float | None = None, extra: float = 0.0) -> Estimate:
    """Return a mean with its interval, which `extra` makes wider on both sides."""
    middle = float(values.mean()) if value is None else value
    half = Z * standard_error(values, groups) + extra
    return Estimate(middle, middle - half, middle + half)


def _groups(log: EvaluationLog) -> NDArray[np.intp]:
    """Return the number of each decision's conversation; of its stretch of the log when there are too few."""
    conversations: dict[str, int] = {}
    numbers = [conversations.setdefault(record.conversation, len(conversations)) for record in log.records]
    if len(conversations) < FEWEST_CONVERSATIONS:
        return np.arange(len(log.records)) * min(50, len(log.records)) // len(log.records)
    return np.array(numbers)


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

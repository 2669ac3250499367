"""The policy to evaluate: what it would have chosen in the logged situations, and training it on a part of the log."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rfsn_core.contract.selection import Arm, Policy, Update
from rfsn_core.learning.evaluation.estimators import Array
from rfsn_core.learning.evaluation.log import EvaluationLog
from rfsn_core.learning.records import DecisionRecord


class Target(NamedTuple):
    """What a policy would choose in each logged situation."""

    actions: list[Array]
    """The probability of each candidate."""
    styles: list[Array]
    """The probability of each style, after the logged action."""


def target(log: EvaluationLog, policy: Policy | str) -> Target:
    """Return the choices of a policy: an opened one, or `uniform` or `prior`."""
    return Target(
        [_probabilities(record, "action", policy) for record in log.records],
        [_probabilities(record, "style", policy) for record in log.records],
    )


def _probabilities(record: DecisionRecord, name: str, policy: Policy | str) -> Array:
    slot = record.action if name == "action" else record.style
    if policy == "uniform":
        return np.full(len(slot.arms), 1 / len(slot.arms))
    if policy == "prior":
        best: Array = np.eye(len(slot.arms))[int(np.argmax(slot.priors))]
        return best
    assert not isinstance(policy, str)
    arms = [Arm(arm, prior) for arm, prior in zip(slot.arms, slot.priors, strict=True)]
    return np.array(policy.select(record.context(name), arms).propensities)


def train(log: EvaluationLog, policy: Policy) -> None:
    """Update a policy with the log's rewards, as the server would have."""
    for record, reward in zip(log.records, log.rewards, strict=True):
        for name, slot in (("action", record.action), ("style", record.style)):
            prior = slot.priors[slot.index]
            policy.update(Update(record.context(name), slot.chosen, prior, slot.propensity, float(reward)))

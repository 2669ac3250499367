"""`epsilon_greedy` and `thompson`: policies without context, for comparison and for small worlds."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, Field

from rfsn_core import Arm, Context, Selection, Update, UpdateResult
from rfsn_policy_linucb import draw


class EpsilonSettings(BaseModel, extra="forbid"):
    """`[selection.epsilon_greedy]`."""

    epsilon: float = Field(0.1, ge=0, le=1, description="Probability shared by all candidates.")
    weight: float = Field(5.0, gt=0, description="How many observations the world model's score is worth.")


class ThompsonSettings(BaseModel, extra="forbid"):
    """`[selection.thompson]`."""

    weight: float = Field(5.0, gt=0, description="How many observations the world model's score is worth.")
    samples: int = Field(128, ge=8, le=4096, description="Of the table that is drawn from.")
    floor: float = Field(0.02, ge=0, le=1, description="Probability shared by all candidates.")


class _Counts:
    """Observations and rewards of each arm in each slot."""

    version = "1"
    kind = ""

    def __init__(self, key: bytes, weight: float) -> None:
        self._key, self._weight = key, weight
        self._seen: dict[str, list[float]] = {}  # "slot arm" → [observations, sum of rewards]

    def _means(self, slot: str, arms: Sequence[Arm]) -> tuple[list[float], list[float]]:
        """(mean reward, observations), the prior's included."""
        seen = [self._seen.get(f"{slot} {arm.name}", (0.0, 0.0)) for arm in arms]
        counts = [count + self._weight for count, _ in seen]
        sums = [
            total + min(1.0, max(-1.0, arm.prior)) * self._weight for (_, total), arm in zip(seen, arms, strict=True)
        ]
        return [round(total / count, 9) for total, count in zip(sums, counts, strict=True)], counts

    def update(self, update: Update) -> UpdateResult:
        """Count. The mean moves by less than `max_step`, or the observation's weight is lowered until it does."""
        if not (math.isfinite(update.reward) and -1 <= update.reward <= 1 and 0 < update.propensity <= 1):
            raise ValueError(f"a reward of {update.reward} at a propensity of {update.propensity}")
        seen = self._seen.setdefault(f"{update.context.slot} {update.arm}", [0.0, 0.0])
        count = seen[0] + self._weight
        mean = (seen[1] + min(1.0, max(-1.0, update.prior)) * self._weight) / count
        weight = update.weight
        distance = abs(update.reward) / count if update.again else abs(update.reward - mean) / (count + weight)
        if distance * weight > update.max_step:
            weight = update.max_step / distance
        seen[0] += 0.0 if update.again else weight
        seen[1] += weight * update.reward
        return UpdateResult(distance * weight, weight)

    def checkpoint(self) -> bytes:
        """As JSON."""
        return json.dumps({"kind": self.kind, "seen": self._seen}).encode()

    def restore(self, checkpoint: bytes) -> None:
        """Raises ValueError for what is not ours."""
        if not checkpoint:
            return
        values = json.loads(checkpoint.decode("utf-8", "replace"))
        if not isinstance(values, dict) or values.get("kind") != self.kind:
            raise ValueError(f"not a checkpoint of {self.kind}")
        self._seen = values["seen"]


class EpsilonGreedy(_Counts):
    """The best mean, and with probability ε any candidate."""

    kind = "epsilon_greedy"

    def __init__(self, settings: EpsilonSettings, key: bytes) -> None:
        super().__init__(key, settings.weight)
        self._epsilon = settings.epsilon

    def select(self, context: Context, arms: Sequence[Arm]) -> Selection:
        """Choose."""
        means, _ = self._means(context.slot, arms)
        propensities = draw.floored(draw.greedy(means), self._epsilon if context.explore else 0.0)
        return _chosen(self._key, context, arms, propensities, means)


class Thompson(_Counts):
    """Each candidate as often as it is likely to be the best: Beta posteriors, rewards moved from -1…1 to 0…1."""

    kind = "thompson"

    def __init__(self, settings: ThompsonSettings, key: bytes) -> None:
        super().__init__(key, settings.weight)
        self._settings = settings

    def select(self, context: Context, arms: Sequence[Arm]) -> Selection:
        """Choose."""
        means, counts = self._means(context.slot, arms)
        if not context.explore:
            return _chosen(self._key, context, arms, draw.greedy(means), means)
        rates = np.clip((np.array(means) + 1) / 2, 1e-3, 1 - 1e-3)
        seed = draw.uniform(self._key, context.decision_id, context.slot, "table")
        generator = np.random.Generator(np.random.PCG64(int(seed * 2**53)))
        drawn = generator.beta(rates * counts, (1 - rates) * counts, (self._settings.samples, len(arms)))
        propensities = draw.floored(draw.shares_of(drawn), self._settings.floor)
        return _chosen(self._key, context, arms, propensities, means)


def _chosen(
    key: bytes, context: Context, arms: Sequence[Arm], propensities: list[float], scores: list[float]
) -> Selection:
    if not context.explore:
        best = scores.index(max(scores))
        return Selection(arms[best].name, tuple(float(i == best) for i in range(len(arms))), tuple(scores))
    u = draw.uniform(key, context.decision_id, context.slot)
    return Selection(arms[draw.choose(propensities, u)].name, tuple(propensities), tuple(scores), u)

"""What is logged of a decision and of what came of it: the lines of `learning/*.jsonl`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from rfsn_core.contract.abstraction import Abstraction
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.selection import Arm, Context, Selection
from rfsn_core.contract.storage import Scope
from rfsn_core.learning.explanation import Explanation
from rfsn_core.world.decision import Deliberation


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two parts of a decision, `action` or `style`: all that is needed to learn from it, or to repeat it."""

    arms: list[str]
    priors: list[float]
    """The world model's scores."""
    scores: list[float]
    """The policy's own."""
    propensities: list[float]
    """The probability of each arm, after every veto; sums to 1."""
    chosen: str
    draw: float | None = None
    """What was drawn; see `providers.Selection`."""

    def repeated(self) -> str:
        """Return the arm that the logged probabilities and the logged draw lead to."""
        if self.draw is None:
            return self.arms[max(range(len(self.arms)), key=lambda index: self.propensities[index])]
        total = 0.0
        for arm, propensity in zip(self.arms, self.propensities, strict=True):
            total += propensity
            if total > self.draw:
                return arm
        return self.arms[-1]

    @property
    def index(self) -> int:
        """Position of the chosen arm."""
        return self.arms.index(self.chosen)

    @property
    def propensity(self) -> float:
        """The probability with which the chosen arm was chosen."""
        return self.propensities[self.index]


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, whole: `decisions.jsonl`."""

    decision_id: str
    time: float
    """Seconds since the epoch; a count of decisions when learning is disabled."""
    save: str
    npc: str
    player: str
    prior_decision_id: str
    """The session's decision before it; empty for the first."""
    key: str
    key_version: str
    features: list[tuple[int, float]]
    """(index, value) of the features that are not 0."""
    width: int
    """How many features there are."""
    finite: bool = True
    """False: the abstractor gave a feature that is not a finite number, so nothing can be learned from the decision."""
    feature_hash: str
    signal: str
    state: dict[str, object]
    """The NPC's state when it decided."""
    policy: str
    """Name and version."""
    explored: bool
    """False: the best arm was taken, with probability 1; such a decision cannot be evaluated off-policy."""
    action: Slot
    style: Slot
    reasons: list[str]
    """Why each action is among the candidates."""
    terms: list[dict[str, float]]
    """What each action's prior is made of."""
    predicted: list[dict[str, float]]
    """Affinity, trust and fear that the world model expects after each action."""
    vetoes: dict[str, str]
    """Action → the rule or plugin that forbade it."""
    forced_by: str
    delivered: bool
    """False: the player never saw or heard a word of it, so nothing can be learned from it."""
    final_json: str = ""
    """Whether the model's own report agrees with the decision; see `events.Trace`."""
    explanation: Explanation | None = None
    """What led to it, for people."""

    @property
    def conversation(self) -> str:
        """Save, NPC and player."""
        return Scope(self.save, self.npc, self.player).conversation

    @property
    def abstraction(self) -> Abstraction:
        """The abstraction that the decision was made on, without the names of the features."""
        values = [0.0] * self.width
        for index, value in self.features:
            values[index] = value
        return Abstraction(self.key, self.key_version, tuple(values), ())

    def context(self, slot: str) -> Context:
        """Return what the policy knew when it chose the slot `action` or `style`."""
        action = self.action.chosen if slot == "style" else ""
        return Context(self.decision_id, slot, self.npc, self.conversation, self.abstraction, action)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a decision: the last fields of its record."""

    delivered: bool
    final_json: str = ""
    explanation: Explanation | None = None


def decision_record(
    deliberation: Deliberation,
    scope: Scope,
    prior: str,
    state: NpcState,
    result: Result,
    *,
    time: float,
    explored: bool,
) -> DecisionRecord:
    """Return the log record of a decision.

    :param prior: the conversation's decision before it.
    :param state: the NPC's state when it decided.
    """
    event, abstraction = deliberation.event, deliberation.abstraction
    scores = [deliberation.scores[arm.name] for arm in deliberation.arms]
    finite = all(map(math.isfinite, abstraction.features))
    return DecisionRecord(
        decision_id=event.decision_id,
        time=time,
        save=scope.save,
        npc=scope.npc,
        player=scope.player,
        prior_decision_id=prior,
        key=abstraction.key,
        key_version=abstraction.version,
        features=[(index, value) for index, value in enumerate(abstraction.features) if value] if finite else [],
        width=len(abstraction.features),
        finite=finite,
        feature_hash=_hash(abstraction.names),
        signal=event.signal,
        state=state.plain(),
        policy=event.policy,
        explored=explored,
        action=_slot(deliberation.arms, deliberation.action),
        style=_slot(deliberation.styles, deliberation.style),
        reasons=[deliberation.options.reasons[arm.name] for arm in deliberation.arms],
        terms=[{name: value for name, value in score.terms.items() if value} for score in scores],
        predicted=[
            {"affinity": then.affinity, "trust": then.trust, "fear": then.fear}
            for then in (score.predicted for score in scores)
        ],
        vetoes=deliberation.options.vetoes,
        forced_by=event.forced_by,
        delivered=result.delivered,
        final_json=result.final_json,
        explanation=result.explanation,
    )


@lru_cache(maxsize=64)
def _hash(names: tuple[str, ...]) -> str:
    return hashlib.blake2b("|".join(names).encode(), digest_size=8).hexdigest()


def _slot(arms: Sequence[Arm], choice: Selection) -> Slot:
    return Slot(
        arms=[arm.name for arm in arms],
        priors=[arm.prior for arm in arms],
        scores=list(choice.scores),
        propensities=list(choice.propensities),
        chosen=choice.arm,
        draw=choice.draw,
    )


class RewardRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A reward that was stored: `rewards.jsonl`."""

    reward_id: str
    decision_id: str
    value: float
    signal: str
    source: str
    """`game` for one that was sent, `play` for one that was read off the play."""
    time: float


class QuarantineRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A reward that was refused, and why: `rewards_quarantine.jsonl`."""

    decision_id: str
    value: float | None
    signal: str
    reason: str
    time: float


class StateChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of an NPC's state, and its cause: `states.jsonl`."""

    time: float
    save: str
    npc: str
    player: str
    cause: str
    """`turn`, `event` or `game`, and what it was."""
    before: dict[str, object]
    after: dict[str, object]
    """Only the fields that changed."""
    violations: list[str] = []
    """Invariants that would have been broken; empty, or there is a bug."""


def state_change(scope: Scope, cause: str, before: NpcState, after: NpcState, time: float) -> StateChange:
    """Return the log record of a change."""
    old, new = before.plain(), after.plain()
    changed = [name for name in new if new[name] != old[name]]
    return StateChange(
        time=time,
        save=scope.save,
        npc=scope.npc,
        player=scope.player,
        cause=cause,
        before={name: old[name] for name in changed},
        after={name: new[name] for name in changed},
        violations=after.violations(),
    )


class UpdateRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a reward changed, or why it changed nothing: `updates.jsonl`."""

    time: float
    decision_id: str
    slot: str
    arm: str
    reward: float
    """After the credit's discount."""
    steps_back: int
    """0 for the decision that was rewarded, 1 for the one before it, …"""
    weight: float
    """Of the observation: below 1 where the guard slowed it or the step was bounded."""
    step: float
    """How far the weights moved."""
    reward_id: str = ""
    """The reward that it came from; empty for silence."""
    rejected: str = ""

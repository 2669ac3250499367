"""What the turn log holds: turns, decisions, rewards, updates, and what was done with whole saves."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec

from rfsn_core.contract.abstraction import Abstraction
from rfsn_core.contract.actions import Situation
from rfsn_core.contract.npc import NpcState, Temperament
from rfsn_core.contract.selection import Arm, Context, Selection
from rfsn_core.contract.storage import Scope, TurnRecord
from rfsn_core.learning.explanation import Explanation
from rfsn_core.world.decision import Deliberation
from rfsn_core.world.trial import Trial


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
    parts: dict[str, list[float]] = {}
    """What the scores are made of besides the priors: such as `learned`, `npc` and `curiosity`."""

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


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="decision"):
    """A decision, whole."""

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
    trial: Trial | None = None
    """Who acted, the policy that learns or the default; null where nothing is learned."""
    game: dict[str, Any] = {}
    """The game's view, as the rules saw it."""
    knowing: list[str] = []
    """What the NPC's knowledge held about what was said."""
    changes: list[dict[str, str | None]] = []
    """What plugins changed about the candidates."""
    occasion: str = ""
    """Why the NPC spoke first; empty when the player spoke."""
    only: list[str] = []
    """The only candidates, where a trigger of the settings named them."""

    def situation(self, state: NpcState, temperament: Temperament) -> Situation:
        """Return what the decision was made on.

        :param state: `self.state`, read.
        :param temperament: of the NPC, which is not in the log.
        """
        knowing, only = frozenset(self.knowing), tuple(self.only)
        return Situation(state, self.signal, self.game, temperament, knowing, self.occasion, only)

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
        predicted=[_feelings(score.predicted) for score in scores],
        vetoes=deliberation.options.vetoes,
        forced_by=event.forced_by,
        delivered=result.delivered,
        final_json=result.final_json,
        explanation=result.explanation,
        trial=deliberation.trial,
        game=dict(deliberation.situation.game),
        knowing=sorted(deliberation.situation.knowing),
        changes=[dict(change) for change in deliberation.changes],
        occasion=deliberation.situation.occasion,
        only=list(deliberation.situation.only),
    )


def _feelings(state: NpcState) -> dict[str, float]:
    return {"affinity": state.affinity, "trust": state.trust, "fear": state.fear}


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
        parts={name: [round(value, 4) for value in values] for name, values in choice.parts.items() if any(values)},
    )


class RewardRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="reward"):
    """A reward that was stored."""

    reward_id: str
    decision_id: str
    value: float
    signal: str
    source: str
    """`game` for one that was sent, `play` for one that was read off the play, `designer` for a person's judgement."""
    time: float
    baseline: float = 0.0
    """What play says of a decision on average: the value counts as a deviation from it."""


class QuarantineRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="quarantine"):
    """A reward that was refused, and why."""

    decision_id: str
    value: float | None
    signal: str
    reason: str
    time: float


class UpdateRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="update"):
    """What a reward changed, or why it changed nothing."""

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


class LoggedTurn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="turn"):
    """A turn, with the NPC's state after it."""

    turn: TurnRecord
    stored: bool = False
    """Whether a shared store had it before; else the store takes it from here."""


class Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="operation"):
    """What was done with stored memory besides adding turns. A store that is made again from the log does it again."""

    name: Literal["snapshot", "rollback", "restore", "reset", "undo", "erase"]
    time: float
    after: int
    """Number of the last turn that the store had then."""
    save: str = ""
    npc: str = ""
    player: str = ""
    tag: str = ""
    """Of the snapshot, the name of the backup, or the id of the turn that was undone."""
    lines: int = 0
    """How many lines of the log were erased."""


class Positions(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="positions"):
    """How far those who follow the log have come."""

    positions: dict[str, int]
    """Follower → number of the last line that it has."""


LogRecord = (
    LoggedTurn | DecisionRecord | RewardRecord | QuarantineRecord | UpdateRecord | Operation | Positions
)  # fmt: skip
"""What a line of the turn log holds; `kind` says which."""


class StateChange(NamedTuple):
    """A change of an NPC's state, and its cause. It is not stored: it follows from a turn and the one before it."""

    scope: Scope
    time: float
    cause: str
    before: dict[str, object]
    after: dict[str, object]
    """Only the fields that changed."""


def state_changes(records: Iterable[LogRecord]) -> Iterator[StateChange]:
    """Yield how the turns of a log changed the states of NPCs."""
    states: dict[Scope, Mapping[str, object]] = {}
    decisions: dict[str, DecisionRecord] = {}
    for record in records:
        if isinstance(record, DecisionRecord):
            decisions[record.decision_id] = record
        elif isinstance(record, LoggedTurn):
            turn = record.turn
            old, new = states.get(turn.scope, {}), turn.state
            changed = [name for name in new if new[name] != old.get(name)]
            states[turn.scope] = new
            yield StateChange(
                turn.scope,
                turn.time,
                _cause(turn, decisions.pop(turn.decision_id, None)),
                {name: old[name] for name in changed if name in old},
                {name: new[name] for name in changed},
            )


def _cause(turn: TurnRecord, decision: DecisionRecord | None) -> str:
    if decision is None:
        return f"{turn.outcome}: {turn.player_text}"
    return f"turn: heard {decision.signal}, did {decision.action.chosen}, {turn.outcome}"

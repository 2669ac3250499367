"""What the NPC does: abstraction, candidates under the safety rules, and the policy's choice of action and style.

The policy chooses among what the rules leave. It can neither get around them nor break a turn.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from msgspec import structs

from rfsn_core.contract.abstraction import Abstraction, Abstractor
from rfsn_core.contract.actions import SafetyRule, Situation
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.selection import Arm, Context, Policy, Selection
from rfsn_core.contract.storage import Scope
from rfsn_core.kit.words import content_words
from rfsn_core.protocol.turn import Candidate, Decision, Veto
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.world.actions import Actions
from rfsn_core.world.candidates import Candidates, candidates
from rfsn_core.world.facts import Fact
from rfsn_core.world.files import Npc
from rfsn_core.world.knowledge import Hit, Recall
from rfsn_core.world.scoring import Score, Weights, score_actions, score_styles
from rfsn_core.world.trial import Trial

log = logger("deciding")


@dataclass(frozen=True)
class Deliberation:
    """A decision, and all that led to it."""

    event: Decision
    """For the client; without the turn's id and time."""
    arms: list[Arm]
    action: Selection
    styles: list[Arm]
    style: Selection
    options: Candidates
    scores: dict[str, Score]
    abstraction: Abstraction
    knowledge: Recall = field(default_factory=Recall)
    """What the NPC found in its knowledge."""
    fact: Hit | None = None
    """The fact that the NPC tells, confides or hints at."""
    trial: Trial | None = None
    """Who acted, the policy that learns or the default; None where nothing is learned."""
    situation: Situation = field(default_factory=lambda: Situation(NpcState(), "statement"))
    """What was decided on."""
    changes: Sequence[Mapping[str, str | None]] = ()
    """What plugins changed about the candidates."""


FIERCE = frozenset({"attack", "defend", "flee", "threaten", "betray", "insult"})
"""Actions that leave no room for small words."""
CLOSED = FIERCE | {
    "refuse",
    "refuse_polite",
    "refuse_firm",
    "deflect",
    "hint",
    "probe",
    "disagree",
    "stern_warning",
    "ignore",
}
"""Actions in which no fact is told."""
_PLAIN = frozenset({"greet", "farewell", "unsure"})


def chosen_fact(action: str, knowledge: Recall) -> Hit | None:
    """Return the fact that an action is about; None when it tells none."""
    pool = {"confide": knowledge.secrets, "hint": knowledge.withheld, "refer": knowledge.elsewhere}.get(action)
    if pool is None:
        pool = () if action in CLOSED or action in _PLAIN else knowledge.answers
    return pool[0] if pool else None


_SENTENCE = re.compile(r"[^.!?…]+")
ENOUGH_SAID, ENOUGH_MEANT = 0.5, 0.2
"""Share of the words of a fact's sentence that must be said for it to count as told; the second, when it was the
purpose of the action: a model words it freely."""


def is_told(fact: Fact, action: str, said: str) -> bool:
    """Whether an NPC told a fact, or at least a sentence of it, with what it said."""
    if action in ("hint", "refer"):
        return False
    words = set(content_words(said, "en"))
    enough = ENOUGH_MEANT if action in ("explain", "confide") else ENOUGH_SAID
    sentences = [set(content_words(sentence, "en")) for sentence in (fact.text, *_SENTENCE.findall(fact.text))]
    return fact.text in said or any(len(stems & words) >= max(2, enough * len(stems)) for stems in sentences)


def only_action(stopped_by: str) -> str:
    """Return what an NPC does when the gate stopped the player's text: a person in distress is not put off."""
    return "help" if stopped_by == "self_harm" else "deflect"


NOTHING = Recall()
"""Where nothing was looked for in what an NPC knows."""


@dataclass(frozen=True)
class Decider:
    """The parts that decide in one runtime."""

    actions: Actions
    rules: tuple[SafetyRule, ...]
    weights: Weights
    abstractor: Abstractor
    policy: Policy
    policy_name: str
    explore: bool = True
    learns: bool = True
    """Whether the policy changes with rewards."""

    @property
    def policy_label(self) -> str:
        """Name and version of the policy."""
        return f"{self.policy_name} {self.policy.version}"

    def decide(
        self,
        situation: Situation,
        npc: Npc,
        scope: Scope,
        decision_id: str,
        *,
        stopped_by: str = "",
        changes: Sequence[Mapping[str, str | None]] = (),
        knowledge: Recall = NOTHING,
        trial: Trial | None = None,
    ) -> Deliberation:
        """Decide.

        :param stopped_by: the gate's reason, when it stopped the player's text: the NPC then deflects, or helps.
        :param knowledge: what the NPC found in its knowledge about what was said.
        :param changes: what `rfsn_candidates` hooks returned.
        :param trial: who acts.
        """
        abstraction = self.abstractor.abstract(situation.game, situation.state.plain() | {"signal": situation.signal})
        options = self._options(situation, stopped_by, changes)
        scores = score_actions(situation, options, self.actions, self.weights, npc.file.actions)
        arms = [Arm(name, score.total) for name, score in scores.items()]
        context = Context(decision_id, "action", npc.id, scope.conversation, abstraction, explore=self.explore)
        action, other = self._act(context, arms, trial)
        tone = self.actions[action.arm].tone
        styles = [Arm(name, score) for name, score in score_styles(situation, tone, npc.file.styles).items()]
        style, other_style = self._act(replace(context, slot="style", chosen=action.arm), styles, trial)
        if trial is not None:
            trial = structs.replace(trial, differs=(other, other_style) != (action.arm, style.arm), other=other)
        fact = chosen_fact(action.arm, knowledge)
        event = Decision(
            turn_id="",
            decision_id=decision_id,
            npc=npc.id,
            action=action.arm,
            style=style.arm,
            signal=situation.signal,
            key=abstraction.key,
            key_version=abstraction.version,
            policy=self.policy_label,
            candidates=_listed(options, arms, action),
            vetoes=[Veto(action=name, rule=rule) for name, rule in options.vetoes.items()],
            forced_by=options.forced_by,
            fact=fact.entry.id if fact else "",
            latency_ms=0.0,
        )
        return Deliberation(
            event, arms, action, styles, style, options, scores, abstraction, knowledge, fact, trial, situation, changes
        )

    def _options(
        self, situation: Situation, stopped_by: str, changes: Sequence[Mapping[str, str | None]]
    ) -> Candidates:
        """Return what the NPC may do."""
        if not stopped_by:
            return candidates(situation, self.actions, self.rules, changes)
        reasons = {only_action(stopped_by): "the player's text was stopped"}
        return Candidates(reasons, {}, forced_by=f"gate:{stopped_by}")

    def _act(self, context: Context, arms: list[Arm], trial: Trial | None) -> tuple[Selection, str]:
        """Return the choice of the policy that acts, and the arm that the other one would have chosen."""
        learned, default = self._select(context, arms), _default(arms)
        if trial is None or trial.acts == "learned":
            return learned, default.arm
        return replace(default, scores=learned.scores, parts=learned.parts), learned.arm

    def _select(self, context: Context, arms: list[Arm]) -> Selection:
        """Return the policy's choice; the best prior when the policy fails or its answer is invalid."""
        try:
            choice = self.policy.select(context, arms)
            total = sum(choice.propensities)
            if (
                choice.arm in {arm.name for arm in arms}
                and len(choice.propensities) == len(choice.scores) == len(arms)
                and abs(total - 1) < 1e-6
                and min(choice.propensities) >= 0
                and all(map(math.isfinite, choice.scores))
            ):
                return choice
            problem = f"invalid answer {choice!r:.300}"
        except (Exception, SystemExit) as error:  # noqa: BLE001  the policy's code
            problem = repr(error)
        METRICS.errors.labels("selection").inc()
        log.error("policy.failed", policy=self.policy_name, problem=problem)
        return _default(arms)


def _default(arms: list[Arm]) -> Selection:
    """Return the choice without learning: the best prior."""
    best = max(range(len(arms)), key=lambda index: arms[index].prior)
    sure = tuple(float(index == best) for index in range(len(arms)))
    return Selection(arms[best].name, sure, tuple(arm.prior for arm in arms))


def _listed(options: Candidates, arms: list[Arm], action: Selection) -> list[Candidate]:
    """Return the candidates with their reasons, scores and probabilities."""
    return [
        Candidate(action=arm.name, score=score, propensity=propensity, why=options.reasons[arm.name])
        for arm, score, propensity in zip(arms, action.scores, action.propensities, strict=True)
    ]

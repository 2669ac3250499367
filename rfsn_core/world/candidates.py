"""Which actions are candidates, and the safety rules that no policy can get around.

Rules are data: a condition on the NPC's state and the signal, and what it forbids, forces or favours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rfsn_core.contract.actions import SafetyRule, Situation
from rfsn_core.world.actions import Actions

FEWEST, MOST = 5, 9

_KIND = ("accept", "help", "agree", "offer", "compliment", "confide", "apologize", "explain", "greet")
_CIVIL = (
    "greet",
    "farewell",
    "thanks",
    "apologize",
    "question",
    "request",
    "offer",
    "accept",
    "agree",
    "compliment",
    "smalltalk",
    "statement",
    "help",
)

BUILT_IN: tuple[SafetyRule, ...] = (
    SafetyRule("afraid_in_combat", force="flee", above={"fear": 0.7}, when={"in_combat": True}),
    SafetyRule("no_trust", forbid=("accept", "offer", "help"), below={"trust": 0.1}),
    SafetyRule("active_quest", favour=("help", "accept", "agree"), when={"quest_active": True}),
    SafetyRule(
        "no_unprovoked_attack",
        forbid=("attack",),
        when={"in_combat": False},
        below={"fear": 0.9},
        above={"affinity": -0.6},
    ),
    SafetyRule(
        "attack_answers_violence",
        forbid=("attack",),
        signals=(*_CIVIL, "disagree", "refuse", "command", "ignore", "unclear", "insult"),
    ),
    SafetyRule("no_favours_in_a_fight", forbid=_KIND, when={"in_combat": True}, below={"affinity": -0.2}),
    SafetyRule("the_frightened_do_not_threaten", forbid=("insult", "threaten", "attack"), above={"fear": 0.6}),
    SafetyRule("the_terrified_do_not_flatter", forbid=("compliment", "confide"), above={"fear": 0.7}),
    SafetyRule("secrets_need_trust", forbid=("confide",), below={"trust": 0.3}),
    SafetyRule("zeal_is_for_friends", forbid=("help_eager", "agree_enthusiastic"), below={"affinity": 0.2}),
    SafetyRule("no_betrayal_of_friends", forbid=("betray", "insult", "threaten"), above={"affinity": 0.2}),
    SafetyRule(
        "no_kindness_for_violence",
        forbid=("help", "agree", "offer", "compliment", "accept", "confide", "greet"),
        signals=("attack", "threaten", "insult", "betray"),
    ),
    SafetyRule("no_hostility_to_apologies", forbid=("insult", "threaten", "attack"), signals=("apologize",)),
)


@dataclass
class Candidates:
    """What is left to choose from, and why."""

    reasons: dict[str, str]
    """Action → why it is in."""
    vetoes: dict[str, str] = field(default_factory=dict)
    """Action → the rule or plugin that forbade it."""
    favoured: frozenset[str] = frozenset()
    forced_by: str = ""


_CALM = ("acknowledge", "inquire", "deflect", "ignore", "farewell", "disagree", "refuse_polite")
_TENSE = ("defend", "stern_warning", "refuse_firm", "flee", "disagree", "ignore", "deflect")


def candidates(
    situation: Situation,
    actions: Actions,
    rules: Sequence[SafetyRule],
    changes: Sequence[Mapping[str, str | None]] = (),
) -> Candidates:
    """Return five to nine candidates: what plugins add, what answers the signal, then what is always possible.

    A rule that forces leaves one. When everything is forbidden, `ignore` is left: an NPC can always say nothing.

    :param changes: what `rfsn_candidates` hooks returned: action → None to add, or a reason to veto.
    """
    forced, favoured, vetoes = _ruled(situation, actions, rules)
    for change in changes:
        for name, reason in change.items():
            if reason is not None:
                vetoes.setdefault(name, reason)
    if forced is not None and forced.force in actions:
        return Candidates({forced.force: f"forced by {forced.name}"}, vetoes, forced_by=forced.name)
    reasons: dict[str, str] = {}
    if situation.only:
        for name in situation.only:
            if name in actions and name not in vetoes:
                reasons[name] = f"for {situation.occasion}"
        return Candidates(reasons or {"ignore": "nothing else is allowed"}, vetoes, frozenset(favoured))
    for name, reason in _proposed(situation, actions, favoured, changes):
        if len(reasons) < MOST and name in actions and name not in vetoes:
            reasons.setdefault(name, reason)
    tense = situation.state.in_combat or situation.state.fear > 0.5
    for name in (*_TENSE, *_CALM) if tense else (*_CALM, *_TENSE):
        if len(reasons) >= FEWEST:
            break
        if name not in vetoes:
            reasons.setdefault(name, "always possible")
    if not reasons:
        reasons["ignore"] = "nothing else is allowed"
        vetoes.pop("ignore", None)
    return Candidates(reasons, vetoes, frozenset(favoured))


def _ruled(
    situation: Situation, actions: Actions, rules: Sequence[SafetyRule]
) -> tuple[SafetyRule | None, dict[str, str], dict[str, str]]:
    """Return the rule that forces, action → reason for it to be favoured, and action → the rule that forbids it."""
    forced: SafetyRule | None = None
    favoured: dict[str, str] = {}
    vetoes: dict[str, str] = {}
    for rule in rules:
        if not rule.applies(situation):
            continue
        if rule.force and forced is None:
            forced = rule
        for name in rule.favour:
            favoured.setdefault(name, f"favoured by {rule.name}")
        for name in actions.covered(rule.forbid):
            vetoes.setdefault(name, rule.name)
    return forced, favoured, vetoes


def _proposed(
    situation: Situation, actions: Actions, favoured: Mapping[str, str], changes: Sequence[Mapping[str, str | None]]
) -> list[tuple[str, str]]:
    """Return (action, reason), the most wanted first. A rule's favourites come in when they answer what was said."""
    proposed = [(name, "added by a plugin") for change in changes for name, reason in change.items() if reason is None]
    fits = actions.answering(situation)
    proposed += [(name, favoured[name]) for name in fits if name in favoured]
    proposed += [(name, f"answers {situation.signal}") for name in fits]
    return proposed

"""The actions that an NPC may choose from, and the safety rules that no policy can get around.

A rule is data: a condition on the NPC's state and the signal, and what it forbids, forces or favours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rfsn_core.contract.actions import SafetyRule, Situation
from rfsn_core.world.actions import Actions

FEWEST, MOST = 5, 9


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
    SafetyRule("secrets_need_trust", forbid=("confide",), below={"trust": 0.7}),
    SafetyRule("zeal_is_for_friends", forbid=("help_eager", "agree_enthusiastic"), below={"affinity": 0.2}),
    SafetyRule("no_betrayal_of_friends", forbid=("betray", "insult"), above={"affinity": 0.2}),
)


@dataclass
class Candidates:
    """The actions to choose from, and why."""

    reasons: dict[str, str]
    """Action → why it is in."""
    vetoes: dict[str, str]
    """Action → the rule or plugin that forbade it."""
    favoured: frozenset[str] = frozenset()
    forced_by: str = ""


_CALM = ("inquire", "explain", "agree", "disagree", "deflect", "help", "refuse_polite", "ignore", "farewell")
_TENSE = ("defend", "stern_warning", "refuse_firm", "flee", "disagree", "ignore", "deflect")
_HOSTILE = ("insult", "threaten", "refuse", "ignore", "stern_warning")
_FOND = ("compliment", "help_eager", "confide", "agree_enthusiastic", "offer")


def candidates(
    situation: Situation,
    actions: Actions,
    rules: Sequence[SafetyRule],
    changes: Sequence[Mapping[str, str | None]] = (),
) -> Candidates:
    """Return five to nine candidates: answers to the signal first, then what the mood suggests, then plain ones.

    :param changes: what `rfsn_candidates` hooks returned: action → None to add, or a reason to veto.
    A force rule leaves one. When everything is forbidden, `ignore` is left: an NPC can always say nothing.
    """
    applied = _apply(situation, actions, rules, changes)
    if applied.forced:
        reasons = {applied.forced: f"forced by {applied.forced_by}"}
        return Candidates(reasons, applied.vetoes, forced_by=applied.forced_by)
    reasons = _fill(_proposals(situation, actions, applied, changes), actions, applied.vetoes)
    if not reasons:
        reasons["ignore"] = "nothing else is allowed"
        applied.vetoes.pop("ignore", None)
    return Candidates(reasons, applied.vetoes, frozenset(applied.favoured))


@dataclass
class _Applied:
    """What the rules and plugins say in a situation."""

    vetoes: dict[str, str]
    favoured: dict[str, str]
    """Action → why it is favoured."""
    forced: str = ""
    forced_by: str = ""


def _apply(
    situation: Situation,
    actions: Actions,
    rules: Sequence[SafetyRule],
    changes: Sequence[Mapping[str, str | None]],
) -> _Applied:
    """Apply the rules, then the plugins' vetoes. The first rule that forces, or forbids an action, is named for it."""
    applied = _Applied({}, {})
    for rule in rules:
        if not rule.applies(situation):
            continue
        if rule.force in actions and not applied.forced:
            applied.forced, applied.forced_by = rule.force, rule.name
        for name in rule.favour:
            applied.favoured.setdefault(name, f"favoured by {rule.name}")
        for name in actions.covered(rule.forbid):
            applied.vetoes.setdefault(name, rule.name)
    for change in changes:
        for name, reason in change.items():
            if reason is not None:
                applied.vetoes.setdefault(name, reason)
    return applied


def _proposals(
    situation: Situation, actions: Actions, applied: _Applied, changes: Sequence[Mapping[str, str | None]]
) -> Iterator[tuple[str, str]]:
    """Yield (action, why), the most fitting first."""
    for change in changes:
        yield from ((name, "added by a plugin") for name, reason in change.items() if reason is None)
    yield from list(applied.favoured.items())[:3]
    yield from ((name, f"answers {situation.signal}") for name in list(actions.answering(situation.signal))[:6])
    state = situation.state
    if state.in_combat or state.fear > 0.5:
        yield from ((name, "tense") for name in _TENSE)
    elif state.affinity < -0.2:
        yield from ((name, "hostile towards the player") for name in _HOSTILE)
    elif state.affinity > 0.4:
        yield from ((name, "fond of the player") for name in _FOND[:2])


def _fill(proposals: Iterable[tuple[str, str]], actions: Actions, vetoes: Mapping[str, str]) -> dict[str, str]:
    """Return action → why: the allowed proposals, at most MOST, filled up to FEWEST with what is always possible."""
    reasons: dict[str, str] = {}
    for name, why in proposals:
        if len(reasons) < MOST and name in actions and name not in vetoes:
            reasons.setdefault(name, why)
    for name in (*_CALM, *_TENSE):
        if len(reasons) < FEWEST and name in actions and name not in vetoes:
            reasons.setdefault(name, "always possible")
    return reasons

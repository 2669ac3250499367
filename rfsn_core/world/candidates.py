"""Which actions come into question, and the safety rules that no policy can get around.

Rules are data: a condition on the NPC's state and the signal, and what it forbids, forces or favours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """What is left to choose from, and why."""

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
    """Five to nine candidates: answers to the signal first, then what the mood suggests, then plain ones.

    :param changes: what `rfsn_candidates` hooks returned: action → None to add, or a reason to veto.
    A force rule leaves one. When everything is forbidden, `ignore` is left: an NPC can always say nothing.
    """
    vetoes: dict[str, str] = {}
    favoured: dict[str, str] = {}
    forced, forced_by = "", ""
    for rule in rules:
        if not rule.applies(situation):
            continue
        if rule.force and not forced:
            forced, forced_by = rule.force, rule.name
        for name in rule.favour:
            favoured.setdefault(name, f"favoured by {rule.name}")
        for name in actions.covered(rule.forbid):
            vetoes.setdefault(name, rule.name)
    for change in changes:
        for name, reason in change.items():
            if reason is not None:
                vetoes.setdefault(name, reason)
    if forced and forced in actions:
        return Candidates({forced: f"forced by {forced_by}"}, vetoes, forced_by=forced_by)
    reasons: dict[str, str] = {}

    def add(names: Sequence[str], reason: str) -> None:
        for name in names:
            if len(reasons) < MOST and name in actions and name not in vetoes:
                reasons.setdefault(name, reason)

    for change in changes:
        add([name for name, reason in change.items() if reason is None], "added by a plugin")
    for name, why in list(favoured.items())[:3]:
        add([name], why)
    add(list(actions.answering(situation.signal))[:6], f"answers {situation.signal}")
    state = situation.state
    if state.in_combat or state.fear > 0.5:
        add(_TENSE, "tense")
    elif state.affinity < -0.2:
        add(_HOSTILE[:FEWEST], "hostile towards the player")
    elif state.affinity > 0.4:
        add(_FOND[:2], "fond of the player")
    for name in (*_CALM, *_TENSE):
        if len(reasons) >= FEWEST:
            break
        add([name], "always possible")
    if not reasons:
        reasons["ignore"] = "nothing else is allowed"
        vetoes.pop("ignore", None)
    return Candidates(reasons, vetoes, frozenset(favoured))

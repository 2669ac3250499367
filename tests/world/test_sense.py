"""Decisions that a designer would sign: rules over a grid of all situations."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from rfsn_core.contract.actions import Situation
from rfsn_core.contract.npc import NpcState, Temperament
from rfsn_core.contract.understanding import SIGNALS
from rfsn_core.world import candidates as module
from rfsn_core.world.actions import Actions
from rfsn_core.world.candidates import FEWEST, MOST, candidates
from rfsn_core.world.feelings import mood
from rfsn_core.world.scoring import Weights, score_actions

ACTIONS, WEIGHTS = Actions(), Weights()
AFFINITY = {"enemy": -0.8, "rival": -0.4, "stranger": 0.0, "acquaintance": 0.05, "friend": 0.4, "ally": 0.8}
TONE = {"thanks": 0.4, "compliment": 0.5, "insult": -0.6, "threaten": -0.6, "attack": -0.8, "betray": -0.6}

GIVING = {"accept", "help", "help_eager", "agree", "agree_enthusiastic", "offer", "compliment", "confide"}
HOSTILE = {"insult", "threaten", "attack", "betray", "stern_warning", "refuse_firm", "refuse"}
ANSWERS = {"explain", "confide", "hint", "unsure", "refer"}
CIVIL = {
    "greet",
    "question",
    "thanks",
    "farewell",
    "apologize",
    "offer",
    "accept",
    "agree",
    "compliment",
    "smalltalk",
    "statement",
    "help",
    "request",
}
TO_THE_POINT = {
    "accept",
    "agree",
    "agree_reluctant",
    "agree_enthusiastic",
    "help",
    "help_eager",
    "help_grudging",
    "offer",
    "refuse",
    "refuse_polite",
    "inquire",
    "probe",
    "explain",
    "hint",
    "comply_hesitant",
}


class Case(NamedTuple):
    tier: str
    trust: float
    fear: float
    signal: str
    combat: bool
    quest: bool

    @property
    def state(self) -> NpcState:
        state = NpcState(
            affinity=AFFINITY[self.tier],
            trust=self.trust,
            fear=self.fear,
            in_combat=self.combat,
            quest_active=self.quest,
            turns=0 if self.tier == "stranger" else 5,
            sentiment=0.3 * TONE.get(self.signal, 0.0),
        )
        return replace(state, mood=mood(state))


def grid() -> Iterator[Case]:
    yield from map(
        Case._make,
        itertools.product(AFFINITY, (0.05, 0.4, 0.9), (0.0, 0.4, 0.9), SIGNALS, (False, True), (False, True)),
    )


def chosen(case: Case, temperament: Temperament | None = None, knowing: frozenset[str] = frozenset()) -> str:
    situation = Situation(case.state, case.signal, {}, temperament or Temperament(), knowing)
    options = candidates(situation, ACTIONS, module.BUILT_IN)
    assert options.forced_by or FEWEST <= len(options.reasons) <= MOST
    scores = score_actions(situation, options, ACTIONS, WEIGHTS, {})
    return max(scores, key=lambda name: scores[name].total)


def broken_rules(case: Case, action: str) -> list[str]:
    """Return the rules that an action breaks in a situation."""
    hostile, fond = case.tier in ("enemy", "rival"), case.tier in ("friend", "ally")
    calm = not case.combat and case.fear < 0.5
    signal = case.signal
    rules = {
        "an enemy in combat does nothing kind": hostile and case.combat and action in GIVING,
        "a calm friend is not hostile to civil words": fond
        and calm
        and case.trust > 0.1
        and signal in CIVIL
        and action in HOSTILE | {"ignore"},
        "an insult is not answered with a kindness": signal == "insult" and action in GIVING,
        "the insulted does not apologize": signal == "insult" and case.fear < 0.5 and action == "apologize",
        "the attacked fights, flees or warns": signal == "attack"
        and action not in {"attack", "defend", "flee", "stern_warning", "threaten"},
        "a question is answered": signal == "question"
        and calm
        and case.trust >= 0.4
        and not hostile
        and action not in ANSWERS,
        "a greeting is returned": signal == "greet" and calm and not hostile and action != "greet",
        "a farewell is returned": signal == "farewell" and calm and case.tier != "enemy" and action != "farewell",
        "the terrified do not threaten": case.fear > 0.8
        and action in {"threaten", "insult", "attack", "stern_warning"},
        "the terrified do not flatter": case.fear > 0.8 and action in {"compliment", "confide"},
        "without trust nothing is given": case.trust < 0.1
        and action in {"accept", "offer", "help", "help_eager", "help_grudging"},
        "a calm enemy does nothing kind": case.tier == "enemy" and calm and action in GIVING,
        "a friend in need is helped": signal == "help"
        and fond
        and case.trust >= 0.4
        and not case.combat
        and action not in {"help", "help_eager", "help_grudging", "offer", "explain", "inquire", "flee"},
        "an apology is not punished": signal == "apologize"
        and action in {"insult", "threaten", "attack", "stern_warning"},
        "treachery and threats earn nothing": signal in ("betray", "threaten") and action in GIVING,
        "one who runs away is not courted": signal == "flee" and action in GIVING,
        "offers and requests get an answer": signal in ("offer", "request")
        and calm
        and not hostile
        and action not in TO_THE_POINT,
        "a refusal is not gushed over": signal in ("refuse", "disagree")
        and action in {"compliment", "agree_enthusiastic", "help_eager", "confide"},
        "thanks are taken": signal == "thanks"
        and calm
        and not hostile
        and action not in {"acknowledge", "compliment", "accept"},
        "who tells something is listened to": signal == "statement"
        and calm
        and not hostile
        and action not in {"acknowledge", "inquire", "probe", "explain", "compliment"},
    }
    return [rule for rule, is_broken in rules.items() if is_broken]


WARM = Temperament(warmth=0.8, bravery=-0.5, pride=-0.5, honesty=0.5, curiosity=0.6)
HARD = Temperament(warmth=-0.6, bravery=0.8, pride=0.8, honesty=-0.5, curiosity=-0.5)


@pytest.mark.parametrize("temperament", [Temperament(), WARM, HARD], ids=["plain", "warm", "hard"])
def test_at_most_one_situation_in_a_hundred_breaks_a_rule(temperament: Temperament) -> None:
    cases = list(grid())
    broken = Counter(rule for case in cases for rule in broken_rules(case, chosen(case, temperament)))
    assert len(cases) > 4000
    assert broken.total() <= len(cases) / 100, broken


def test_two_npcs_with_different_sliders_decide_differently_in_a_quarter_of_all_situations() -> None:
    cases = list(grid())
    assert sum(chosen(case, WARM) != chosen(case, HARD) for case in cases) >= len(cases) / 4


@pytest.mark.parametrize("slider", ["warmth", "bravery", "pride", "honesty", "curiosity"])
def test_each_slider_is_seen_in_decisions(slider: str) -> None:
    cases = list(grid())
    low, high = Temperament(**{slider: -1.0}), Temperament(**{slider: 1.0})
    assert sum(chosen(case, low) != chosen(case, high) for case in cases) >= len(cases) / 20


def test_the_frightened_threaten_hardly_ever() -> None:
    cases = [case for case in grid() if case.fear > 0.6]
    assert sum(ACTIONS.plain(chosen(case)) == "threaten" for case in cases) <= len(cases) / 10


def test_betrayal_insults_threats_and_attacks_happen_where_they_make_sense() -> None:
    done = Counter(chosen(case, temperament) for case in grid() for temperament in (Temperament(), HARD))
    assert {"betray", "insult", "threaten", "attack"} <= done.keys()
    fight = Case("enemy", 0.4, 0.0, "attack", True, False)
    assert chosen(fight) == "attack"


@pytest.mark.parametrize(
    ("knowing", "action"),
    [
        ({"answer"}, "explain"),
        ({"secret"}, "confide"),
        ({"withheld"}, "hint"),
        ({"elsewhere"}, "refer"),
        ({"unknown"}, "unsure"),
    ],
)
def test_what_an_npc_knows_decides_how_a_question_is_answered(knowing: set[str], action: str) -> None:
    assert chosen(Case("acquaintance", 0.6, 0.0, "question", False, False), None, frozenset(knowing)) == action


def test_a_secret_is_never_confided_without_trust() -> None:
    for case in grid():
        if case.trust < 0.3:
            assert chosen(case, WARM, frozenset({"secret"})) != "confide"

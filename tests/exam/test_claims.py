"""The checker of claims: right and wrong examples of each kind of judgement."""

from __future__ import annotations

import pytest

from rfsn_core.exam.claims import Checker, Statement, contradictions

FACTS = {
    "ferry": "The ferry has not run for nine days. Osk says that the rope is rotten.",
    "brother": "Corin is my brother, and he rowed out to the lights.",
    "room": "A room is two coppers a night, with clean sheets.",
    "gate": "The north gate is closed after dusk.",
    "forge": "The forge on the hill burned down in 1642.",
}
NAMES = frozenset({"osk", "corin", "tilda", "pim"})


@pytest.fixture
def checker() -> Checker:
    return Checker([Statement(text, fact, NAMES) for fact, text in FACTS.items()], NAMES)


@pytest.mark.parametrize(
    ("sentence", "fact"),
    [
        ("The ferry has not run for nine days, love.", "ferry"),
        ("Corin, my brother, rowed out to those lights.", "brother"),
        ("Two coppers a night for a room.", "room"),
        ("They close the north gate, closed it is after dusk.", "gate"),
        ("In 1642 the forge burned down.", "forge"),
    ],
)
def test_what_a_fact_says_in_other_words_is_stated(checker: Checker, sentence: str, fact: str) -> None:
    claim = checker.judge(sentence)
    assert (claim.kind, claim.fact) == ("stated", fact), claim


@pytest.mark.parametrize(
    ("sentence", "fact"),
    [
        ("The ferry has not run for three days.", "ferry"),
        ("A room is five coppers a night, with clean sheets.", "room"),
        ("The north gate is open after dusk.", "gate"),
        ("Pim is my brother, and he rowed out to the lights.", "brother"),
        ("The forge on the hill burned down in 1690.", "forge"),
        ("Corin is not my brother, and he never rowed out to the lights.", "brother"),
        ("The south gate is closed after dusk.", "gate"),
    ],
)
def test_another_number_name_denial_or_opposite_contradicts(checker: Checker, sentence: str, fact: str) -> None:
    claim = checker.judge(sentence)
    assert (claim.kind, claim.fact) == ("contradicted", fact), claim


@pytest.mark.parametrize("sentence", ["I learned it from Halvaric.", "Ask at the house of Lady Ostermoor."])
def test_a_name_that_nobody_has_heard_of_is_invented(checker: Checker, sentence: str) -> None:
    assert checker.judge(sentence).kind == "invented"


@pytest.mark.parametrize(
    "sentence",
    [
        "Good evening, and welcome.",
        "Did the ferry run three days ago?",
        "If the north gate were open after dusk, I would tell you.",
        "You have been on the road for nine days, then.",
        "I do not know, and that is not a thing I often say.",
        "Not today.",
    ],
)
def test_small_talk_questions_and_suppositions_claim_nothing(checker: Checker, sentence: str) -> None:
    assert checker.judge(sentence).kind in ("none", "stated"), checker.judge(sentence)


def test_a_name_that_the_player_brought_is_no_invention(checker: Checker) -> None:
    assert checker.judge("I have never met Halvaric.", ["Do you know Halvaric?"]).kind == "none"


def test_facts_that_contradict_each_other_are_found_and_others_are_not() -> None:
    texts = {**FACTS, "lore.1": "The ferry has not run for three days.", "rope": "The rope hangs in the boathouse."}
    found = contradictions([Statement(text, fact, NAMES) for fact, text in texts.items()])
    assert [(one.fact, other.fact) for one, other, _ in found] == [("ferry", "lore.1")]

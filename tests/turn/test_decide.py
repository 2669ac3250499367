"""What the NPC's knowledge means for its decision."""

from __future__ import annotations

import pytest

from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.understanding import Understanding
from rfsn_core.kit.words import content_words
from rfsn_core.turn.decide import knowing
from rfsn_core.world.decision import chosen_fact, is_told
from rfsn_core.world.facts import Fact
from rfsn_core.world.knowledge import Knowledge, Question, Recall


def recall(text: str, *facts: Fact) -> tuple[Understanding, Recall]:
    understanding = Understanding(signal="question", words=text, topics=content_words(text), asks="player_name")
    question = Question(npc="smith", text=text, understanding=understanding, state=NpcState())
    return understanding, Knowledge({"smith": facts}).recall(question)


@pytest.mark.parametrize("when", [{}, {"trust": 0.9}])
def test_a_fact_that_shares_a_word_does_not_stand_in_the_way_of_the_players_name(when: dict[str, float]) -> None:
    fact = Fact.model_validate({"text": "He gave no name.", "when": when})
    assert knowing(*recall("what is my name", fact)) == {"answer"}


def test_a_fact_whose_key_was_said_counts_as_usual() -> None:
    fact = Fact(text="You are called Stray here.", keys=["my name"])
    assert "answer" in knowing(*recall("what is my name", fact))


BELL = Fact(id="bell", text="I took the bell. It is in the old mine, under the ore cart.")


@pytest.mark.parametrize("action", ["probe", "refuse", "disagree", "ignore", "stern_warning", "greet", "unsure"])
def test_an_action_that_tells_nothing_is_about_no_fact(action: str) -> None:
    _, knowledge = recall("who took the bell", BELL)
    assert knowledge.answers
    assert chosen_fact(action, knowledge) is None


@pytest.mark.parametrize(
    ("action", "said", "told"),
    [
        ("explain", "I took the bell. It is in the old mine, under the ore cart.", True),
        ("explain", "Fine. The bell? You will find it below the cart in that mine.", True),
        ("explain", "I would rather not speak of myself.", False),
        ("acknowledge", "I see. A bell, you say.", False),
        ("accept", "All right. It is in the old mine, under the ore cart.", True),
        ("hint", "Look in the old mine, under the ore cart.", False),
    ],
)
def test_a_fact_was_told_when_it_was_said(action: str, said: str, told: bool) -> None:
    assert is_told(BELL, action, said) == told

"""What the NPC's knowledge means for its decision."""

from __future__ import annotations

import pytest

from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.understanding import Understanding
from rfsn_core.kit.words import content_words
from rfsn_core.turn.decide import knowing
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

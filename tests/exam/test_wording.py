"""Style, friendliness and persona of words: right and wrong examples."""

from __future__ import annotations

import pytest

from rfsn_core.exam.wording import persona_fault, sentiment_fault, style_fault

LONG = "I could tell you all of it, and I will, because the night is long and the fire is warm and nobody else here has"
LONG += " ever asked me about the mill, the flood, the wolves or the winter that took the bridge."


@pytest.mark.parametrize(
    ("style", "right", "wrong"),
    [
        ("terse_direct", "No. Try the smith.", LONG),
        ("formal_respectful", "I am at your service, my lady.", "Yeah, I'm gonna look into that."),
        ("warm_friendly", "Come in, friend, sit by the fire.", "You stupid fool, get out."),
        ("neutral_balanced", "The smith lives by the gate.", "The smith! By the gate! Go! Now!"),
        ("lore_rich", "The smith lives where the old toll house stood before the war.", "By the gate."),
    ],
)
def test_a_style_accepts_what_is_in_it_and_refuses_what_is_not(style: str, right: str, wrong: str) -> None:
    assert style_fault(style, right) == ""
    assert style_fault(style, wrong)


def test_nothing_is_said_of_styles_without_a_rule() -> None:
    assert style_fault("playful_witty", LONG) is None
    assert style_fault("lore_rich", "Go on.", telling=False) is None


@pytest.mark.parametrize(
    ("tone", "right", "wrong"),
    [
        (0.8, "Gladly, my good friend.", "Get out, you stupid liar."),
        (-1.0, "You fool, I will gut you.", "Welcome, my good and kind friend, thank you."),
    ],
)
def test_words_must_not_be_the_opposite_of_the_action(tone: float, right: str, wrong: str) -> None:
    assert sentiment_fault(tone, right) == ""
    assert sentiment_fault(tone, wrong)


def test_an_action_that_is_neither_friendly_nor_hostile_may_sound_like_anything() -> None:
    assert sentiment_fault(0.1, "You stupid liar.") is None


def test_the_model_and_labels_are_not_the_npc() -> None:
    assert persona_fault("As an AI language model, I cannot fight.")
    assert persona_fault("Assistant: Good evening.")
    assert not persona_fault("I am only a miller. I cannot fight.")

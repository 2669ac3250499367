"""What players mean: the default provider."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core.contract.understanding import SIGNALS, Entity, Understanding, UnderstandingContext
from rfsn_core.defaults.signal_model import FILE, SignalModel
from rfsn_core.defaults.understanding import Settings, Signals

ROOT = Path(__file__).parents[2]
SIGNAL = Signals(Settings())


def understand(text: str, **context: Any) -> Understanding:
    return SIGNAL.understand(text, UnderstandingContext(**context))


@pytest.mark.parametrize(
    ("text", "signal"),
    [
        ("Good evening!", "greet"),
        ("hi", "greet"),
        ("bye", "farewell"),
        ("cya", "farewell"),
        ("gotta go, cya", "farewell"),
        ("thank you so much", "thanks"),
        ("You are an idiot.", "insult"),
        ("your stew is disgusting", "insult"),
        ("kill yourself", "threaten"),
        ("I will burn this inn down", "threaten"),
        ("*draws sword*", "attack"),
        ("I am sorry.", "apologize"),
        ("Where is the ferry?", "question"),
        ("who are you", "question"),
        ("Could you open the gate?", "request"),
        ("No.", "disagree"),
        ("I told the guards you poison the stew", "betray"),
        ("I'll give you ten coins.", "offer"),
        ("My name is Aldric", "statement"),
        ("asdf", "unclear"),
        ("sdkfjh qwe", "unclear"),
        ("...", "ignore"),
        ("", "ignore"),
        ("?", "question"),
        ('{"role": "system"}', "unclear"),
        ("we went to the lake last week and it rained the whole time", "statement"),
        ("lol", "smalltalk"),
    ],
)
def test_what_is_said_is_understood(text: str, signal: str) -> None:
    assert understand(text).signal == signal


@given(st.text(max_size=300))
def test_any_text_is_understood_as_one_of_the_signals(text: str) -> None:
    understanding = understand(text)
    assert understanding.signal in SIGNALS
    assert 0 <= understanding.confidence <= 1
    assert -1 <= understanding.sentiment <= 1


def test_acts_are_told_from_words() -> None:
    understanding = understand("*leans closer* Who was that? *whispers*")
    assert understanding.acts == ("leans closer", "whispers")
    assert understanding.words == "Who was that?"
    assert understand("/me waves").acts == ("waves",)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("how much for the lamp oil", "how_much"),
        ("where's tilda", "where"),
        ("why did he row out?", "why"),
        ("when does the ferry run", "when"),
        ("who moved them?", "who"),
        ("are you a robot?", "yes_no"),
        ("wo ist der Schmied?", "where"),
    ],
)
def test_questions_have_a_kind(text: str, kind: str) -> None:
    assert understand(text).question == kind


def test_names_of_the_world_are_found_the_longest_first() -> None:
    names = {
        "maud": Entity("npc", "sergeant", "Maud Harrow"),
        "maud harrow": Entity("npc", "sergeant", "Maud Harrow"),
        "osk": Entity("npc", "ferryman", "Osk"),
    }
    found = understand("Is Maud Harrow angry with Osk's rope?", names=names).entities
    assert [entity.id for entity in found] == ["sergeant", "ferryman"]


@pytest.mark.parametrize(
    ("text", "signal"),
    [
        ("ok thanks, gotta run", "farewell"),
        ("it was nice talking to you, bye", "farewell"),
        ("bye for now my friend", "farewell"),
        ("nope that's wrong", "disagree"),
        ("of course not", "disagree"),
        ("no thanks", "refuse"),
        ("tell me where you were born", "question"),
        ("you're right about that", "agree"),
        ("thanks so much for your help", "thanks"),
        ("до свидания", "farewell"),
        ("dziękuję", "thanks"),
        ("いいえ", "disagree"),
    ],
)
def test_short_lines_are_certain(text: str, signal: str) -> None:
    understanding = understand(text)
    assert (understanding.signal, understanding.source) == (signal, "rule")


def test_short_words_in_a_longer_line_decide_nothing() -> None:
    assert understand("thanks for nothing").source == "model"
    assert understand("no?").signal == "question"
    assert understand("tell me where he is or I will break your fingers").source == "model"
    assert understand("no man has ever come back from the far bank").signal == "statement"


def test_missing_apostrophes_and_chat_spelling_change_nothing() -> None:
    for one, other in (("what's your name", "whats ur name"), ("I don't know you", "i dont know u")):
        assert understand(one).signal == understand(other).signal
        assert understand(one).asks == understand(other).asks


def test_yes_after_an_offer_accepts_and_no_refuses() -> None:
    assert understand("yes", last_action="offer").signal == "accept"
    assert understand("no", last_action="offer").signal == "refuse"
    assert understand("yes", last_action="explain").signal == "agree"


def test_a_worlds_own_examples_count_more_than_the_model() -> None:
    examples = {"by the old lantern": "greet", "the river take you": "insult"}
    assert understand("By the old lantern!", examples=examples).source == "examples"
    assert understand("the river take you, friend", examples=examples).signal == "insult"
    assert understand("where is the ferry", examples=examples).signal == "question"


def test_the_model_is_small_and_knows_every_signal() -> None:
    assert FILE.stat().st_size <= 200 * 1024
    assert set(SignalModel.load().signals) == set(SIGNALS)


def test_the_model_can_be_trained_again_from_the_labelled_lines(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("train", ROOT / "training" / "signals" / "train.py")
    assert spec is not None
    assert spec.loader is not None
    train = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(train)
    rows = train.lines()
    assert {signal for _, signal, _ in rows} == set(SIGNALS)
    assert "heldout" not in {file for file, _, _ in rows}
    few = [row for row in rows if row[0] == "en"][::8]
    model = train.fit(few, epochs=2)
    model.save(tmp_path / "signals.xz")
    model = SignalModel.load(tmp_path / "signals.xz")
    right = sum(model.of_text(text) == signal for _, signal, text in few[:400])
    assert right > 280


@pytest.mark.parametrize(
    ("text", "signal", "language"),
    [
        ("muss jetzt los, bis die tage", "farewell", "de"),
        ("parle ou je te casse les jambes", "threaten", "fr"),
        ("perdóname, no quería ofenderte", "apologize", "es"),
        ("sei un vigliacco e un bugiardo", "insult", "it"),
        ("onde fica a ferraria", "question", "pt"),
        ("спасибо тебе большое", "thanks", "ru"),
        ("nazywam się robert", "statement", "pl"),
        ("你能给我带路吗", "request", "zh"),
        ("手伝おうか", "offer", "ja"),
    ],
)
def test_lines_in_other_languages_are_read_by_what_their_words_come_to(text: str, signal: str, language: str) -> None:
    understanding = understand(text)
    assert (understanding.signal, understanding.language) == (signal, language)


def test_words_that_english_shares_with_other_languages_leave_a_line_english() -> None:
    for line in ("no, the gift was so bad", "come on, man", "a man has to do more"):
        assert understand(line).language == "en"


def test_a_question_about_somebody_else_is_neither_praise_nor_insult() -> None:
    assert understand("is the ferryman a liar").signal == "question"
    assert understand("did somebody pay you to be quiet?").signal == "question"
    assert understand("are you stupid").signal == "insult"


@pytest.mark.parametrize(
    ("text", "signal"),
    [
        ("thanks for the chat, catch you later", "farewell"),
        ("thanks for everything, take care", "farewell"),
        ("no, i was at home all night", "disagree"),
        ("yes, the smith told me about that", "agree"),
        ("nein, das war ein anderer", "disagree"),
        ("ahahah", "smalltalk"),
    ],
)
def test_a_line_with_two_acts_is_heard_by_the_one_that_counts(text: str, signal: str) -> None:
    assert understand(text).signal == signal

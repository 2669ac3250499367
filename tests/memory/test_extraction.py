from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core.contract.storage import MemoryKind
from rfsn_core.memory.extraction import from_npc, from_player


def found(text: str) -> list[tuple[str, str, bool]]:
    return [
        (each.predicate or each.kind.value, each.value or each.text, each.negated) for each in from_player(text, "p")
    ]


@pytest.mark.parametrize(
    ("text", "learned"),
    [
        ("My name is Aldric Fenn.", [("name", "Aldric Fenn", False)]),
        ("Good evening. They call me Bren the Grey, and I come from Harrow.",
         [("name", "Bren the Grey", False), ("origin", "Harrow", False)]),
        ("I’m from Low Weir", [("origin", "Low Weir", False)]),
        ("I work as a cooper, mostly.", [("trade", "cooper", False)]),
        ("I love plum pie and the sea.", [("likes", "plum pie", False)]),
        ("I don't like rain.", [("likes", "rain", True)]),
        ("I hate fish!", [("likes", "fish", True)]),
        ("I don't hate fish.", [("likes", "fish", False)]),
        ("I swear that I will bring the bell back.",
         [("promise", "The player promised: I swear that I will bring the bell back.", False)]),
        ("I promise to find him, believe me.", [("promise", "The player promised: I promise to find him.", False)]),
        # What is no such thing:
        ("I hate you!", []),
        ("I love your stew.", []),
        ("What is your name?", []),
        ("I am tired.", []),
        ("He says his name is Oren.", []),
        ("I will go now.", []),
        ("Do I like it? Who knows.", []),
        ("", []),
    ],
)  # fmt: skip
def test_statements_of_players_about_themselves(text: str, learned: list[tuple[str, str, bool]]) -> None:
    assert found(text) == learned


@pytest.mark.parametrize(
    ("text", "learned"),
    [
        ("my name is aldric", [("name", "Aldric", False)]),
        ("my names bob btw", [("name", "Bob", False)]),
        ("im from low weir and i like plums", [("origin", "Low Weir", False), ("likes", "plums", False)]),
        ("i dont like rain", [("likes", "rain", True)]),
        ("ich heiße anna und ich mag keine ratten", [("name", "Anna", False), ("likes", "ratten", True)]),
        ("Je m'appelle Marie, et j'aime le vin.", [("name", "Marie", False), ("likes", "le vin", False)]),
        ("me llamo juan, no me gustan las ratas", [("name", "Juan", False), ("likes", "las ratas", True)]),
        ("te prometo que volveré", [("promise", "The player promised: te prometo que volveré.", False)]),
    ],
)
def test_players_write_in_lower_case_and_in_other_languages(text: str, learned: list[tuple[str, str, bool]]) -> None:
    assert found(text) == learned


@pytest.mark.parametrize(
    "text",
    [
        "I never said I like rats.",
        "i didnt tell her my name is bob",
        "If I said my name is Bob, would you believe me?",
        '"My name is Inigo," he said.',
        "my name isn't bob",
        "call me crazy",
        "im from far away",
        "he says my name is bob",
        "who told you i like rats?",
        "let's say my name is Bob",
        "ich habe nie gesagt, ich mag ratten",
        "wenn ich sage, ich heiße Bob, glaubst du mir?",
        "„Ich heiße Bob“, sagte er.",
        "je n'ai jamais dit que j'aime les rats",
        "si je disais que je m'appelle Bob",
        "« Je m'appelle Bob », dit-il.",
        "nunca dije que me gustan las ratas",
        "si me llamo bob, me creerías?",
        "«Me llamo Bob», dijo.",
        "ich liebe dich",
        "je t'aime",
    ],
)
def test_what_is_denied_supposed_or_quoted_is_not_believed(text: str) -> None:
    assert found(text) == []


def test_promises_of_npcs() -> None:
    (promise,) = from_npc("I give you my word that I will keep the lantern lit. Now go.")
    assert promise.kind is MemoryKind.PROMISE
    assert promise.text == "You promised: I give you my word that I will keep the lantern lit."
    assert list(from_npc("I will pour you a drink.")) == []


@given(st.text(max_size=300))
def test_any_text_is_accepted(text: str) -> None:
    for learned in (*from_player(text, "p"), *from_npc(text)):
        assert learned.text


@pytest.mark.timeout(30)
def test_long_repetitive_text_takes_little_time() -> None:
    for text in ("I like " * 3000, "My name is " + "A" * 20_000, "I swear I will " + "x " * 9000, "A " * 10_000):
        list(from_player(text, "p"))

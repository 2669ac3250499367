"""What a provider of the understanding stage must do."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

from rfsn_core.contract.understanding import ASKS, SIGNALS, Entity, Understander, Understanding, UnderstandingContext
from rfsn_core.testing.suites.provider import ProviderSuite
from rfsn_core.testing.suites.texts import ODD_TEXTS, SPEAKABLE

HOSTILE_TEXTS = (
    "\0\0",
    "\ud83d",
    "(" * 5000,
    "*" * 5000,
    "*attacks" * 1000,
    "a" * 50_000 + "!",
    "no " * 20_000,
    "?!" * 20_000,
    " \n\t" * 20_000,
    "'" * 20_000,
    "a-" * 20_000,
    "\u200b\u200d\ufeff",
    "è" * 20_000,
    "私は" * 10_000,
    "1" * 20_000,
)
"""Texts on which patterns hang, stacks overflow, or encodings fail."""
LINES = (
    "Good evening!",
    "Who are you?",
    "Where is Marten?",
    "I will kill you!",
    "Thank you, my friend.",
    "yes",
    "*gives the smith a plum*",
    "¿Dónde está el herrero?",
    SPEAKABLE,
)
QUESTIONS = ("", "who", "what", "where", "when", "why", "how", "how_much", "which", "yes_no")


def _context() -> UnderstandingContext:
    smith = Entity("npc", "smith", "Berit")
    marten = Entity("npc", "miller", "Marten")
    return UnderstandingContext(
        npc="smith",
        names={"berit": smith, "marten": marten, "": smith},
        last_action="offer",
        examples={"Got any work?": "request", "": "ignore"},
    )


def _contexts() -> Iterator[UnderstandingContext]:
    yield UnderstandingContext()
    yield _context()


class UnderstanderSuite(ProviderSuite):
    """For providers of the understanding stage."""

    stage = "understanding"

    def test_any_text_gets_a_known_signal(self, tmp_path: Path) -> None:
        async def body(understander: Understander) -> None:
            for context in _contexts():
                for text in (*LINES, *ODD_TEXTS, *HOSTILE_TEXTS):
                    understanding = understander.understand(text, context)
                    assert isinstance(understanding, Understanding)
                    _check(understanding)

        self.run(tmp_path, body)

    def test_the_same_text_in_the_same_context_means_the_same(self, tmp_path: Path) -> None:
        runs: list[list[Understanding]] = []

        async def body(understander: Understander) -> None:
            for order in (1, -1):
                meanings = {text: understander.understand(text, _context()) for text in (*LINES, *ODD_TEXTS)[::order]}
                runs.append([meanings[text] for text in (*LINES, *ODD_TEXTS)])

        self.run(tmp_path, body)
        self.run(tmp_path, body)
        assert all(meanings == runs[0] for meanings in runs)

    def test_it_does_not_change_the_context(self, tmp_path: Path) -> None:
        async def body(understander: Understander) -> None:
            context = _context()
            before = copy.deepcopy(context)
            for text in LINES:
                understander.understand(text, context)
            assert context == before

        self.run(tmp_path, body)

    def test_a_thousand_texts_are_understood_within_the_limit_of_a_test(self, tmp_path: Path) -> None:
        async def body(understander: Understander) -> None:
            for number in range(1000):
                _check(understander.understand(f"{LINES[number % len(LINES)]} ({number})", _context()))

        self.run(tmp_path, body)


def _check(understanding: Understanding) -> None:
    assert understanding.signal in SIGNALS
    assert 0 <= understanding.confidence <= 1
    assert all(signal in SIGNALS and 0 <= confidence <= 1 for signal, confidence in understanding.alternatives)
    assert understanding.asks in ("", *ASKS)
    assert understanding.question in QUESTIONS
    assert -1 <= understanding.sentiment <= 1
    assert understanding.language

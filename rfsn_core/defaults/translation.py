"""Word-by-word English for lines in other languages, so that the signal model reads them with what it knows of English.

`words/translations.txt` holds the words that tell what a player does. What is not in it stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from rfsn_core.kit.plain_text import fold, tokens
from rfsn_core.kit.words import STOP_WORDS

FILE = Path(__file__).with_name("words") / "translations.txt"
LANGUAGES = ("de", "fr", "es", "it", "pt", "ru", "pl", "zh", "ja")
"""The columns of the file after English."""
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_LETTERS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("zh", re.compile(r"[\u3400-\u9fff]")),
)
_SHORTEST, _TELLING = 3, 4
"""Letters of a stem at least, and the length up to which it may well be the beginning of an English word."""
MOST_WORDS = 80
"""What is read of a text."""
Words = tuple[str, ...]


class Translation(NamedTuple):
    """A line in English words."""

    language: str
    words: list[str]
    """English where the word is known, else as it was."""
    original: list[str]
    """The words that were translated, as they were."""


class _Table:
    """One language's words: phrases by their first word, and stems."""

    def __init__(self) -> None:
        self.phrases: dict[str, list[tuple[Words, Words]]] = {}
        self.stems: dict[str, Words] = {}
        self.small: set[str] = set()
        """Words that only tell the language."""
        self.longest = 0
        """Characters of the longest word, for languages without spaces."""

    def add(self, word: str, english: Words) -> None:
        """Add a word, phrase or stem; the first of two equal ones counts."""
        parts = tuple(tokens(fold(word.rstrip("*").replace("_", " "))))
        if not parts:
            return
        if word.endswith("*"):
            self.stems.setdefault(parts[0], english)
        elif all(parts != known for known, _ in self.phrases.get(parts[0], ())):
            self.phrases.setdefault(parts[0], []).append((parts, english))
            self.longest = max(self.longest, len(parts[0]))

    def sort(self) -> None:
        """Put longer phrases first."""
        for phrases in self.phrases.values():
            phrases.sort(key=lambda phrase: -len(phrase[0]))

    @lru_cache(maxsize=20_000)  # noqa: B019  the tables live as long as the program
    def stem(self, word: str) -> Words:
        """Return what the longest known stem of a word means; empty when none is known."""
        for length in range(len(word), _SHORTEST - 1, -1):
            if english := self.stems.get(word[:length]):
                return english
        return ()

    def match(self, words: Sequence[str], at: int) -> tuple[int, Words]:
        """Return how many words from a place on are known together, and what they mean; 0 when unknown."""
        for parts, english in self.phrases.get(words[at], ()):
            if len(parts) == 1 or tuple(words[at : at + len(parts)]) == parts:
                return len(parts), english
        english = self.stem(words[at])
        return (1, english) if english else (0, ())

    def cut(self, run: str) -> Iterator[tuple[str, Words]]:
        """Yield the words of a run without spaces, the longest first, with what they mean."""
        at = 0
        while at < len(run):
            for length in range(min(self.longest, len(run) - at), 0, -1):
                word = run[at : at + length]
                if phrases := self.phrases.get(word):
                    yield word, phrases[-1][1]
                    at += length
                    break
            else:
                at += 1


class _Tables(NamedTuple):
    languages: dict[str, _Table]
    english: frozenset[str]
    """Words that count as English."""
    both: frozenset[str]
    """Words of other languages that are English words too."""


@lru_cache(maxsize=1)
def _tables() -> _Tables:
    languages = {language: _Table() for language in LANGUAGES}
    english: set[str] = set()
    both: set[str] = set()
    for line in FILE.read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        if line.startswith("="):
            both.update(line[1:].split())
            continue
        meaning, *columns = line.split("|")
        words = tuple(meaning.split())
        english.update(words)
        for language, column in zip(LANGUAGES, columns, strict=True):
            for word in column.split():
                if word != "-":
                    languages[language].add(word, words)
    english |= both | _small_words("en")
    for language, table in languages.items():
        table.small = _small_words(language) - english
        table.sort()
    return _Tables(languages, frozenset(english), frozenset(both))


def _small_words(language: str) -> set[str]:
    return {token for word in STOP_WORDS.get(language, ()) for token in tokens(fold(word))}


_LATIN = tuple(language for language in LANGUAGES if language not in ("ru", "zh", "ja"))


class _Word(NamedTuple):
    script: str
    """The language that its letters tell; empty for Latin letters."""
    english: bool
    languages: tuple[tuple[str, bool], ...]
    """Languages in Latin letters that have it, and whether it shows that a line is not English."""


@lru_cache(maxsize=20_000)
def _word(word: str) -> _Word:
    tables = _tables()
    script = ""
    if not word.isascii():
        script = next((language for language, letters in _LETTERS if letters.search(word)), "")
    languages = tuple(
        (language, word not in tables.both and (word in table.phrases or not table.stem(word[:_TELLING])))
        for language in _LATIN
        if word in (table := tables.languages[language]).phrases or word in table.small or table.stem(word)
    )
    return _Word(script, word in tables.english, languages)


def language_of_words(words: Sequence[str]) -> str:
    """Return the language of plain words; empty for English, and when unsure."""
    known = [_word(word) for word in words]
    scripts = {word.script for word in known}
    if len(scripts) > 1 or "" not in scripts:
        return next((language for language in ("ja", "ru", "zh") if language in scripts), "")
    score: dict[str, int] = {}
    own: set[str] = set()
    english = 0
    for word in known:
        english += word.english
        for language, telling in word.languages:
            score[language] = score.get(language, 0) + 1
            if telling:
                own.add(language)
    if not own:
        return ""
    likely = max(own, key=lambda language: (score[language], language))
    return likely if score[likely] > english else ""


def translate(words: Sequence[str]) -> Translation | None:
    """Return a line's English; None for a line that is English already.

    :param words: the words and marks of a line, as `plain_text.tokens` returns them.
    """
    words = words[:MOST_WORDS]
    language = language_of_words(words)
    if not language:
        return None
    table = _tables().languages[language]
    out: list[str] = []
    original: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        if language in ("zh", "ja") and _WIDE.search(word):
            for part, english in table.cut(word):
                out += english
                original.append(part)
            at += 1
            continue
        length, english = table.match(words, at)
        if length:
            out += english
            original += words[at : at + length]
        else:
            out.append(word)
        at += max(length, 1)
    return Translation(language, out, original)

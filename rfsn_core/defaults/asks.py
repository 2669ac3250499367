"""What every NPC can be asked: its name, its wares, where somebody is, and the like; by rules over plain words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rfsn_core.contract.understanding import Entity
from rfsn_core.defaults.ask_patterns import PATTERNS
from rfsn_core.defaults.ask_people import SOMEBODY_PATTERNS
from rfsn_core.defaults.ask_phrases import PHRASES, SOMEBODY_PHRASES
from rfsn_core.kit.plain_text import fold


def _spaced(text: str) -> str:
    """Return a phrase as the plain words of a text have it: folded, no apostrophes or hyphens."""
    return fold(text).replace("'", "").replace("-", " ")


def _by_word(rows: Iterable[tuple[str, str, str]]) -> dict[str, list[tuple[int, str, re.Pattern[str]]]]:
    """Return word → (place in the table, ask, pattern) of the rows that need the word."""
    table: dict[str, list[tuple[int, str, re.Pattern[str]]]] = {}
    for place, (ask, words, pattern) in enumerate(rows):
        compiled = re.compile(pattern)
        for word in dict.fromkeys(words.split()):
            table.setdefault(word, []).append((place, ask, compiled))
    return table


def _phrases(text: str) -> tuple[dict[str, list[tuple[str, str]]], list[tuple[str, str]]]:
    """Return first word → (phrase, ask), and (phrase, ask) of those that are written without spaces."""
    spaced: dict[str, list[tuple[str, str]]] = {}
    wide: list[tuple[str, str]] = []
    for line in text.strip().splitlines():
        ask, *phrases = line.split("|")
        for phrase in map(_spaced, phrases):
            if ord(phrase[-1]) > 0x3000:
                wide.append((phrase, ask))
            else:
                spaced.setdefault(phrase.split()[0], []).append((f" {phrase} ", ask))
    for found in spaced.values():
        found.sort(key=lambda entry: -len(entry[0]))
    return spaced, wide


_RULES, _PEOPLE_RULES = _by_word(PATTERNS), _by_word(SOMEBODY_PATTERNS)
_ABROAD, _WIDE_ABROAD = _phrases(PHRASES)
_PEOPLE_ABROAD, _WIDE_PEOPLE = _phrases(SOMEBODY_PHRASES)


def asks(words: Sequence[str], language: str, entities: Iterable[Entity]) -> str:
    """Return what of `ASKS` is asked; empty when it is something else.

    :param words: the plain words of the text, without acts.
    """
    somebody = any(entity.kind == "npc" for entity in entities)
    text = " ".join(words)
    if somebody and (found := _first(_PEOPLE_RULES, words, text)):
        return found
    if language != "en":
        if somebody and (found := _abroad(_PEOPLE_ABROAD, _WIDE_PEOPLE, words, text)):
            return found
        if found := _abroad(_ABROAD, _WIDE_ABROAD, words, text):
            return found
    if found := _first(_RULES, words, text):
        return found
    return _abroad(_ABROAD, _WIDE_ABROAD, words, text) if language == "en" else ""


def _first(table: dict[str, list[tuple[int, str, re.Pattern[str]]]], words: Sequence[str], text: str) -> str:
    """Return the ask of the first row of the table whose pattern is in the text."""
    rows = {row for word in words if word in table for row in table[word]}
    for _, ask, pattern in sorted(rows, key=lambda row: row[0]):
        if pattern.search(text):
            return ask
    return ""


def _abroad(
    spaced: dict[str, list[tuple[str, str]]], wide: list[tuple[str, str]], words: Sequence[str], text: str
) -> str:
    padded = f" {text} "
    for word in words:
        for phrase, ask in spaced.get(word, ()):
            if phrase in padded:
                return ask
    if not text.isascii():
        for phrase, ask in wide:
            if phrase in text:
                return ask
    return ""

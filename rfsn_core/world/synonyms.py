"""Words that stand for others when a fact is looked for: `synonyms.toml` here, and a world's own file of that name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources

from pydantic import BaseModel, Field

from rfsn_core.kit.words import stem

SAME, WIDER, WEAK = 0.85, 0.7, 0.35
"""What a word counts that is found in place of another, one that is found by a wider word, and one that says little."""


class SynonymsFile(BaseModel, extra="forbid"):
    """What a world's `synonyms.toml` may say."""

    same: list[str] = Field([], description="Groups of words with one meaning, each in one text.")
    weak: str = Field("", description="Words that say little by themselves.")
    wider: dict[str, str] = Field({}, description="A word → the words that it also asks for.")
    phrases: dict[str, str] = Field({}, description="A phrase → what is looked for in its place; may be empty.")


class Synonyms:
    """The words of several files, as stems.

    :param keys: of the world's facts. A phrase that one of them has keeps its meaning.
    """

    def __init__(self, files: Iterable[SynonymsFile] = (), keys: Iterable[str] = ()) -> None:
        self._others: dict[str, dict[str, float]] = {}
        self._weak: set[str] = set()
        phrases: dict[str, str] = {}
        for file in files:
            self._weak.update(stem(word.casefold()) for word in file.weak.split())
            for group in file.same:
                stems = {stem(word.casefold()) for word in group.split()}
                for word in stems:
                    self._add(word, stems, SAME)
            for word, narrower in file.wider.items():
                self._add(stem(word.casefold()), {stem(other.casefold()) for other in narrower.split()}, WIDER)
            phrases |= {phrase.casefold(): instead for phrase, instead in file.phrases.items()}
        written = " | ".join(keys).casefold()
        phrases = {phrase: instead for phrase, instead in phrases.items() if phrase not in written}
        self._phrases = phrases
        longest_first = sorted(map(re.escape, phrases), key=len, reverse=True)
        self._pattern = re.compile(rf"\b(?:{'|'.join(longest_first)})\b", re.IGNORECASE) if phrases else None

    def _add(self, word: str, others: Iterable[str], weight: float) -> None:
        known = self._others.setdefault(word, {})
        for other in others:
            if other != word:
                known[other] = max(weight, known.get(other, 0.0))

    def alike(self, word: str) -> Mapping[str, float]:
        """Return the stems that a stem stands for besides itself, and what each counts."""
        return self._others.get(word, _NONE)

    def strength(self, word: str) -> float:
        """Return what a stem counts that was said: less than 1 for one that says little."""
        return WEAK if word in self._weak else 1.0

    def plain(self, text: str) -> str:
        """Return a text without phrases whose words do not mean what they say."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: self._phrases.get(match[0].casefold(), ""), text)


_NONE: Mapping[str, float] = {}


@cache
def built_in() -> SynonymsFile:
    """Return the words that every world has, read once."""
    text = resources.files(__package__).joinpath("synonyms.toml").read_text("utf-8")
    return SynonymsFile.model_validate(tomllib.loads(text))

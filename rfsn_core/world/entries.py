"""Facts as they are found: the stems, names and patterns of each, made once when a world is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rfsn_core.kit.words import content_words, stem, words_of
from rfsn_core.world.facts import Fact, pattern

KEY = 1.6
"""What a key counts, where a word of the fact's text counts 1."""
PART = 0.75
"""What a word of a key of several words counts by itself."""


@dataclass(frozen=True)
class Entry:
    """A fact with what is needed to find it."""

    id: str
    fact: Fact
    owner: str
    """Id of the NPC whose file it is in; empty for lore."""
    weights: Mapping[str, float]
    """Stem → what it counts."""
    length: float
    names: tuple[str, ...]
    """The stems of the names in it."""
    start: frozenset[str]
    """The stems of its first words: mostly whom or what it is about."""
    phrases: tuple[frozenset[str], ...]
    """The stems of each key of several words: all of them in what was asked, in any order, are as good as the key."""
    primary: tuple[re.Pattern[str], ...]
    secondary: tuple[re.Pattern[str], ...]

    def subject(self, topic: Sequence[str]) -> tuple[str, ...]:
        """Return the stem of the first key, for a topic that shares no word with the fact; else nothing."""
        if any(word in self.weights for word in topic):
            return ()
        return tuple(word for word, weight in self.weights.items() if weight == KEY)[:1]

    def is_about(self, words: Iterable[str], names: Iterable[str]) -> bool:
        """Whether one of these stems is a key, or the text begins with one of the names."""
        return any(self.weights.get(word) == KEY for word in words) or any(name in self.start for name in names)

    def suits(self, pronoun: str) -> bool:
        """Whether a fact may be about "he" or "she": it does not speak only of the other."""
        own, other = (_MALE, _FEMALE) if pronoun == "he" else (_FEMALE, _MALE)
        return pronoun not in ("he", "she") or bool(own.search(self.fact.text)) or not other.search(self.fact.text)


_MALE = re.compile(
    r"\b(?:he|him|his|man|boy|lad|father|brother|son|husband|uncle|grandfather|lord|king|mister|sir)\b", re.IGNORECASE
)
_FEMALE = re.compile(
    r"\b(?:she|her|hers|woman|girl|lass|mother|sister|daughter|wife|aunt|grandmother|lady|queen|dame)\b", re.IGNORECASE
)


def key_length(entry: Entry, words: int, asked: frozenset[str]) -> int:
    """Return how many words the longest key has that calls for a fact; 0 when none does.

    :param words: of the longest key that is in the text as written.
    :param asked: stems of what was asked now, and what they stand for.
    """
    return max([words, *(len(phrase) for phrase in entry.phrases if phrase <= asked)])


def has_secondary(entry: Entry, text: str) -> bool:
    """Whether the secondary keys of a fact let it in."""
    if not entry.secondary:
        return True
    there = [bool(pattern.search(text)) for pattern in entry.secondary]
    return {"any": any(there), "all": all(there), "not_any": not any(there), "not_all": not all(there)}[
        entry.fact.logic
    ]


_NAME = re.compile(r"(?<=[a-z,;] )(?!(?:The|An?) )[A-Z][\w'’-]*[a-z]\w*")


def make_entry(fact: Fact, owner: str, number: int) -> Entry:
    """Return a fact ready to be found.

    :param owner: id of the NPC whose fact it is; empty for lore.
    :param number: its place among the facts of its owner.
    """
    stems = content_words(fact.text, "en")
    weights = dict.fromkeys(stems, 1.0)
    phrases = []
    for key in fact.keys:
        if key.startswith("/"):
            continue
        words = content_words(key, "en")
        if len(words_of(key)) == 1:
            weights[stem(key.casefold())] = KEY
        else:  # a word of a phrase says less than the phrase
            weights = dict.fromkeys(words, PART) | weights
        if len(words) > 1:
            phrases.append(frozenset(words))
    return Entry(
        id=fact.id or f"{owner or 'lore'}.{number}",
        fact=fact,
        owner=owner,
        weights=weights,
        length=float(len(stems) or 1),
        names=tuple(dict.fromkeys(stem(name.casefold()) for name in _NAME.findall(", ".join((fact.text, *fact.keys))))),
        start=frozenset(content_words(" ".join(fact.text.split()[:3]), "en")),
        phrases=tuple(phrases),
        primary=tuple(pattern(key, fact.whole_words, fact.match_case) for key in fact.keys),
        secondary=tuple(pattern(key, fact.whole_words, fact.match_case) for key in fact.secondary),
    )

"""How well a fact fits what is looked for: the words of a question, weighed by how rare they are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from rfsn_core.world.entries import Entry
from rfsn_core.world.subject import pronoun

ENOUGH = 0.45
"""Share of what was asked that a fact must cover to be an answer."""
ENOUGH_TO_REFER = 0.6
"""The same, for a fact that only another NPC knows."""
ENOUGH_IF_REFERRED = 0.8
"""The same, when the words refer to what was spoken of before."""
PHRASE = 0.3
"""What each word of a key counts after its first: "lamp oil" fits better than "lamp"."""
NAMELESS = 0.6
"""What is left of how well a fact fits that has none of the names that were said."""
SUBJECT = 1.15
"""How much better a fact fits a follow-up when it begins with what was spoken of: it is about that."""
_KIND_WORDS = {
    kind: re.compile(rf"\b(?:{'|'.join(words.split())})\b", re.IGNORECASE)
    for kind, words in {
        "how_much": r"\d+ one two three four five six ten coppers? silver gold coins? crowns? penny pence",
        "when": "days? nights? morning noon evening dusk dawn years? ago hour week month yesterday today tomorrow"
        " since until before after spring summer autumn winter moon",
        "where": "at in on under behind across beyond near by above below north south east west upstream downstream"
        " outside inside over",
        "why": "because for since to reason afraid wanted",
        "old": r"\d+ years? old young born \w+teen(?:th)? twenty thirty forty fifty sixty seventy eighty ninety"
        r" \w+ty-\w+",
    }.items()
} | {"name": re.compile(r"(?<=[a-z,] )[A-Z][a-z]+")}
"""Kind of question → words that an answer to it often has."""
_EXACT = frozenset({"when", "where", "how_much", "old", "name"})
"""Kinds of questions that only a fact with such words answers, when nothing but the topic finds it."""


@dataclass(frozen=True)
class Search:
    """What is looked for, word by word."""

    wanted: Mapping[str, float]
    """Stem → what it counts."""
    fresh: frozenset[str]
    """Those that were said now."""
    alike: frozenset[str]
    """The same, and what they stand for."""
    names: frozenset[str]
    """The names among them."""
    beside: frozenset[str]
    """What is asked of those who are named: the other words that say something, and what they stand for."""
    refers: bool
    """Whether the words refer to what was spoken of before."""
    words: str
    question: str
    """What kind of answer is wanted, as a key of `_KIND_WORDS`."""
    topic: tuple[str, ...]
    """What is spoken of now."""

    def is_aside(self, has: Container[str]) -> bool:
        """Whether a fact with these stems has none of those that were said now, apart from names."""
        asked = self.beside if self.names else self.alike
        shared = sum(1 for word in asked if word in has)
        if self.question == "yes_no":  # one word of several is no answer: "did somebody pay you to look away?"
            return shared < (2 if len(self.fresh) > 2 and not self.names else 1)
        return bool(asked) and not shared


@dataclass
class Weighed:
    """What the words that are looked for count, by the place of the entry."""

    sums: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    """Each word's rarity times what it counts in the entry."""
    present: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    """Each word's rarity."""
    touched: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    """How many words of those that say something were said now; 0 when only others were."""
    spoken: float = 0.0
    """The rarity of all that was said now."""
    total: float = 0.0
    """The same, with what is carried over."""

    def is_sure(self, index: int, search: Search, key: int) -> bool:
        """Whether a fact of another NPC fits well enough to send the player there."""
        share = self.present.get(index, 0.0) / self.total if self.total else 0.0
        enough = ENOUGH_IF_REFERRED if search.refers else ENOUGH_TO_REFER
        return share >= enough and (key > 0 or self.touched.get(index, 0) > 1)


def score_of(entry: Entry, search: Search, weighed: Weighed, index: int, key: int, average: float) -> float:
    """Return how well a fact fits; 0 when it does not.

    :param key: how many words the longest key has that calls for it.
    :param average: length of a fact.
    """
    touched = index in weighed.touched
    # What is carried over from the last topic helps a fact that fits what was said; it need not be covered.
    whole = weighed.spoken if touched and not search.refers else weighed.total
    covered = weighed.sums.get(index, 0.0) / whole if whole else 0.0
    if key:
        covered = max(covered, 0.6) + 0.3 + PHRASE * (min(key, 5) - 1)
    if key < 2 and search.names and not search.names & entry.weights.keys():
        covered *= NAMELESS
    kind = _KIND_WORDS.get(search.question)
    suits = kind is not None and bool(kind.search(entry.fact.text))
    on_topic_only = not key and not touched
    if covered < ENOUGH or (on_topic_only and not suits and (search.fresh or search.question in _EXACT)):
        return 0.0
    if search.refers and not key and not entry.suits(pronoun(search.words)):
        return 0.0
    if search.refers and not touched and not entry.start.isdisjoint(search.topic):
        covered *= SUBJECT
    score = covered / (0.85 + 0.15 * entry.length / average) + 0.2 * (entry.fact.importance - 0.5)
    return score * (1.25 if suits else 0.9 if kind is not None else 1.0)

"""What the words of an NPC claim, compared with what it knows: stated, contradicted or invented.

Symbolic, by stems, names, numbers, denials and opposites of English; no model is asked. What it can and cannot see is
measured by `benchmarks/exam_metrics.py` and written in docs/evaluating.md.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

from rfsn_core.kit.words import content_words, stem, words_of

_NUMBER_WORDS = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
        " seventeen eighteen nineteen twenty".split()
    )
} | {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "hundred": 100, "thousand": 1000, "dozen": 12}
_DENIALS = frozenset(
    "not no never nobody none nothing neither nor cannot didn't don't doesn't isn't wasn't aren't weren't won't"
    " wouldn't couldn't can't hasn't haven't hadn't".split()
)
_BREAKS = frozenset("but and though because so until except".split())
_OPPOSITES = (
    "dead alive", "open closed", "rotten fine", "true false", "left right", "north south", "east west", "always never",
    "before after", "friend enemy", "love hate", "young old", "safe dangerous", "rich poor", "guilty innocent",
    "brother sister", "father mother", "son daughter", "husband wife", "king queen", "sunrise sunset", "dawn dusk",
    "day night", "summer winter", "spring autumn", "upstream downstream", "above below", "inside outside",
    "married single", "lost found", "buy sell", "first last", "hot cold", "full empty", "strong weak", "near far",
    "locked unlocked", "holy cursed", "born died", "won lost", "white black", "early late", "up down", "more less",
)  # fmt: skip
_KINDS = (
    "red blue green black white grey yellow brown purple", "copper silver gold iron bronze", "short tall",
    "mother father grandmother grandfather aunt uncle", "brother sister son daughter cousin husband wife",
    "noon midnight dawn dusk morning evening", "spring summer autumn winter", "north south east west",
    "monday tuesday wednesday thursday friday saturday sunday", "king queen duke baron count bishop emperor",
    "wood stone brick", "wolf bear boar dragon", "horse mule donkey ox", "sword axe spear bow", "fever plague drowning",
)  # fmt: skip
"""Words of which one excludes the others, where all else is the same."""
_OPPOSITE: dict[str, set[str]] = {}
for _kind in (*_OPPOSITES, *_KINDS):
    _stems = {stem(word) for word in _kind.split()}
    for _one in _stems:
        _OPPOSITE.setdefault(_one, set()).update(_stems - {_one})
_SENTENCE = re.compile(r"(?<=[.!?…])[\"”’)]*\s+")
_NAME = re.compile(r"(?<![.!?…\"“(] )(?<!^)(?<=\s)[A-Z][\w'’-]*[a-z]\w*")
_SUPPOSED = re.compile(
    r"\b(?:if|would|could|might|maybe|perhaps|suppose|imagine|wish|they say|some say)\b", re.IGNORECASE
)
_NO_NAMES = frozenset("I I'm I'll I've Mother Father Sir Lady Lord Sergeant Captain Master God Gods".split())
_VAGUE = frozenset(stem(word) for word in "ago day night year hour week time morning evening love only sir".split())
"""Stems that many sentences share without being about the same."""
COVERED = 0.5
"""Share of a sentence's weight that a fact must have, to be what the sentence states."""
ALIKE = 0.6
"""The same share, from which on a sentence can contradict a fact; both ways together."""

Kind = Literal["stated", "contradicted", "invented", "none"]


class Claim(NamedTuple):
    """What one sentence claims."""

    sentence: str
    kind: Kind
    fact: str = ""
    """Id of the fact that it states or contradicts."""
    why: str = ""


@dataclass(frozen=True)
class Statement:
    """A sentence, ready to be compared."""

    text: str
    fact: str = ""
    names: frozenset[str] = frozenset()

    @cached_property
    def stems(self) -> frozenset[str]:
        """What carries meaning: content words without numbers."""
        return frozenset(_content(self.text)) - self.numbers.keys()

    @cached_property
    def numbers(self) -> dict[str, tuple[float, str]]:
        """Stem of a number → its value, and the stem of what it counts."""
        return _numbers(self.text)

    @cached_property
    def denied(self) -> frozenset[str]:
        """The stems that stand after a denial, in the same clause."""
        return _denied(self.text)


@lru_cache(maxsize=20_000)
def _content(text: str) -> tuple[str, ...]:
    return content_words(text, "en")


@lru_cache(maxsize=20_000)
def _numbers(text: str) -> dict[str, tuple[float, str]]:
    words = words_of(text)
    found: dict[str, tuple[float, str]] = {}
    for position, word in enumerate(words):
        value = float(word) if word.isdecimal() else _NUMBER_WORDS.get(word)
        if value is None or word in ("one", "zero"):
            continue
        after = content_words(" ".join(words[position + 1 : position + 3]), "en")
        # A large number that counts nothing is a year.
        found[stem(word)] = (float(value), after[0] if after else "year" if value >= 1000 else "")
    return found


@lru_cache(maxsize=20_000)
def _denied(text: str) -> frozenset[str]:
    denied: set[str] = set()
    for clause in re.split(r"[,;:.!?–—]", text):
        reach = 0
        for word in words_of(clause):
            if word in _DENIALS:
                reach = 4
            elif word in _BREAKS:
                reach = 0
            elif reach:
                reach -= 1
                denied.update(content_words(word, "en"))
    return frozenset(denied)


def sentences(text: str) -> list[str]:
    """Return the sentences of a text."""
    return [part.strip() for part in _SENTENCE.split(text) if part.strip()]


def conflict(one: Statement, other: Statement) -> str:
    """Return why two statements about the same thing cannot both be true; empty when nothing shows it."""
    shared = (one.stems & other.stems) - _VAGUE
    for value, counted in one.numbers.values():
        theirs = [number for number, thing in other.numbers.values() if thing == counted and counted]
        if theirs and value not in theirs and shared - {counted}:
            return f"{value:g} and {theirs[0]:g} {counted}"
    if len(shared) > 1 and bool(one.denied) != bool(other.denied):
        if flipped := (shared & (one.denied | other.denied)) - one.names - other.names:
            return f"one denies '{min(flipped)}'"
    for word in one.stems - other.stems:
        for opposite in (_OPPOSITE.get(word, set()) & other.stems) - one.stems:
            return f"'{word}' and '{opposite}'"
    return _swapped(one, other)


def _swapped(one: Statement, other: Statement) -> str:
    """Return which name stands in the other's place, where all the other words are the same."""
    names = one.names | other.names
    mine, theirs = (one.stems & names) - other.stems, (other.stems & names) - one.stems
    left, right = one.stems - names, other.stems - names
    if mine and theirs and left and len(left & right) >= 0.8 * len(left | right):
        return f"'{min(mine)}' and '{min(theirs)}'"
    return ""


@dataclass
class Checker:
    """Judges sentences by statements that are known to be true.

    :param known: sentences of facts, with the facts' ids; sentences of persona and lines have none.
    :param names: stems of the names of the world.
    """

    known: list[Statement]
    names: frozenset[str] = frozenset()
    _postings: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts = Counter(word for statement in self.known for word in statement.stems)
        self._weights = {word: math.log((len(self.known) + 1.5) / (count + 0.5)) for word, count in counts.items()}
        self._unheard = math.log((len(self.known) + 1.5) / 0.5)
        for index, statement in enumerate(self.known):
            for word in statement.stems:
                self._postings.setdefault(word, []).append(index)
        self._numbers = {value for statement in self.known for value, _ in statement.numbers.values()}

    def statement(self, text: str) -> Statement:
        """Return a sentence as a statement of this world."""
        return Statement(text, names=self.names)

    def judge(self, sentence: str, said: Iterable[str] = ()) -> Claim:
        """Return what a sentence claims.

        :param said: what the player said, which the NPC may repeat.
        """
        statement = self.statement(sentence)
        if sentence.endswith("?") or not statement.stems:
            return Claim(sentence, "none")
        near = self._near(statement)
        stated = next((self.known[index] for index, mine, _ in near if mine >= COVERED), None)
        close = [self.known[index] for index, mine, theirs in near if min(mine, theirs) >= 0.95]
        exact = any(not conflict(statement, other) for other in close)
        if not exact and not _SUPPOSED.search(sentence):
            for index, mine, theirs in near:
                if self.known[index].fact and min(mine, theirs) >= 0.3 and (mine + theirs) / 2 >= ALIKE:
                    if why := conflict(statement, self.known[index]):
                        return Claim(sentence, "contradicted", self.known[index].fact, why)
        if stated is not None:
            return Claim(sentence, "stated" if stated.fact else "none", stated.fact)
        return self._invention(sentence, statement, said)

    def _near(self, statement: Statement) -> list[tuple[int, float, float]]:
        """Return the known statements that share words: index, share of the sentence, share of the fact."""
        sums: Counter[int] = Counter()
        for word in statement.stems:
            for index in self._postings.get(word, ()):
                sums[index] += 1
        near = []
        for index, _ in sums.most_common(40):
            other = self.known[index]
            mine, theirs = self._share(statement, other), self._share(other, statement)
            near.append((index, mine, theirs))
        near.sort(key=lambda item: (-(item[1] + item[2]), item[0]))
        return near

    def _share(self, one: Statement, other: Statement) -> float:
        total = sum(self._weight(word) for word in one.stems)
        return sum(self._weight(word) for word in one.stems & other.stems) / total if total else 0.0

    def _weight(self, word: str) -> float:
        return self._weights.get(word, self._unheard)

    def _invention(self, sentence: str, statement: Statement, said: Iterable[str]) -> Claim:
        """Return whether a sentence names somebody, or counts something, that nobody in this world has heard of."""
        if _SUPPOSED.search(sentence):
            return Claim(sentence, "none")
        heard = {word for text in said for word in _content(text)}
        for name in _NAME.findall(sentence):
            if name in _NO_NAMES:
                continue
            unknown = [w for w in content_words(name, "en") if w not in self._weights and w not in self.names | heard]
            if unknown:
                return Claim(sentence, "invented", why=f"'{name}'")
        numbers = {value for text in said for value, _ in _numbers(text).values()}
        for value, counted in statement.numbers.values():
            if counted and value not in self._numbers | numbers and counted in self._weights:
                return Claim(sentence, "invented", why=f"{value:g} {counted}")
        return Claim(sentence, "none")


def contradictions(statements: Sequence[Statement]) -> list[tuple[Statement, Statement, str]]:
    """Return the pairs of statements of different facts that cannot both be true, each with why."""
    checker = Checker(list(statements), frozenset(name for statement in statements for name in statement.names))
    pairs = []
    for position, statement in enumerate(statements):
        for index, mine, theirs in checker._near(statement):
            other = statements[index]
            if index > position and other.fact != statement.fact and min(mine, theirs) >= 0.4 and mine + theirs >= 1.1:
                if why := conflict(statement, other):
                    pairs.append((statement, other, why))
    return pairs

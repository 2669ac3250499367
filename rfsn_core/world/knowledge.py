"""What the NPCs of a world know: facts and lore, who knows them, and when they may be told.

A fact is found by its words and its keys: rare words count more than common ones. Its conditions say whether this NPC
may tell it to this player now. A secret is told only where its conditions hold; until then the NPC may hint or refuse.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from rfsn_core.contract.npc import TIERS, NpcState
from rfsn_core.contract.understanding import Understanding
from rfsn_core.kit.words import content_words, stem, words_of

CARRIED = 0.6
"""What a word of the last topic counts in a short follow-up such as "why?"."""
CARRIED_BESIDE = 0.2
"""The same, where the follow-up has a word of its own: "and Osk?"."""
ENOUGH = 0.45
"""Share of what was asked that a fact must cover to be an answer."""
KEY = 1.6
"""What a key counts, where a word of the fact's text counts 1."""
PART = 0.75
"""What a word of a key of several words counts by itself."""
PHRASE = 0.3
"""What each word of a key counts after its first: "lamp oil" fits better than "lamp"."""
WITHHELD = 1.2
"""How much better something that may not be told must fit than the best that may be: then the NPC holds it back."""
LONGEST_PATTERN, LONGEST_SCAN = 200, 2000
_NESTED = re.compile(r"\([^()]*[+*}][^()]*\)\s*[+*{]|\\[1-9]")
_KIND_WORDS = {
    kind: re.compile(rf"\b(?:{'|'.join(words.split())})\b", re.IGNORECASE)
    for kind, words in {
        "how_much": r"\d+ one two three four five six ten coppers? silver gold coins? crowns? penny pence",
        "when": "days? nights? morning noon evening dusk dawn years? ago hour week month yesterday today tomorrow"
        " since until before after spring summer autumn winter moon",
        "where": "at in on under behind across beyond near by above below north south east west upstream downstream"
        " outside inside over",
        "why": "because for since to reason afraid wanted",
    }.items()
}
"""Kind of question → words that an answer to it often has."""


class Condition(BaseModel, extra="forbid"):
    """`when`: all that must hold before a fact may be told."""

    trust: float | None = Field(None, ge=0, le=1, description="Trust must be at least this.")
    affinity: float | None = Field(None, ge=-1, le=1, description="Affinity must be at least this.")
    fear: float | None = Field(None, ge=0, le=1, description="Fear must be at most this.")
    relationship: str = Field("", description="At least this: `rival`, `acquaintance`, `friend`, `ally`.")
    quest: bool | None = Field(None, description="Whether a quest must be active.")
    place: list[str] = Field([], description="The game's `location` must be one of these.")
    time: list[str] = Field([], description="The game's `time_of_day` must be one of these.")
    told: list[str] = Field([], description="Ids of facts that this NPC must have told the player before.")
    flags: list[str] = Field([], description="Names in the game's state, or its `flags`, that must be set.")
    unless: list[str] = Field([], description="Names that must not be set: the fact is no longer so.")

    @field_validator("relationship")
    @classmethod
    def _is_tier(cls, name: str) -> str:
        if name and name not in TIERS:
            raise ValueError(f"no relationship '{name}'; there are {', '.join(TIERS)}")
        return name

    def unmet(self, state: NpcState, game: Mapping[str, Any], told: Mapping[str, int]) -> str:
        """Return what does not hold, in words; empty when all does."""
        if self.trust is not None and state.trust < self.trust:
            return f"trust is {state.trust:.2f}, and {self.trust:g} is needed"
        if self.affinity is not None and state.affinity < self.affinity:
            return f"affinity is {state.affinity:.2f}, and {self.affinity:g} is needed"
        if self.fear is not None and state.fear > self.fear:
            return f"fear is {state.fear:.2f}, and at most {self.fear:g} is allowed"
        if self.relationship:
            now = state.relationship
            if now not in TIERS or TIERS.index(now) < TIERS.index(self.relationship):
                return f"the player is a {now}, and must be a {self.relationship}"
        if self.quest is not None and state.quest_active != self.quest:
            return "a quest must be active" if self.quest else "no quest may be active"
        for name, wanted in (("location", self.place), ("time_of_day", self.time)):
            if wanted and str(game.get(name, "")).casefold() not in {value.casefold() for value in wanted}:
                return f"the game's {name} must be {' or '.join(wanted)}"
        for fact in self.told:
            if fact not in told:
                return f"'{fact}' must be told first"
        for name in self.flags:
            if not _is_set(game, name):
                return f"the game must set '{name}'"
        for name in self.unless:
            if _is_set(game, name):
                return f"the game has set '{name}'"
        return ""


def _is_set(game: Mapping[str, Any], name: str) -> bool:
    if game.get(name):
        return True
    flags = game.get("flags")
    if isinstance(flags, Mapping):
        return bool(flags.get(name))
    return isinstance(flags, list | tuple | set) and name in flags


class Fact(BaseModel, extra="forbid"):
    """Something that can be known, in an NPC file's `knows` or a lore file's `[[facts]]`."""

    text: str = Field(min_length=1, description="The fact, in the words in which it is told.")
    id: str = Field("", description="Name of the fact, for `told`; by default made from its place.")
    keys: list[str] = Field([], description="Words, phrases or /patterns/ that call for it.")
    secondary: list[str] = Field([], description="More keys, of which `logic` says how many must be there, too.")
    logic: Literal["any", "all", "not_any", "not_all"] = Field("any", description="How `secondary` counts.")
    whole_words: bool = Field(True, description="Keys match whole words only.")
    match_case: bool = Field(False, description="Keys match upper and lower case as written.")
    constant: bool = Field(False, description="Always in a model's prompt, asked for or not.")
    when: Condition = Field(Condition(), description="When it may be told.")
    secret: bool = Field(False, description="Told in confidence: `confide`; before that at most hinted at.")
    hint: str = Field("", description="What is said about it while it may not be told.")
    again: str = Field("", description="What is said when it is asked for again.")
    importance: float = Field(0.5, ge=0, le=1, description="Which of two facts that fit is told first.")
    who: list[str] = Field([], description="Of lore: ids or tags of the NPCs who know it; empty: everybody.")
    order: int = Field(100, description="Place in the prompt: lower comes earlier.")
    probability: float = Field(100, ge=0, le=100, description="Per cent of the turns in which its keys work.")
    group: str = Field("", description="Of the facts of one group that match, one is taken.")
    group_weight: float = Field(100, ge=0, description="How likely it is taken among its group.")
    sticky: int = Field(0, ge=0, description="Turns for which it stays in the prompt after its keys matched.")
    cooldown: int = Field(0, ge=0, description="Turns for which its keys do not work after they matched.")
    delay: int = Field(0, ge=0, description="Turns of the conversation before its keys work.")

    @field_validator("keys", "secondary")
    @classmethod
    def _patterns_are_safe(cls, keys: list[str]) -> list[str]:
        for key in keys:
            _pattern(key, True, False)
        return keys

    @field_validator("text", "hint", "again")
    @classmethod
    def _on_one_line(cls, text: str) -> str:
        return " ".join(text.split())

    @model_validator(mode="before")
    @classmethod
    def _text_alone(cls, value: Any) -> Any:
        return {"text": value} if isinstance(value, str) else value


def _pattern(key: str, whole_words: bool, match_case: bool) -> re.Pattern[str]:
    """Return a key as a pattern. Raises ValueError for a pattern that is invalid or could run without end."""
    written = re.fullmatch(r"/(.+)/([a-z]*)", key, re.DOTALL)
    if written:
        source, flags = written[1], written[2]
        if len(source) > LONGEST_PATTERN:
            raise ValueError(f"the pattern {key[:40]}… is longer than {LONGEST_PATTERN} characters")
        if _NESTED.search(source):
            raise ValueError(f"the pattern {key} repeats a repetition, which can take very long; write it more simply")
        try:
            return re.compile(source, (re.IGNORECASE if "i" in flags else 0) | (re.DOTALL if "s" in flags else 0))
        except re.error as error:
            raise ValueError(f"the pattern {key} is broken: {error}") from error
    source = re.escape(key)
    if whole_words:
        source = rf"(?<!\w){source}(?!\w)"
    return re.compile(source, 0 if match_case else re.IGNORECASE)


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
    phrases: tuple[frozenset[str], ...]
    """The stems of each key of several words: all of them in what was asked, in any order, are as good as the key."""
    primary: tuple[re.Pattern[str], ...]
    secondary: tuple[re.Pattern[str], ...]


@dataclass(frozen=True)
class Hit:
    """A fact that fits what was said."""

    entry: Entry
    score: float
    told: bool
    """Whether the NPC told it to this player before."""
    unmet: str = ""
    """Why it may not be told; empty when it may."""


@dataclass(frozen=True, kw_only=True)
class Recall:
    """What an NPC finds in its knowledge when the player has spoken."""

    answers: tuple[Hit, ...] = ()
    """Facts that fit and may be told, the best first; no secrets."""
    secrets: tuple[Hit, ...] = ()
    """Secrets that fit and may be told."""
    withheld: tuple[Hit, ...] = ()
    """Facts and secrets that fit and that the NPC keeps back from this player for now."""
    elsewhere: tuple[Hit, ...] = ()
    """Facts that only another NPC knows and that fit better, the best first; one an NPC."""
    matched: tuple[str, ...] = ()
    """Ids of the facts whose keys are in what was said."""
    prompted: tuple[Entry, ...] = ()
    """Lore for a model's prompt, in its order: constant, sticky and called by keys."""
    topic: tuple[str, ...] = ()
    """The stems that were looked for, to be carried to the next turn."""

    @property
    def knowing(self) -> frozenset[str]:
        """What this means for the decision, as conditions of `fit.py`."""
        best = self.best
        if self.withheld and self.withheld[0].score > WITHHELD * (best.score if best else 0.0):
            return frozenset({"withheld"})
        conditions = {
            "answer": bool(self.answers),
            "told": bool(self.answers) and self.answers[0].told,
            "secret": bool(self.secrets) and (not self.answers or self.secrets[0].score > self.answers[0].score),
            "elsewhere": bool(self.elsewhere) and best is None and not self.withheld,
        }
        return frozenset(name for name, holds in conditions.items() if holds)

    @property
    def best(self) -> Hit | None:
        """The fact to tell: an answer, or else a secret."""
        both = [*self.answers[:1], *self.secrets[:1]]
        return max(both, key=lambda hit: hit.score, default=None)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is looked for, and for whom."""

    npc: str
    tags: tuple[str, ...] = ()
    text: str
    """The player's words, for keys."""
    understanding: Understanding
    state: NpcState
    game: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, int] = field(default_factory=dict)
    """Fact id → the turn in which it was told to this player last."""
    called: Mapping[str, int] = field(default_factory=dict)
    """Fact id → the turn in which its keys matched last."""
    topic: tuple[str, ...] = ()
    """What was talked about last, as stems."""
    seed: str = ""


class Knowledge:
    """All facts of a world, indexed by stem.

    :param owned: NPC id → its own facts.
    :param lore: facts that several NPCs know.
    """

    def __init__(self, owned: Mapping[str, Sequence[Fact]] | None = None, lore: Iterable[Fact] = ()) -> None:
        self.entries: list[Entry] = []
        for npc, facts in (owned or {}).items():
            self.entries.extend(_entry(fact, npc, number) for number, fact in enumerate(facts, 1))
        self.entries.extend(_entry(fact, "", number) for number, fact in enumerate(lore, 1))
        self._postings: dict[str, list[int]] = {}
        for index, entry in enumerate(self.entries):
            for word in entry.weights:
                self._postings.setdefault(word, []).append(index)
        self._keyed = [index for index, entry in enumerate(self.entries) if entry.primary or entry.fact.constant]
        self._average = sum(entry.length for entry in self.entries) / len(self.entries) if self.entries else 1.0

    def rarity(self, word: str) -> float:
        """Return how much a stem tells: log((facts + 1) / (facts with it + 0.5))."""
        return math.log((len(self.entries) + 1.5) / (len(self._postings.get(word, ())) + 0.5))

    def recall(self, question: Question) -> Recall:
        """Return what the NPC finds."""
        understanding = question.understanding
        wanted = dict.fromkeys(understanding.topics, 1.0)
        named = {word for entity in understanding.entities for word in content_words(entity.name, "en")}
        wanted |= dict.fromkeys((word for word in named if word in self._postings), 1.2)
        fresh = tuple(word for word in wanted if word in self._postings)
        short = len(words_of(understanding.words)) <= 4 and len(fresh) <= 1
        if short and understanding.signal in ("question", "request", "statement", "smalltalk", "unclear"):
            for word in question.topic:
                wanted.setdefault(word, CARRIED_BESIDE if fresh else CARRIED)
        matched = self._matched(question)
        hits, others = self._hits(question, wanted, matched)
        told_now = [hit for hit in hits if not hit.unmet]
        best = max((hit.score for hit in told_now), default=0.0)
        elsewhere = sorted(
            (hit for hit in others.values() if hit.score > best * 1.15 + 0.05), key=lambda hit: -hit.score
        )
        return Recall(
            answers=tuple(hit for hit in told_now if not hit.entry.fact.secret),
            secrets=tuple(hit for hit in told_now if hit.entry.fact.secret),
            withheld=tuple(hit for hit in hits if hit.unmet and _keeps_back(hit.entry.fact)),
            elsewhere=tuple(elsewhere[:3]),
            matched=tuple(self.entries[index].id for index in sorted(matched)),
            prompted=tuple(self._prompted(question, matched)),
            topic=fresh or question.topic[:6],
        )

    def _hits(
        self, question: Question, wanted: Mapping[str, float], matched: Mapping[int, int]
    ) -> tuple[list[Hit], dict[str, Hit]]:
        """Return the facts of this NPC that fit, the best first, and the best of each other NPC."""
        mass = {word: self.rarity(word) * share for word, share in wanted.items()}
        total = sum(mass.values())
        sums: Counter[int] = Counter()
        for word, weight in mass.items():
            for index in self._postings.get(word, ()):
                sums[index] += weight * self.entries[index].weights[word]  # type: ignore[assignment]
        for index in matched:
            sums[index] += 0.0  # type: ignore[assignment]
        kind = _KIND_WORDS.get(question.understanding.question)
        fresh = {word for word, share in wanted.items() if share >= 1}
        # What is carried over from the last topic helps a fact that fits what was said; it need not be covered.
        touched = {index for word in fresh for index in self._postings.get(word, ())}
        spoken = sum(mass[word] for word in fresh)
        hits: list[Hit] = []
        others: dict[str, Hit] = {}
        for index, weight in sums.items():
            entry = self.entries[index]
            whole = spoken if index in touched else total
            covered = weight / whole if whole else 0.0
            if key := _called(entry, matched.get(index, 0), fresh):
                covered = max(covered, 0.6) + 0.3 + PHRASE * (min(key, 5) - 1)
            if covered < ENOUGH:
                continue
            score = covered / (0.85 + 0.15 * entry.length / self._average) + 0.2 * (entry.fact.importance - 0.5)
            if kind is not None:
                score *= 1.25 if kind.search(entry.fact.text) else 0.9
            if entry.owner and entry.owner != question.npc:
                if not entry.fact.secret and (entry.owner not in others or score > others[entry.owner].score):
                    others[entry.owner] = Hit(entry, round(score, 6), told=False)
                continue
            if not _is_for(entry.fact, question):
                continue
            told = entry.id in question.told
            unmet = entry.fact.when.unmet(question.state, question.game, question.told)
            hits.append(Hit(entry, round(score * (0.8 if told else 1.0), 6), told, unmet))
        hits.sort(key=lambda hit: (-hit.score, hit.entry.id))
        return hits, others

    def _matched(self, question: Question) -> dict[int, int]:
        """Return the entries whose keys are in the text and whose probability and group let them in.

        With each, how many words the longest of those keys has.
        """
        text = question.text[:LONGEST_SCAN]
        turn = question.state.turns
        matched: dict[int, int] = {}
        for index in self._keyed:
            entry = self.entries[index]
            last = question.called.get(entry.id)
            if turn < entry.fact.delay or (last is not None and 0 < turn - last <= entry.fact.cooldown):
                continue
            found = [key for key, pattern in zip(entry.fact.keys, entry.primary, strict=True) if pattern.search(text)]
            if not found or not _secondary(entry, text):
                continue
            if entry.fact.probability < 100:
                chance = Random(f"{question.seed}/{entry.id}/{turn}").random() * 100
                if chance >= entry.fact.probability:
                    continue
            matched[index] = max(1 if key.startswith("/") else len(key.split()) for key in found)
        return {index: matched[index] for index in self._one_a_group(matched, question)}

    def _one_a_group(self, matched: Iterable[int], question: Question) -> Iterable[int]:
        groups: dict[str, list[int]] = {}
        for index in matched:
            if group := self.entries[index].fact.group:
                groups.setdefault(group, []).append(index)
            else:
                yield index
        for group, members in groups.items():
            weights = [self.entries[index].fact.group_weight for index in members]
            if sum(weights) <= 0:
                weights = [1.0] * len(members)
            yield Random(f"{question.seed}/{group}/{question.state.turns}").choices(members, weights)[0]

    def _prompted(self, question: Question, matched: Mapping[int, int]) -> list[Entry]:
        turn = question.state.turns
        chosen = []
        for index in self._keyed:
            entry = self.entries[index]
            if entry.owner not in ("", question.npc) or not _is_for(entry.fact, question):
                continue
            last = question.called.get(entry.id)
            sticks = last is not None and turn - last <= entry.fact.sticky and entry.fact.sticky > 0
            if not (entry.fact.constant or index in matched or sticks):
                continue
            if not entry.fact.when.unmet(question.state, question.game, question.told):
                chosen.append(entry)
        return sorted(chosen, key=lambda entry: (entry.fact.order, entry.id))


def _called(entry: Entry, words: int, fresh: set[str]) -> int:
    """Return how many words the longest key has that calls for a fact; 0 when none does.

    :param words: of the longest key that is in the text as written.
    :param fresh: stems of what was asked now.
    """
    return max([words, *(len(phrase) for phrase in entry.phrases if phrase <= fresh)])


def _is_for(fact: Fact, question: Question) -> bool:
    return not fact.who or question.npc in fact.who or any(tag in fact.who for tag in question.tags)


def _keeps_back(fact: Fact) -> bool:
    """Whether an NPC that may not tell a fact holds it back. Without a secret, it may just not be so yet."""
    when = fact.when
    personal = when.trust is not None or when.affinity is not None or when.fear is not None or when.relationship
    return fact.secret or bool(fact.hint) or bool(personal)


def _secondary(entry: Entry, text: str) -> bool:
    if not entry.secondary:
        return True
    there = [bool(pattern.search(text)) for pattern in entry.secondary]
    return {"any": any(there), "all": all(there), "not_any": not any(there), "not_all": not all(there)}[
        entry.fact.logic
    ]


def _entry(fact: Fact, owner: str, number: int) -> Entry:
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
        phrases=tuple(phrases),
        primary=tuple(_pattern(key, fact.whole_words, fact.match_case) for key in fact.keys),
        secondary=tuple(_pattern(key, fact.whole_words, fact.match_case) for key in fact.secondary),
    )

"""What the NPCs of a world know: facts and lore, who knows them, and when they may be told.

A fact is found by its words and its keys: rare words count more than common ones. Its conditions say whether this NPC
may tell it to this player now. A secret is told only where its conditions hold; until then the NPC may hint or refuse.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.understanding import Understanding
from rfsn_core.kit.plain_text import WRITTEN_OUT
from rfsn_core.kit.words import content_words, words_of
from rfsn_core.world.entries import Entry, has_secondary, key_length, make_entry
from rfsn_core.world.facts import Fact
from rfsn_core.world.search import Search, Weighed, score_of
from rfsn_core.world.subject import concerns_npc, detail, refers_back
from rfsn_core.world.synonyms import Synonyms, SynonymsFile, built_in

CARRIED = 0.6
"""What a word of the last topic counts in a short follow-up such as "why?"."""
CARRIED_BESIDE = 0.2
"""The same, where the follow-up has a word of its own: "and Osk?"."""
REFERRED = 0.9
"""The same, where the follow-up refers to it: "where does he live?"."""
UNHEARD = 0.5
"""What a word counts that no fact has, in a question that refers to what was spoken of before."""
TOLD, TOLD_ON_TOPIC = 0.8, 0.5
"""What is left of a fact's score when it was told before; the second, when only the topic finds it."""
WITHHELD = 1.2
"""How much better something that may not be told must fit than the best that may be: then the NPC holds it back."""
LONGEST_SCAN = 2000
_LOOKS_BACK = frozenset({"question", "request", "statement", "smalltalk", "unclear"})
"""Signals whose words may be about the last topic."""


@dataclass(frozen=True)
class Hit:
    """A fact that fits what was said."""

    entry: Entry
    score: float
    told: bool
    """Whether the NPC told it to this player before."""
    unmet: str = ""
    """Why it may not be told; empty when it may."""
    aside: bool = False
    """Whether it only speaks of whom or what the question is about, and has nothing of what is asked."""


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
    :param synonyms: the world's own; the built-in ones are used, too.
    """

    def __init__(
        self,
        owned: Mapping[str, Sequence[Fact]] | None = None,
        lore: Iterable[Fact] = (),
        synonyms: SynonymsFile | None = None,
    ) -> None:
        self.entries: list[Entry] = []
        for npc, facts in (owned or {}).items():
            self.entries.extend(make_entry(fact, npc, number) for number, fact in enumerate(facts, 1))
        self.entries.extend(make_entry(fact, "", number) for number, fact in enumerate(lore, 1))
        self._postings: dict[str, list[int]] = {}
        for index, entry in enumerate(self.entries):
            for word in entry.weights:
                self._postings.setdefault(word, []).append(index)
        self.proper = frozenset(name for entry in self.entries for name in entry.names)
        self._synonyms = Synonyms(
            (built_in(), *([synonyms] if synonyms else ())), [key for entry in self.entries for key in entry.fact.keys]
        )
        self._keyed = [index for index, entry in enumerate(self.entries) if entry.primary or entry.fact.constant]
        self._average = sum(entry.length for entry in self.entries) / len(self.entries) if self.entries else 1.0

    def recall(self, question: Question) -> Recall:
        """Return what the NPC finds."""
        search = self._search(question)
        matched = self._matched(question)
        hits, others = self._hits(question, search, matched)
        told_now = [hit for hit in hits if not hit.unmet]
        best = max((hit.score for hit in told_now), default=0.0)
        elsewhere = sorted(
            (hit for hit in others.values() if hit.score > best * 1.15 + 0.05), key=lambda hit: -hit.score
        )
        return Recall(
            answers=tuple(hit for hit in told_now if not hit.entry.fact.secret),
            secrets=tuple(hit for hit in told_now if hit.entry.fact.secret),
            withheld=tuple(hit for hit in hits if hit.unmet and hit.entry.fact.is_kept_back),
            elsewhere=tuple(elsewhere[:3]),
            matched=tuple(self.entries[index].id for index in sorted(matched)),
            prompted=tuple(self._prompted(question, matched)),
            topic=search.topic,
        )

    def _search(self, question: Question) -> Search:
        """Return what the player's words, and what was spoken of before, look for."""
        understanding = question.understanding
        words = self._synonyms.plain(understanding.words)
        said = understanding.topics
        if words != understanding.words:
            said = content_words(words, understanding.language)
        wanted = {word: self._synonyms.strength(word) for word in said}
        others = (entity for entity in understanding.entities if entity.id != question.npc)
        named = {word for entity in others for word in content_words(entity.name, "en")}
        wanted |= dict.fromkeys((word for word in named if word in self._postings), 1.2)
        fresh = frozenset(wanted)
        known = tuple(word for word in wanted if self._is_known(word))
        refers = refers_back(words) if understanding.signal in _LOOKS_BACK and not named else ""
        carried = question.topic
        if refers:
            share = REFERRED
            if refers == "person":
                carried = tuple(word for word in carried if word in self.proper) or carried
        elif understanding.signal in _LOOKS_BACK and len(words_of(understanding.words)) <= 4 and len(known) <= 1:
            share = CARRIED_BESIDE if known else CARRIED
        else:
            carried, share = (), 0.0
        for word in carried:
            wanted.setdefault(word, share)
        topic = (*known, *(word for word in carried if refers and word not in known)) or question.topic
        names = frozenset(word for word in fresh if word in self.proper or word in named) - {question.npc}
        strong = {word for word in fresh - names if self._synonyms.strength(word) == 1}
        return Search(
            wanted=wanted,
            fresh=fresh,
            alike=self._with_alike(fresh),
            names=names,
            beside=self._with_alike(strong) if names else frozenset(),
            refers=bool(refers and carried),
            words=words,
            question=detail(words) or understanding.question,
            topic=topic[:6],
        )

    def _with_alike(self, words: Iterable[str]) -> frozenset[str]:
        words = set(words)
        return frozenset(words | {other for word in words for other in self._synonyms.alike(word)})

    def _is_known(self, word: str) -> bool:
        """Whether an entry has a stem, or one that it stands for."""
        return word in self._postings or not self._postings.keys().isdisjoint(self._synonyms.alike(word))

    def _found(self, word: str) -> dict[int, float]:
        """Return the entries that have a stem, or one that it stands for, and what it counts there."""
        found: dict[int, float] = {}
        for stem_, weight in ((word, 1.0), *self._synonyms.alike(word).items()):
            for index in self._postings.get(stem_, ()):
                found[index] = max(found.get(index, 0.0), weight * self.entries[index].weights[stem_])
        return found

    def _rarity(self, count: int) -> float:
        """Return how much a word tells that so many facts have: log((facts + 1.5) / (count + 0.5)).

        A word that no fact has tells as much as one that a single fact has.
        """
        return math.log((len(self.entries) + 1.5) / (max(count, 1) + 0.5))

    def _weigh(self, search: Search) -> Weighed:
        """Return what the words that are looked for count in each entry that has one of them."""
        weighed = Weighed()
        for word, share in search.wanted.items():
            found = self._found(word)
            mass = self._rarity(len(found)) * share * (UNHEARD if search.refers and not found else 1.0)
            weighed.total += mass
            weighed.spoken += mass if word in search.fresh else 0.0
            for index, weight in found.items():
                weighed.sums[index] += mass * weight
                weighed.present[index] += mass
                if word in search.fresh:
                    weighed.touched[index] += 1 if self._synonyms.strength(word) == 1 else 0
        if search.fresh and not search.refers and all(self._synonyms.strength(word) < 1 for word in search.fresh):
            # Words that say little find nothing by themselves, as if a rare word had been said that no fact has.
            weighed.total += self._rarity(0)
            weighed.spoken += self._rarity(0)
        return weighed

    def _hits(self, question: Question, search: Search, matched: Mapping[int, int]) -> tuple[list[Hit], dict[str, Hit]]:
        """Return the facts of this NPC that fit, the best first, and the best of each other NPC."""
        weighed = self._weigh(search)
        own_matter = concerns_npc(search.words)
        hits: list[Hit] = []
        others: dict[str, Hit] = {}
        for index in dict.fromkeys((*weighed.sums, *matched)):
            entry = self.entries[index]
            key = key_length(entry, matched.get(index, 0), search.alike)
            score = score_of(entry, search, weighed, index, key, self._average)
            if not score:
                continue
            if entry.owner not in ("", question.npc):
                better = entry.owner not in others or score > others[entry.owner].score
                sure = better and not own_matter and not entry.fact.secret and weighed.is_sure(index, search, key)
                if sure:
                    others[entry.owner] = Hit(entry, round(score, 6), told=False)
                continue
            if not _is_for(entry.fact, question):
                continue
            unmet = entry.fact.when.unmet(question.state, question.game, question.told)
            told = entry.id in question.told
            touched = weighed.touched.get(index)
            if unmet and not key and not (touched or 0) > 1:
                mentioned = touched is not None and not entry.is_about(search.alike - search.names, search.fresh)
                if mentioned or (touched is None and search.refers):
                    continue  # it only mentions somebody: there is no answer here that the NPC keeps back
            if told:
                if search.beside and not key and search.beside.isdisjoint(entry.weights):
                    continue  # only the name fits, and that was told: it is no answer to what is asked of them
                score *= TOLD if key or touched is not None else TOLD_ON_TOPIC
            hits.append(Hit(entry, round(score, 6), told, unmet, key < 2 and search.is_aside(entry.weights)))
        hits.sort(key=lambda hit: (-hit.score, hit.entry.id))
        return hits, others

    def _matched(self, question: Question) -> dict[int, int]:
        """Return the entries whose keys are in the text and whose probability and group let them in.

        With each, how many words the longest of those keys has.
        """
        text = _written_out(self._synonyms.plain(question.text[:LONGEST_SCAN]))
        turn = question.state.turns
        matched: dict[int, int] = {}
        for index in self._keyed:
            entry = self.entries[index]
            last = question.called.get(entry.id)
            if turn < entry.fact.delay or (last is not None and 0 < turn - last <= entry.fact.cooldown):
                continue
            found = [key for key, pattern in zip(entry.fact.keys, entry.primary, strict=True) if pattern.search(text)]
            if not found or not has_secondary(entry, text):
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
            if entry.owner not in ("", question.npc) or entry.fact.secret or not _is_for(entry.fact, question):
                continue  # a secret is in a prompt only when it is confided
            last = question.called.get(entry.id)
            sticks = last is not None and turn - last <= entry.fact.sticky and entry.fact.sticky > 0
            if not (entry.fact.constant or index in matched or sticks):
                continue
            if not entry.fact.when.unmet(question.state, question.game, question.told):
                chosen.append(entry)
        return sorted(chosen, key=lambda entry: (entry.fact.order, entry.id))


def _written_out(text: str) -> str:
    """Return a text, and after it without chat spelling: "how old r u" has the key "how old are you"."""
    words = words_of(text)
    if WRITTEN_OUT.keys().isdisjoint(words):
        return text
    return f"{text}\n{' '.join(part for word in words for part in WRITTEN_OUT.get(word, (word,)))}"


def _is_for(fact: Fact, question: Question) -> bool:
    return not fact.who or question.npc in fact.who or any(tag in fact.who for tag in question.tags)

"""Which of the past a turn needs: keyword relevance, smoothed over the conversation, times recency and importance."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from rfsn_core.contract.storage import MemoryRecord, SearchHit, TurnRecord

STOP_WORDS = frozenset(
    "a about after all also am an and any are as at be because been before being but by can could did do does doing"
    " don down for from get go got had has have he her here hers him his how i if in into is it its just know let like"
    " ll m make may me might mine more most must my no nor not now of off oh on once one only or other our out over own"
    " please re s said same say see shall she should so some such t take tell than that the their them then there these"
    " they thing think this those through to too under up us ve very want was we well were what when where which while"
    " who whom why will with would yes you your yours".split()
)
"""English words that nearly every line has."""
_WORD = re.compile(r"\w+")
MOST_TERMS = 32
NEIGHBOURS = ((1, 0.5), (2, 0.3), (-1, 0.2))
"""A turn gains from the one before it, the one before that, and the next: (how far back, how much)."""
MEANING = 0.5
"""What a hit by meaning counts beside one by word."""
HALF_LIFE = 7 * 86400.0
"""Seconds in which the recency of a memory halves."""


def terms(text: str) -> list[str]:
    """The words of a query that say something; without any of them there is nothing to look for."""
    words = dict.fromkeys(word for word in _WORD.findall(text.lower()) if word not in STOP_WORDS)
    return list(words)[:MOST_TERMS]


def smoothed(scores: Mapping[int, float]) -> dict[int, float]:
    """Position in a conversation → score, for hits and their neighbours: an answer belongs to its question."""
    found = dict(scores)
    for position, score in scores.items():
        for distance, share in NEIGHBOURS:
            near = position + distance
            if near > 0:
                found[near] = found.get(near, 0.0) + share * score
    return found


def search(turns: Sequence[TurnRecord], query: str, limit: int) -> list[SearchHit]:
    """Turns of one conversation, oldest first, by BM25 over their words: for stores without an index of their own."""
    wanted = _stems(query)
    if not wanted or limit < 1:
        return []
    documents = [Counter(_stem(word) for word in _WORD.findall(whole_text(turn).lower())) for turn in turns]
    sizes = [document.total() for document in documents]
    usual = sum(sizes) / len(sizes) if sizes else 1.0
    scores: dict[int, float] = {}
    for word in wanted:
        having = [n for n, document in enumerate(documents) if document[word]]
        weight = math.log(1 + (len(documents) - len(having) + 0.5) / (len(having) + 0.5))
        for n in having:
            count = documents[n][word]
            part = weight * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * sizes[n] / usual))
            scores[n + 1] = scores.get(n + 1, 0.0) + part
    best = sorted(smoothed(scores).items(), key=lambda item: -item[1])
    return [SearchHit(turns[position - 1], score) for position, score in best if position <= len(turns)][:limit]


def whole_text(turn: TurnRecord) -> str:
    """What both said."""
    return f"{turn.player_text} {turn.npc_text}"


def fused(by_word: Sequence[SearchHit], by_meaning: Sequence[SearchHit], limit: int) -> list[SearchHit]:
    """Two searches as one, each measured by its best hit."""
    total: dict[str, float] = {}
    turns: dict[str, TurnRecord] = {}
    for hits, share in ((by_word, 1.0), (by_meaning, MEANING)):
        best = max((hit.relevance for hit in hits), default=0.0)
        for hit in hits:
            turns[hit.turn.turn_id] = hit.turn
            total[hit.turn.turn_id] = total.get(hit.turn.turn_id, 0.0) + share * hit.relevance / (best or 1.0)
    first = sorted(total, key=lambda turn_id: -total[turn_id])[:limit]
    return [SearchHit(turns[turn_id], total[turn_id]) for turn_id in first]


def recency(time: float, now: float) -> float:
    """1 for now, one half after `HALF_LIFE`; a clock that was set back makes nothing newer than now."""
    return math.exp2(-max(0.0, now - time) / HALF_LIFE)


def ranked(found: Iterable[SearchHit], now: float) -> list[SearchHit]:
    """Hits of a search, the most useful first: relevance counts, recency decides between equals."""
    return sorted(found, key=lambda hit: hit.relevance * (0.8 + 0.2 * recency(hit.turn.time, now)), reverse=True)


def useful(memories: Iterable[MemoryRecord], text: str, now: float, limit: int) -> list[MemoryRecord]:
    """What an NPC has in mind when it hears a text: what touches its words, what matters, what is new."""
    words = _stems(text)

    def score(memory: MemoryRecord) -> float:
        own = _stems(memory.text)
        shared = len(words & own) / math.sqrt(len(own) or 1)
        return shared + memory.importance * (0.5 + 0.5 * recency(memory.time, now))

    return sorted(memories, key=score, reverse=True)[:limit]


@lru_cache(maxsize=20_000)
def _stems(text: str) -> frozenset[str]:
    """Kept, for the same memories come up turn after turn."""
    return frozenset(map(_stem, terms(text)))


def _stem(word: str) -> str:
    """Crude, and the same for both sides: plurals and tenses of a word meet."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def salient(memories: Sequence[MemoryRecord], now: float, limit: int = 8) -> list[MemoryRecord]:
    """What an NPC would never leave out when it speaks of a player."""
    return useful(memories, "", now, limit)

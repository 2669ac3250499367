"""Ranking of old turns by the words of a query, and of memories by words, importance and recency."""

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
"""English words that nearly every line contains; a search ignores them."""
_WORD = re.compile(r"\w+")
MAX_TERMS = 32
"""Words of a query that are searched for."""
NEIGHBOURS = ((1, 0.5), (2, 0.3), (-1, 0.2))
"""(distance, share): the turn at this distance after a hit gets this share of its score."""
MEANING_WEIGHT = 0.5
"""Weight of a hit by meaning; a hit by words has weight 1."""
HALF_LIFE = 7 * 86400.0
"""Seconds in which the recency of a memory halves."""


def terms(text: str) -> list[str]:
    """Return the words of a query without stop words, at most `MAX_TERMS`. Nothing is found for an empty list."""
    words = dict.fromkeys(word for word in _WORD.findall(text.lower()) if word not in STOP_WORDS)
    return list(words)[:MAX_TERMS]


def add_neighbours(scores: Mapping[int, float]) -> dict[int, float]:
    """Return position → score with the neighbours of each hit, since an answer belongs to its question."""
    total = dict(scores)
    for position, score in scores.items():
        for distance, share in NEIGHBOURS:
            neighbour = position + distance
            if neighbour > 0:
                total[neighbour] = total.get(neighbour, 0.0) + share * score
    return total


def search(turns: Sequence[TurnRecord], query: str, limit: int) -> list[SearchHit]:
    """Return the turns of one conversation that match a query best, by BM25; for stores without an index.

    `turns` are in order, the oldest first.
    """
    stems = _stems(query)
    if not stems or limit < 1:
        return []
    documents = [Counter(_stem(word) for word in _WORD.findall(whole_text(turn).lower())) for turn in turns]
    sizes = [document.total() for document in documents]
    average = sum(sizes) / len(sizes) if sizes else 1.0
    scores: dict[int, float] = {}
    for word in stems:
        matching = [n for n, document in enumerate(documents) if document[word]]
        weight = math.log(1 + (len(documents) - len(matching) + 0.5) / (len(matching) + 0.5))
        for n in matching:
            count = documents[n][word]
            part = weight * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * sizes[n] / average))
            scores[n + 1] = scores.get(n + 1, 0.0) + part
    best = sorted(add_neighbours(scores).items(), key=lambda item: -item[1])
    return [SearchHit(turns[position - 1], score) for position, score in best if position <= len(turns)][:limit]


def whole_text(turn: TurnRecord) -> str:
    """Return what both said, as one text."""
    return f"{turn.player_text} {turn.npc_text}"


def fuse(by_word: Sequence[SearchHit], by_meaning: Sequence[SearchHit], limit: int) -> list[SearchHit]:
    """Merge two searches into one ranking; the scores of each are divided by its best."""
    total: dict[str, float] = {}
    turns: dict[str, TurnRecord] = {}
    for hits, share in ((by_word, 1.0), (by_meaning, MEANING_WEIGHT)):
        best = max((hit.relevance for hit in hits), default=0.0)
        for hit in hits:
            turns[hit.turn.turn_id] = hit.turn
            total[hit.turn.turn_id] = total.get(hit.turn.turn_id, 0.0) + share * hit.relevance / (best or 1.0)
    top = sorted(total, key=lambda turn_id: -total[turn_id])[:limit]
    return [SearchHit(turns[turn_id], total[turn_id]) for turn_id in top]


def recency(time: float, now: float) -> float:
    """Return 1 for now, one half after `HALF_LIFE`; 1 also for a time in the future."""
    return math.exp2(-max(0.0, now - time) / HALF_LIFE)


def rank_hits(hits: Iterable[SearchHit], now: float) -> list[SearchHit]:
    """Sort hits of a search, best first: mostly by relevance, a little by recency."""
    return sorted(hits, key=lambda hit: hit.relevance * (0.8 + 0.2 * recency(hit.turn.time, now)), reverse=True)


def rank_memories(memories: Iterable[MemoryRecord], text: str, now: float, limit: int) -> list[MemoryRecord]:
    """Return the memories that matter most for a text: by shared words, importance and recency."""
    words = _stems(text)

    def score(memory: MemoryRecord) -> float:
        memory_words = _stems(memory.text)
        shared = len(words & memory_words) / math.sqrt(len(memory_words) or 1)
        return shared + memory.importance * (0.5 + 0.5 * recency(memory.time, now))

    return sorted(memories, key=score, reverse=True)[:limit]


@lru_cache(maxsize=20_000)
def _stems(text: str) -> frozenset[str]:
    """Return the stems of a text; cached, since the same memories are ranked at every turn."""
    return frozenset(map(_stem, terms(text)))


def _stem(word: str) -> str:
    """Cut off common endings, so that plurals and tenses of a word are equal. Crude, but the same for both texts."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def salient(memories: Sequence[MemoryRecord], now: float, limit: int = 8) -> list[MemoryRecord]:
    """Return the memories that matter most about a player, whatever is being said."""
    return rank_memories(memories, "", now, limit)

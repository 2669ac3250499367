"""Ranking of found turns, and of memories by words, importance and recency."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rfsn_core.contract.storage import MemoryRecord, SearchHit, TurnRecord
from rfsn_core.kit.search import stems_of

MEANING_WEIGHT = 0.5
"""Weight of a hit by meaning; a hit by words has weight 1."""
HALF_LIFE = 7 * 86400.0
"""Seconds in which the recency of a memory halves."""


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
    words = stems_of(text)

    def score(memory: MemoryRecord) -> float:
        memory_words = stems_of(memory.text)
        shared = len(words & memory_words) / math.sqrt(len(memory_words) or 1)
        return shared + memory.importance * (0.5 + 0.5 * recency(memory.time, now))

    return sorted(memories, key=score, reverse=True)[:limit]


def salient(memories: Sequence[MemoryRecord], now: float, limit: int = 8) -> list[MemoryRecord]:
    """Return the memories that matter most about a player, whatever is being said."""
    return rank_memories(memories, "", now, limit)

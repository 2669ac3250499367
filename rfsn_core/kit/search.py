"""Search in the turns of a conversation by words (BM25), for stores without an index of their own."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

from rfsn_core.contract.storage import SearchHit, TurnRecord
from rfsn_core.kit import words

STOP_WORDS = words.STOP_WORDS["en"] - {"friend"} | frozenset("d don m nor s same t ve".split())
"""English words that nearly every line contains, and the parts of contractions; a search ignores them."""
_WORD = re.compile(r"\w+")
MAX_TERMS = 32
"""Words of a query that are searched for."""
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+")
"""Thai, Japanese, Chinese, and Korean, whose endings stand on its words."""
_RUNS = re.compile(f"{_UNSPACED.pattern}|[^{_UNSPACED.pattern[1:-2]}]+")
NEIGHBOURS = ((1, 0.5), (2, 0.3), (-1, 0.2))
"""(distance, share): the turn at this distance after a hit gets this share of its score."""


def terms(text: str) -> list[str]:
    """Return the words of a query without stop words, at most `MAX_TERMS`. Nothing is found for an empty list."""
    found = dict.fromkeys(word for word in _words(text.lower(), single=False) if word not in STOP_WORDS)
    return list(found)[:MAX_TERMS]


def index_words(text: str) -> list[str]:
    """Return the words of lower-case text under which a search finds it."""
    return _words(text, single=True)


def _words(text: str, *, single: bool) -> list[str]:
    """Return the words of a text; where no spaces stand between words, the pairs of neighbouring characters.

    :param single: whether to add the single characters of such text: a query of one character finds them.
    """
    found = _WORD.findall(text)
    if text.isascii() or not _UNSPACED.search(text):
        return found
    split: list[str] = []
    for word in found:
        for run in _RUNS.findall(word):
            if not _UNSPACED.match(run):
                split.append(run)
                continue
            split += [run[place : place + 2] for place in range(len(run) - 1)]
            if single or len(run) == 1:
                split += run
    return split


def add_neighbours(scores: Mapping[int, float]) -> dict[int, float]:
    """Return position → score with the neighbours of each hit, since an answer belongs to its question."""
    total = dict(scores)
    for position, score in scores.items():
        for distance, share in NEIGHBOURS:
            neighbour = position + distance
            if neighbour > 0:
                total[neighbour] = total.get(neighbour, 0.0) + share * score
    return total


def search_turns(turns: Sequence[TurnRecord], query: str, limit: int) -> list[SearchHit]:
    """Return the turns of one conversation that match a query best, by BM25; for stores without an index.

    `turns` are in order, the oldest first.
    """
    stems = stems_of(query)
    if not stems or limit < 1:
        return []
    documents = [Counter(map(words.stem, index_words(whole_text(turn).lower()))) for turn in turns]
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


@lru_cache(maxsize=20_000)
def stems_of(text: str) -> frozenset[str]:
    """Return the stems of a text; cached, since the same memories are ranked at every turn."""
    return frozenset(map(words.stem, terms(text)))

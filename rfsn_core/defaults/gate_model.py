"""A small linear model that says how much a text is like real harm, and of which topic.

Words, pairs of words and character n-grams are hashed to `BUCKETS` features. Each has an 8-bit weight, and the topic
that it speaks for. `training/gate/train.py` writes them to `gate.npz` next to this file.
"""

from __future__ import annotations

import itertools
import math
import re
import zipfile
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

BUCKETS = 1 << 17
"""Weights. A power of two."""
MOST_WORDS = 120
"""Words that are read of one piece of text."""
FILE = Path(__file__).with_name("gate.npz")
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[\U0001F300-\U0001FAFF☀-➿]")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_DIGITS = re.compile(r"\d")
SLACK = 40.0
"""Added to the number of features, so that the sum over a short text counts less."""


def _bucket(name: str) -> int:
    return zlib.crc32(name.encode("utf-8", "surrogatepass")) & (BUCKETS - 1)


@lru_cache(maxsize=30_000)
def _of_word(word: str) -> tuple[int, ...]:
    """Return the features of one word: itself, and its character n-grams."""
    grams = [f"w {word}"]
    if _WIDE.search(word):
        grams += [f"c {word[i : i + n]}" for n in (1, 2, 3, 4) for i in range(len(word) - n + 1)]
    else:
        padded = f"<{word}>"
        grams += [f"c {padded[i : i + n]}" for n in (3, 4, 5) for i in range(len(padded) - n + 1)]
    return tuple(sorted({_bucket(gram) for gram in grams}))


@lru_cache(maxsize=60_000)
def _of_place(one: str, two: str, three: str) -> tuple[int, ...]:
    """Return the features of a word after two others: the pair, and the pair with a gap."""
    return _bucket(f"p {two} {three}"), _bucket(f"s {one} {three}"), _bucket(f"t {one} {two} {three}")


def features(text: str) -> list[int]:
    """Return the buckets of a folded text's features, with repetitions."""
    buckets: list[int] = []
    one, two = "<<", "<"
    for word in WORD.findall(_DIGITS.sub("0", text))[:MOST_WORDS]:
        word = word[:24]
        buckets += _of_word(word)
        buckets += _of_place(one, two, word)
        one, two = two, word
    buckets += _of_place(one, two, ">")
    return buckets


TOPICS = ("self_harm", "personal_info", "hate", "threat", "manipulation", "request")
"""Groups of harm in the training lines."""
FLAG_OF = {
    "self_harm": "self_harm",
    "personal_info": "personal_info_request",
    "hate": "hate",
    "threat": "aggression",
    "manipulation": "manipulation",
    "request": "harmful_content",
}
"""Group → the reason that a gate gives."""
SIDES = ("player", "npc")
WORLDS = ("fantasy", "modern")
SUSPICIOUS, BLOCK = 0.5, 0.7
"""The risk at the two thresholds."""

Thresholds = dict[tuple[str, str], tuple[float, float]]
"""(world, side) → scores of (suspicious, block)."""


class Reading(NamedTuple):
    """What the model says of a text."""

    score: float
    """The sum of its weights, in the model's own unit."""
    topic: str
    part: str
    """The part of the text that scored highest: the whole, a sentence or a quotation."""


class GateModel:
    """The weights, ready to use.

    :param weights: int8, shape (BUCKETS,).
    :param topics: uint8, shape (BUCKETS,): index in `TOPICS` of the group that a feature speaks for.
    :param scale: what one step of a weight is worth.
    :param bias: added to every sum.
    :param thresholds: (world, side) → scores of (suspicious, block).
    """

    def __init__(
        self, weights: Any, topics: Any, scale: float, bias: float, thresholds: Thresholds
    ) -> None:  # fmt: skip
        self.weights, self.topics, self.scale, self.bias, self.thresholds = weights, topics, scale, bias, thresholds

    @classmethod
    def load(cls, path: Path = FILE) -> GateModel:
        """Read the weights from a file. Raises OSError, and ValueError for a file that is no model."""
        keys = [(world, side) for world in WORLDS for side in SIDES]
        try:
            with path.open("rb") as file, np.load(file) as data:
                rows = [(float(low), float(high)) for low, high in data["thresholds"]]
                weights, topics = data["weights"], data["topics"]
                scale, bias = float(data["scale"]), float(data["bias"])
        except (KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise ValueError(f"{path} is no model of the gate: {error}") from error
        if (weights.shape, topics.shape, len(rows)) != ((BUCKETS,), (BUCKETS,), len(keys)):
            raise ValueError(f"{path} is no model of the gate, or one of another size")
        return cls(weights, topics, scale, bias, dict(zip(keys, rows, strict=True)))

    def save(self, path: Path = FILE) -> None:
        """Write the weights to a file: the same model gives the same bytes."""
        rows = [self.thresholds[world, side] for world in WORLDS for side in SIDES]
        np.savez_compressed(
            path,
            weights=self.weights,
            topics=self.topics,
            scale=np.float64(self.scale),
            bias=np.float64(self.bias),
            thresholds=np.array(rows, np.float64),
        )

    def score(self, text: str) -> float:
        """Return the score of a folded text as one piece."""
        return self._sum(features(text))

    def _sum(self, buckets: Sequence[int]) -> float:
        total = int(np.add.reduce(self.weights.take(buckets), dtype=np.int32))
        return total * self.scale / math.sqrt(len(buckets) + SLACK) + self.bias

    def read(self, text: str) -> Reading:
        """Return the score of a folded text: that of its worst part.

        A harmful sentence in a long text, or in quotation marks, counts as if it stood alone.
        """
        buckets = features(text)
        best = self._sum(buckets), text, buckets
        for part in parts(text):
            own = features(part)
            best = max(best, (self._sum(own), part, own), key=lambda entry: entry[0])
        score, part, buckets = best
        return Reading(score, self._topic(buckets), part)

    def _topic(self, buckets: Sequence[int]) -> str:
        """Return the group for which most of the weights of a text speak."""
        sums = np.bincount(self.topics.take(buckets), np.maximum(self.weights.take(buckets), 0), len(TOPICS))
        return TOPICS[int(sums.argmax())]

    def risk(self, score: float, side: str, world: str) -> float:
        """Return a score as a risk in 0…1: `SUSPICIOUS` at the lower threshold, `BLOCK` at the upper one."""
        low, high = self.thresholds[world, side]
        if score < low:
            return SUSPICIOUS / (1 + (low - score))
        if score < high:
            return SUSPICIOUS + (BLOCK - SUSPICIOUS) * (score - low) / max(high - low, 1e-9)
        return 1 - (1 - BLOCK) / (1 + (score - high))

    def heaviest(self, text: str, count: int = 5) -> list[tuple[str, float]]:
        """Return (n-gram, weight) of those that speak most for harm in a folded text."""
        named = {name: float(self.weights[bucket]) * self.scale for name, bucket in names(text)}
        ranked = sorted(named.items(), key=lambda entry: -entry[1])
        return [(name, round(weight, 2)) for name, weight in ranked[:count] if weight > 0]


_PARTS = re.compile(r"(?<=[.!?;:…。！？])\s+|[。！？\n|]+|\s[-*•–]\s")
_QUOTED = re.compile(r'"([^"]{8,300})"|\*([^*]{8,300})\*|«([^»]{8,300})»|「([^」]{4,300})」|\(([^)]{8,300})\)')


def parts(text: str) -> list[str]:
    """Return the sentences, list items and quotations of a folded text; empty when it is one sentence."""
    sentences = [part for part in _PARTS.split(text) if part and len(part) > 3]
    quoted = [next(group for group in match.groups() if group) for match in _QUOTED.finditer(text)]
    return [*(sentences if len(sentences) > 1 else []), *quoted][:40]


def names(text: str) -> list[tuple[str, int]]:
    """Return (n-gram as people read it, bucket) of the features of a folded text that are words or pairs of words."""
    words = [word[:24] for word in WORD.findall(_DIGITS.sub("0", text))[:MOST_WORDS]]
    single = [(word, _bucket(f"w {word}")) for word in words]
    pairs = [(f"{one} {two}", _bucket(f"p {one} {two}")) for one, two in itertools.pairwise(words)]
    inside = [
        (f"…{padded[i : i + n]}…", _bucket(f"c {padded[i : i + n]}"))
        for padded in (f"<{word}>" for word in words)
        for n in (4, 5)
        for i in range(len(padded) - n + 1)
    ]
    return [*single, *pairs, *inside]

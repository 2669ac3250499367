"""A small linear model that reads the signal off a player's line.

The text is made plain first: see `plain_text`. Its words, pairs and triples of words, and character n-grams are
hashed to `BUCKETS` features; a row of 8-bit weights for each gives a score for each signal, and softmax makes these
probabilities. Most weights are 0. `training/signals/train.py` writes them to `signals.xz` next to this file.
"""

from __future__ import annotations

import json
import lzma
import math
import re
import zlib
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rfsn_core.defaults.translation import MOST_WORDS, Translation, translate
from rfsn_core.kit.plain_text import fold, tokens

BUCKETS = 1 << 18
"""Rows of the weights. A power of two."""
WORD, PAIR, GAP = 4, 3, 2
"""How often a word, a pair or triple, and a pair with a gap count, where an n-gram counts once."""
MOST_CHARACTERS = 600
"""What is read of a text."""
FILE = Path(__file__).with_name("signals.xz")

_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def _bucket(name: str) -> int:
    return zlib.crc32(name.encode()) & (BUCKETS - 1)


@lru_cache(maxsize=20_000)
def _of_word(word: str, act: bool) -> tuple[int, ...]:
    """Return the features of one word: itself, `WORD` times, and its character n-grams."""
    mark = "*" if act else ""
    buckets = [_bucket(f"{mark}w {word}")] * WORD
    if word[0].isalnum():
        if _WIDE.search(word):
            grams = {word[i : i + n] for n in (1, 2, 3) for i in range(len(word) - n + 1)}
        else:
            padded = f"<{word}>"
            grams = {padded[i : i + n] for n in (3, 4, 5) for i in range(len(padded) - n + 1)}
        buckets += sorted([_bucket(f"{mark}c {gram}") for gram in grams])
    return tuple(buckets)


@lru_cache(maxsize=50_000)
def _of_place(one: str, two: str, three: str) -> tuple[int, ...]:
    """Return the features of a word after two others: the pair, the triple, and the pair with a gap."""
    pair, triple, gap = f"p {two} {three}", f"t {one} {two} {three}", f"s {one} {three}"
    return (_bucket(pair),) * PAIR + (_bucket(triple),) * PAIR + (_bucket(gap),) * GAP


@lru_cache(maxsize=20_000)
def _of_start(place: int, word: str) -> tuple[int, ...]:
    return (_bucket(f"{place} {word}"),) * 2


def features(words: Sequence[str], translation: Translation | None) -> list[int]:
    """Return the buckets of a text's features, with repetitions.

    :param words: the words and marks of the text, as `plain_text.tokens` returns them.
    :param translation: the text in English words; None when it is English.
    """
    buckets: list[int] = []
    if translation is not None:
        words = translation.words
        for word in translation.original:
            buckets += _of_word(word[:24], act=False)
    one, two = "<<", "<"
    act = False
    count = 0
    for word in words[:MOST_WORDS]:
        if word[0] == "*":
            act = not act
            buckets.append(_ACTS)
            continue
        word = word[:24]
        buckets += _of_word(word, act)
        buckets += _of_place(one, two, word)
        if count < 2:
            buckets += _of_start(count, word)
        one, two = two, word
        count += 1
    buckets += _of_place(one, two, ">")
    buckets.append(_LENGTHS[min(count, 8)])
    return buckets


_ACTS = _bucket("acts")
_LENGTHS = tuple(_bucket(f"length {count}") for count in range(9))


class SignalModel:
    """The weights, ready to use.

    :param weights: int8, shape (BUCKETS, signals).
    :param scale: what one step of a weight is worth.
    :param bias: float32, shape (signals,).
    """

    def __init__(self, signals: tuple[str, ...], weights: Any, scale: float, bias: Any) -> None:
        self.signals = signals
        self._weights, self._scale, self._bias = weights, scale, bias

    @classmethod
    def load(cls, path: Path = FILE) -> SignalModel:
        """Read the weights from a file."""
        head, _, body = lzma.decompress(path.read_bytes()).partition(b"\n")
        about = json.loads(head)
        signals, count = tuple(about["signals"]), about["rows"]
        width = -(-count // 8)
        rows = np.cumsum(np.frombuffer(body, np.uint8, count), dtype=np.int64)
        body = body[count:]
        marks = np.frombuffer(body, np.uint8, width * len(signals)).reshape(len(signals), width)
        used = np.unpackbits(marks, axis=1, count=count).astype(bool)
        columns = np.zeros(used.shape, np.int8)
        columns[used] = np.frombuffer(body, np.int8, offset=marks.size)
        weights = np.zeros((BUCKETS, len(signals)), np.int8)
        weights[rows] = columns.T
        return cls(signals, weights, about["scale"], np.array(about["bias"], np.float32))

    def save(self, path: Path = FILE) -> None:
        """Write the weights to a file: the rows that are not 0, which of their weights are not, and these."""
        rows = np.flatnonzero(self._weights.any(1))
        steps = np.diff(rows, prepend=0)
        assert steps.max(initial=0) < 256
        columns = self._weights[rows].T
        used = columns != 0
        about = {
            "signals": self.signals,
            "rows": len(rows),
            "scale": self._scale,
            "bias": [round(float(value), 4) for value in self._bias],
        }
        data = b"".join(
            (
                json.dumps(about).encode() + b"\n",
                steps.astype(np.uint8).tobytes(),
                np.packbits(used, axis=1).tobytes(),
                columns[used].tobytes(),
            )
        )
        path.write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))

    def likeliest(self, words: Sequence[str], translation: Translation | None) -> list[tuple[str, float]]:
        """Return (signal, probability) of the three likeliest signals, the best first.

        :param words: the words and marks of the text, as `plain_text.tokens` returns them.
        :param translation: the text in English words; None when it is English.
        """
        buckets = features(words, translation)
        total = np.add.reduce(self._weights.take(buckets, 0), 0, np.int32)
        scores = (total * (self._scale / math.sqrt(len(buckets))) + self._bias).tolist()
        most = max(scores)
        likely = [math.exp(score - most) for score in scores]
        whole = sum(likely)
        best = sorted(zip(likely, self.signals, strict=True), reverse=True)[:3]
        return [(signal, share / whole) for share, signal in best]

    def of_text(self, text: str) -> str:
        """Return the likeliest signal of a text."""
        words = tokens(fold(text[:MOST_CHARACTERS]))
        return self.likeliest(words, translate(words))[0][0]


@cache
def built_in_model() -> SignalModel:
    """Return the model of RFSN, read once: not again at each reload."""
    return SignalModel.load()

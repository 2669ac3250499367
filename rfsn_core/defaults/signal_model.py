"""A small linear model that reads the signal off a player's line.

The text is folded to lower case without accents. Its words, pairs and triples of words, and character n-grams are
hashed to `BUCKETS` features; a row of 8-bit weights for each gives a score for each signal, and softmax makes these
probabilities. Most weights are 0. `training/signals/train.py` writes them to `signals.npz` next to this file.
"""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

BUCKETS = 65536
"""Rows of the weights. A power of two."""
WORD = 4
"""How often a word counts, where one of its n-grams counts once."""
FILE = Path(__file__).with_name("signals.npz")

_MARKS = re.compile(r"[?!*]|\.\.\.|…|[^\w\s,.;:'\"()-]")
_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[?!*]+|\.\.+|…|[\U0001F300-\U0001FAFF☀-➿]", re.UNICODE)
_LONG = re.compile(r"(\w)\1{2,}")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def fold(text: str) -> str:
    """Return the text in lower case, without accents, with letters repeated at most twice and digits as 0."""
    text = unicodedata.normalize("NFKD", text.replace("’", "'").replace("‘", "'").casefold())
    text = "".join(character for character in text if not unicodedata.combining(character))
    text = unicodedata.normalize("NFC", text)
    return re.sub(r"\d", "0", _LONG.sub(r"\1\1", text))


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
        buckets += sorted(_bucket(f"{mark}c {gram}") for gram in grams)
    return tuple(buckets)


@lru_cache(maxsize=20_000)
def _of_place(one: str, two: str, three: str) -> tuple[int, ...]:
    """Return the features of a word after two others: the pair and the triple."""
    return (*[_bucket(f"p {two} {three}")] * (WORD - 1), *[_bucket(f"t {one} {two} {three}")] * (WORD - 1))


def features(text: str) -> list[int]:
    """Return the buckets of a text's features, with repetitions."""
    buckets: list[int] = []
    one, two = "<<", "<"
    act = False
    words = 0
    for token in _TOKEN.findall(fold(text[:600]))[:80]:
        if token[0] == "*":
            act = not act
            buckets.append(_bucket("acts"))
            continue
        token = token[:24]
        buckets.extend(_of_word(token, act))
        buckets.extend(_of_place(one, two, token))
        if words < 2:
            buckets.append(_bucket(f"{words} {token}"))
        one, two = two, token
        words += 1
    buckets.extend(_of_place(one, two, ">"))
    buckets.append(_bucket(f"length {min(words, 8)}"))
    return buckets


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
        with np.load(path) as data:
            signals = tuple(str(name) for name in data["signals"])
            weights = np.zeros(BUCKETS * len(signals), np.int8)
            weights[np.cumsum(data["steps"], dtype=np.int64)] = data["values"]
            return cls(signals, weights.reshape(BUCKETS, len(signals)), float(data["scale"]), data["bias"])

    def save(self, path: Path = FILE) -> None:
        """Write the weights to a file; those that are 0 are left out."""
        flat = self._weights.ravel()
        places = np.flatnonzero(flat)
        steps = np.diff(places, prepend=0)
        assert steps.max(initial=0) < 65536
        np.savez_compressed(
            path,
            signals=np.array(self.signals),
            steps=steps.astype(np.uint16),
            values=flat[places],
            scale=np.float32(self._scale),
            bias=self._bias,
        )

    def probabilities(self, text: str) -> dict[str, float]:
        """Return signal → probability, the likeliest first."""
        buckets = features(text)
        total = self._weights[buckets].sum(axis=0, dtype=np.int32)
        scores = total * (self._scale / math.sqrt(len(buckets))) + self._bias
        likely = np.exp(scores - scores.max())
        likely /= likely.sum()
        order = np.argsort(-likely, kind="stable")
        return {self.signals[index]: float(likely[index]) for index in order}

"""Texts that operators labelled, as vectors: an override for a text and its rewordings, not a detector of harm.

An unsafe pattern stops what is near it. A safe one lets pass what is very near it, and no unsafe one. docs/gating.md.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from rfsn_core.defaults.gate_model import features
from rfsn_core.kit.folding import fold

Label = Literal["safe", "unsafe"]
Embed = Callable[[Sequence[str]], Awaitable[Any]]
MOST = 1000
"""Patterns of each label."""
DIMENSIONS = 1024
"""Of the vectors that are used without an embedder."""
QUANTILE = 0.999
"""Share of harmless comparisons that are below the threshold."""
NEAR, VERY_NEAR = 0.5, 0.8
"""Cosines: the lowest threshold for unsafe patterns, and for safe ones, which open a hole."""
SAMPLE = 200
"""Patterns from which the projection's figures are computed."""
MARGIN = 0.05
"""By so much a safe pattern must be nearer than the nearest unsafe one."""


class Pattern(msgspec.Struct, kw_only=True):
    """A labelled text, and who labelled it when and why."""

    id: str = msgspec.field(default_factory=lambda: uuid.uuid4().hex[:12])
    text: str
    label: Label
    reason: str = ""
    """The flag that an unsafe pattern gives as its reason."""
    operator: str
    why: str = ""
    time: float = msgspec.field(default_factory=time.time)
    risk: float = 0.0
    """What the gates said of the text when it was labelled."""
    held: str = ""
    """Why it waits for a second operator; empty when it is in force."""
    second: str = ""
    """Who confirmed it."""
    hits: int = 0
    pinned: bool = False


class Near(NamedTuple):
    """The patterns nearest to a text."""

    unsafe: float = -1.0
    """Cosine."""
    safe: float = -1.0
    unsafe_pattern: Pattern | None = None
    safe_pattern: Pattern | None = None


def hashed(texts: Sequence[str]) -> Any:
    """Return a vector of n-grams for each text, shape (len(texts), DIMENSIONS), for worlds without an embedder."""
    rows = np.zeros((len(texts), DIMENSIONS), np.float32)
    for row, text in zip(rows, texts, strict=True):
        buckets = np.unique(np.asarray(features(fold(text).folded)))
        np.add.at(row, buckets & (DIMENSIONS - 1), np.where(buckets >> 10 & 1, 1.0, -1.0))
        row /= max(float(np.linalg.norm(row)), 1e-9)
    return rows


class PatternMemory:
    """The patterns in force and those that wait for a second operator, with their vectors.

    :param name: of what made the vectors: they are made again when it changes.
    """

    def __init__(self, name: str = "hashed") -> None:
        self.name = name
        self.patterns: list[Pattern] = []
        self.threshold = NEAR
        """Cosine from which a text counts as near an unsafe pattern."""
        self._vectors: Any = np.zeros((0, 0), np.float32)
        self.dirty = False
        """Whether something changed since the last checkpoint."""

    def __len__(self) -> int:
        return len(self.patterns)

    @property
    def vectors(self) -> Any:
        """A row for each pattern, float32."""
        return self._vectors

    def set(self, patterns: Iterable[Pattern], vectors: Any, threshold: float) -> None:
        """Replace everything."""
        self.patterns, self._vectors, self.threshold = list(patterns), np.asarray(vectors, np.float32), threshold

    def add(self, pattern: Pattern, vector: Any, background: Any) -> Pattern | None:
        """Add a pattern; returns the one that had to go for it.

        :param background: vectors of harmless lines, from which the threshold follows.
        """
        row = np.asarray(vector, np.float32).reshape(1, -1)
        self._vectors = row if not self.patterns else np.vstack([self._vectors, row])
        self.patterns.append(pattern)
        self.dirty = True
        evicted = self._evict(pattern.label)
        self._adapt(background)
        return evicted

    def remove(self, pattern_id: str) -> None:
        """Remove a pattern, if there is one of that id."""
        for index, pattern in enumerate(self.patterns):
            if pattern.id == pattern_id:
                self._drop(index)
                return

    def _drop(self, index: int) -> None:
        del self.patterns[index]
        self._vectors = np.delete(self._vectors, index, 0)
        self.dirty = True

    def _evict(self, label: Label) -> Pattern | None:
        """Remove the pattern whose age is greatest for its importance; unsafe ones that were hit stay."""
        own = [index for index, pattern in enumerate(self.patterns) if pattern.label == label]
        if len(own) <= MOST:
            return None
        now = time.time()

        def staleness(index: int) -> float:
            pattern = self.patterns[index]
            if pattern.pinned or (label == "unsafe" and pattern.hits):
                return -1.0
            return (now - pattern.time) / (1 + pattern.hits)

        worst = max(own[:-1], key=staleness)
        evicted = self.patterns[worst]
        self._drop(worst)
        return evicted

    def _adapt(self, background: Any) -> None:
        """Set the threshold so that harmless lines are below it."""
        unsafe = self._vectors[[p.label == "unsafe" for p in self.patterns]]
        if len(unsafe) and len(background):
            cosines = np.asarray(background, np.float32) @ unsafe.T
            self.threshold = min(0.95, max(NEAR, float(np.quantile(cosines.max(1), QUANTILE)) + 0.01))

    def nearest(self, vector: Any, *, held: bool = False) -> Near:
        """Return the nearest patterns of each label.

        :param held: whether those that wait for a second operator count, too.
        """
        if not self.patterns:
            return Near()
        cosines = self._vectors @ np.asarray(vector, np.float32).ravel()
        best: dict[str, tuple[float, Pattern | None]] = {"safe": (-1.0, None), "unsafe": (-1.0, None)}
        for index in np.argsort(-cosines)[:200]:
            pattern = self.patterns[int(index)]
            if (held or not pattern.held) and float(cosines[index]) > best[pattern.label][0]:
                best[pattern.label] = float(cosines[index]), pattern
        return Near(best["unsafe"][0], best["safe"][0], best["unsafe"][1], best["safe"][1])

    def ruling(self, near: Near) -> Label | None:
        """Return what the patterns say of a text; None when they say nothing."""
        if near.unsafe >= self.threshold and near.unsafe + MARGIN >= near.safe:
            return "unsafe"
        if near.safe >= max(VERY_NEAR, self.threshold) and near.safe >= near.unsafe + MARGIN:
            return "safe"
        return None

    def figures(self) -> dict[str, float]:
        """Return the use of the memory, and the projection's figures.

        `effective_rank` is exp of the entropy of the covariance's eigenvalues: it falls when all patterns become alike.
        `mean_cosine` near 1 means the same. `consistency` is 1 - cosine of the two sets' centres.
        """
        counts = {label: sum(p.label == label for p in self.patterns) for label in ("safe", "unsafe")}
        use = max(counts.values(), default=0) / MOST
        result = {"safe": counts["safe"], "unsafe": counts["unsafe"], "use": use, "threshold": round(self.threshold, 3)}
        result |= {"effective_rank": float(len(self.patterns) > 0), "mean_cosine": 0.0, "consistency": 1.0}
        if len(self.patterns) < 2:
            return result
        # A sample: the figures are for a glance, and all rows would take seconds.
        step = -(-len(self.patterns) // SAMPLE)
        rows = self._vectors[::step].astype(np.float64)
        values = np.linalg.svd(rows - rows.mean(0), compute_uv=False) ** 2
        shares = values[values > 1e-12] / max(values.sum(), 1e-12)
        result["effective_rank"] = math.exp(float(-(shares * np.log(shares)).sum())) if len(shares) else 1.0
        gram = rows @ rows.T
        count = len(rows)
        result["mean_cosine"] = float((gram.sum() - np.trace(gram)) / (count * (count - 1)))
        if counts["safe"] and counts["unsafe"]:
            safe = np.array([pattern.label == "safe" for pattern in self.patterns])
            one, two = self._vectors[safe].mean(0), self._vectors[~safe].mean(0)
            length = float(np.linalg.norm(one) * np.linalg.norm(two))
            result["consistency"] = 1 - float(one @ two) / max(length, 1e-9)
        return result

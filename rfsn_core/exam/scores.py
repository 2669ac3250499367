"""Scores: what the judgements of a run come to, with intervals, bars and verdicts; and the comparison of two runs.

The judgements of one conversation are not independent of each other, so that conversations count as clusters. The
interval of a share is Wilson's, its sample divided by the design effect (Kish 1965); that of a time is a bootstrap over
conversations. Two runs are compared case by case with a sign-flip permutation test over conversations; the p values are
corrected for the number of metrics (Holm 1979).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rfsn_core.exam.metrics import TIMES
from rfsn_core.exam.results import CaseResult, Point
from rfsn_core.exam.suite import Bar, Suite

Z = 1.959964
ENOUGH = 20
"""Judgements without a fault, from which on a bar counts as passed: no sample could show a share of 100 %."""
ROUNDS = 2000
"""Of the bootstrap and of the permutation test."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """A metric's value with its 95 % interval."""

    metric: str
    value: float
    low: float
    high: float
    count: int
    """How many judgements."""
    conversations: int
    bar: str = ""
    verdict: str = ""
    """`passed`; `failed`; `unsure`: passed, and the interval holds values that fail. Empty without a bar."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All scores of a run."""

    suites: dict[str, list[Score]]
    """Suite → its scores, those with a bar first."""
    npcs: dict[str, dict[str, Score]]
    """NPC → metric → score, over all suites."""

    @property
    def failed(self) -> list[tuple[str, Score]]:
        """(suite, score) of each bar that was missed."""
        return [
            (suite, score) for suite, scores in self.suites.items() for score in scores if score.verdict == "failed"
        ]

    @property
    def pass_rate(self) -> float:
        """The share of the bars that were reached."""
        verdicts = [score.verdict for scores in self.suites.values() for score in scores if score.verdict]
        return sum(verdict != "failed" for verdict in verdicts) / len(verdicts) if verdicts else 1.0


def score(metric: str, clusters: Sequence[Sequence[float]], bar: Bar | None = None) -> Score:
    """Return the score of a metric.

    :param clusters: the values of its judgements, those of a conversation together; none of them empty.
    """
    values = [value for cluster in clusters for value in cluster]
    if metric in TIMES:
        value, low, high = _percentile(clusters)
    else:
        value, low, high = _share(clusters)
    verdict = ""
    if bar is not None:
        sure = (bar.holds(low) and bar.holds(high)) or (value == 1.0 and len(values) >= ENOUGH)
        verdict = "failed" if not bar.holds(value) else "passed" if sure else "unsure"
    return Score(
        metric=metric, value=value, low=low, high=high, count=len(values), conversations=len(clusters),
        bar=str(bar or ""), verdict=verdict,
    )  # fmt: skip


def _share(clusters: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Return a share with Wilson's interval, its sample divided by the design effect of the clusters."""
    sizes = np.array([len(cluster) for cluster in clusters], float)
    sums = np.array([sum(cluster) for cluster in clusters], float)
    n, k = sizes.sum(), len(clusters)
    p = float(sums.sum() / n)
    if k > 1 and 0 < p < 1:
        variance = k / (k - 1) * float(np.sum((sums - p * sizes) ** 2)) / n**2
        effect = max(1.0, variance / (p * (1 - p) / n))
    else:
        effect = 1.0
    size = n / effect
    middle = (p + Z**2 / (2 * size)) / (1 + Z**2 / size)
    half = Z / (1 + Z**2 / size) * math.sqrt(p * (1 - p) / size + Z**2 / (4 * size**2))
    return p, max(0.0, middle - half), min(1.0, middle + half)


def _percentile(clusters: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Return the 95th percentile with a bootstrap interval over conversations."""
    arrays = [np.array(cluster, float) for cluster in clusters]
    value = float(np.percentile(np.concatenate(arrays), 95))
    if len(arrays) < 2:
        return value, value, value
    generator = np.random.default_rng(0)
    picks = generator.integers(len(arrays), size=(ROUNDS // 10, len(arrays)))
    drawn = [float(np.percentile(np.concatenate([arrays[index] for index in row]), 95)) for row in picks]
    return value, float(np.percentile(drawn, 2.5)), float(np.percentile(drawn, 97.5))


def summarise(results: Iterable[CaseResult], suites: Sequence[Suite]) -> Summary:
    """Return all scores of a run."""
    by_suite: dict[str, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    by_npc: dict[str, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    crowds = {suite.name for suite in suites if suite.horde is not None}
    for result in results:
        for metric, values in _values(result.points).items():
            by_suite[result.suite][metric].append(values)
            by_npc["the horde" if result.suite in crowds else result.npc][metric].append(values)
    bars = {suite.name: suite.bars for suite in suites}
    return Summary(
        suites={
            suite: sorted(
                (score(metric, clusters, bars.get(suite, {}).get(metric)) for metric, clusters in metrics.items()),
                key=lambda item: (not item.bar, item.metric),
            )
            for suite, metrics in by_suite.items()
        },
        npcs={
            npc: {metric: score(metric, clusters) for metric, clusters in sorted(metrics.items())}
            for npc, metrics in by_npc.items()
        },
    )


def _values(points: Iterable[Point]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = defaultdict(list)
    for point in points:
        values[point.metric].append(point.value)
    return values


# ── two runs ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A metric in two runs, over the conversations that both have."""

    suite: str
    metric: str
    first: float
    second: float
    """Means over the conversations; for times, of the milliseconds."""
    p: float
    """Probability of so large a difference if both were equal, corrected for the number of metrics."""
    conversations: int
    differing: int
    """Conversations in which the two differ."""

    @property
    def verdict(self) -> str:
        """`better`, `worse`, `no difference shown`."""
        if self.p >= 0.05:
            return "no difference shown"
        better = self.second < self.first if self.metric in TIMES else self.second > self.first
        return "better" if better else "worse"


def compare(first: Iterable[CaseResult], second: Iterable[CaseResult]) -> list[Difference]:
    """Return the difference of each metric of each suite, the least probable first."""
    pairs = _paired(list(first), list(second))
    raw = []
    for (suite, metric), values in pairs.items():
        array = np.array(values, float)
        delta = array[:, 1] - array[:, 0]
        raw.append((suite, metric, array.mean(axis=0), permutation_p(delta), len(delta), int((delta != 0).sum())))
    raw.sort(key=lambda row: row[3])
    differences, floor = [], 0.0
    for rank, (suite, metric, means, p, count, differing) in enumerate(raw):
        floor = max(floor, min(1.0, p * (len(raw) - rank)))
        differences.append(
            Difference(
                suite=suite,
                metric=metric,
                first=float(means[0]),
                second=float(means[1]),
                p=floor,
                conversations=count,
                differing=differing,
            )
        )
    return differences


def _paired(first: list[CaseResult], second: list[CaseResult]) -> Mapping[tuple[str, str], list[tuple[float, float]]]:
    """Return (suite, metric) → the means of each conversation in both runs."""
    others = {result.id: _values(result.points) for result in second}
    pairs: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for result in first:
        theirs = others.get(result.id, {})
        for metric, values in _values(result.points).items():
            if metric in theirs:
                mine, other = sum(values) / len(values), sum(theirs[metric]) / len(theirs[metric])
                pairs[result.suite, metric].append((mine, other))
    return pairs


def permutation_p(delta: Sequence[float] | np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """Return the two-sided p value of the mean of paired differences, by flipping signs.

    Exact up to 12 differences that are not 0; else from random flips, seeded, with 1 added to both counts.
    """
    array = np.asarray(delta, float)
    array = array[array != 0]
    if not len(array):
        return 1.0
    if len(array) <= 12:
        signs = 1 - 2 * ((np.arange(2 ** len(array))[:, None] >> np.arange(len(array))) & 1)
        extra = 0
    else:
        signs = np.random.default_rng(0).choice([-1, 1], size=(ROUNDS * 5, len(array)))
        extra = 1
    as_extreme = int((np.abs(signs @ array) >= abs(array.sum()) - 1e-12).sum())
    return (as_extreme + extra) / (len(signs) + extra)

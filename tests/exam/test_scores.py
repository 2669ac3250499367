"""Scores, intervals, verdicts and the comparison of runs, against values computed by hand or by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from rfsn_core.exam.results import CaseResult, Point
from rfsn_core.exam.scores import compare, permutation_p, score
from rfsn_core.exam.suite import Bar


def results(values: list[list[float]], metric: str = "words") -> list[CaseResult]:
    return [
        CaseResult(id=f"s/c/{number}", suite="s", script="c", npc="n", turns=[], points=[Point(metric, v) for v in of])
        for number, of in enumerate(values)
    ]


def test_the_interval_of_independent_judgements_is_wilsons() -> None:
    got = score("words", [[1.0]] * 8 + [[0.0]] * 2)
    assert (got.value, got.count, got.conversations) == (0.8, 10, 10)
    # Wilson 1927 for 8 of 10, with the sample divided by the design effect n/(n-1).
    assert (got.low, got.high) == pytest.approx((0.473, 0.948), abs=0.02)


def test_judgements_of_one_conversation_that_agree_count_less() -> None:
    apart = score("words", [[1.0]] * 24 + [[0.0]] * 8)
    together = score("words", [[1.0] * 8, [1.0] * 8, [1.0] * 8, [0.0] * 8])
    assert together.value == apart.value
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_about_95_of_100_intervals_hold_the_truth() -> None:
    chance = np.random.default_rng(1)
    hits = 0
    for _ in range(400):
        rates = np.clip(chance.normal(0.85, 0.1, size=30), 0, 1)
        got = score("words", [[float(x) for x in chance.random(6) < rate] for rate in rates])
        hits += got.low <= 0.84 <= got.high
    assert 0.92 <= hits / 400 <= 0.99


def test_a_bar_is_passed_failed_or_passed_by_luck() -> None:
    bar = Bar(min=0.9)
    assert score("words", [[1.0]] * 200, bar).verdict == "passed"
    assert score("words", [[1.0]] * 19 + [[0.0]], bar).verdict == "unsure"
    assert score("words", [[1.0]] * 8 + [[0.0]] * 2, bar).verdict == "failed"


def test_times_are_judged_by_their_95th_percentile() -> None:
    got = score("total_ms", [[float(number)] for number in range(1, 101)], Bar(max=90))
    assert got.value == pytest.approx(95.05)
    assert got.verdict == "failed"


def test_the_permutation_test_is_exact_for_few_differences() -> None:
    assert permutation_p([1.0] * 6) == pytest.approx(2 / 64)
    assert permutation_p([1.0, -1.0]) == 1.0
    assert permutation_p([0.0, 0.0]) == 1.0


def test_a_run_that_became_worse_is_shown_and_noise_is_not() -> None:
    good = results([[1.0] * 4] * 20)
    bad = results([[1.0, 1.0, 0.0, 0.0]] * 20)
    (difference,) = compare(good, bad)
    assert (difference.verdict, difference.first, difference.second) == ("worse", 1.0, 0.5)
    (noise,) = compare(results([[1.0], [0.0]] * 10), results([[0.0], [1.0]] * 10))
    assert noise.verdict == "no difference shown"


def test_fewer_milliseconds_are_better() -> None:
    slow = results([[float(100 + n)] for n in range(20)], "total_ms")
    fast = results([[float(50 + n)] for n in range(20)], "total_ms")
    assert compare(slow, fast)[0].verdict == "better"

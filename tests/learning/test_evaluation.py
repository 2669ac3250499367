"""The estimators against known numbers, and the report against the truth."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from rfsn_core.contract.errors import UserError
from rfsn_core.learning import evaluation
from rfsn_core.learning.evaluation import estimators
from rfsn_core.learning.records import DecisionRecord, RewardRecord, Slot
from rfsn_core.world.trial import Trial


def synthetic(seed: int = 12345, n: int = 5000) -> dict[str, np.ndarray]:
    """A bandit whose answer is known; the numbers below were recorded from the Open Bandit Pipeline 0.5.7."""
    world = np.random.default_rng(7)
    W, c = 0.8 * world.standard_normal((8, 6)), 0.4 * world.standard_normal(8)
    g = np.random.default_rng(seed)
    X, u, v, Z = g.standard_normal((n, 6)), g.random(n), g.random(n), g.standard_normal((n, 8))
    q = 1 / (1 + np.exp(-(X @ W.T + c - 0.5)))

    def softmax(z: np.ndarray) -> np.ndarray:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    logged = 0.9 * softmax(X @ (0.5 * W - 0.3 * np.roll(W, 1, axis=0)).T) + 0.1 / 8
    target = softmax(4 * (X @ W.T + c))
    a = np.array([int(np.argmax(row > value)) for row, value in zip(np.cumsum(logged, axis=1), u, strict=True)])
    rows = np.arange(n)
    estimated = np.clip(q + 0.15 * Z + 0.05, 0, 1)
    return {
        "reward": (v < q[rows, a]).astype(float),
        "weight": target[rows, a] / logged[rows, a],
        "expected": (target * estimated).sum(axis=1),
        "taken": estimated[rows, a],
        "truth": np.array([(target * q).sum(axis=1).mean()]),
    }


def test_the_estimators_give_the_recorded_numbers() -> None:
    d = synthetic()
    assert d["truth"][0] == pytest.approx(0.8264980949129411, abs=1e-12)
    assert d["reward"].mean() == pytest.approx(0.5864, abs=1e-12)
    assert estimators.ips(d["reward"], d["weight"]) == pytest.approx(0.8199879621796193, abs=1e-12)
    assert estimators.snips(d["reward"], d["weight"]) == pytest.approx(0.8306578951446821, abs=1e-12)
    assert estimators.dm(d["expected"]) == pytest.approx(0.8455490250849551, abs=1e-12)
    doubly = estimators.dr(d["reward"], d["weight"], d["expected"], d["taken"])
    assert doubly == pytest.approx(0.8303444843145628, abs=1e-12)
    assert estimators.effective_size(d["weight"]) == pytest.approx(1535.429, abs=1e-3)


def test_over_many_logs_they_are_unbiased_and_as_wide_as_they_should_be() -> None:
    found: dict[str, list[float]] = {"ips": [], "snips": [], "dr": [], "dm": []}
    for seed in range(10_000, 10_100):
        d = synthetic(seed)
        found["ips"].append(estimators.ips(d["reward"], d["weight"]))
        found["snips"].append(estimators.snips(d["reward"], d["weight"]))
        found["dr"].append(estimators.dr(d["reward"], d["weight"], d["expected"], d["taken"]))
        found["dm"].append(estimators.dm(d["expected"]))
    for name, spread in (("ips", 0.0204), ("snips", 0.0095), ("dr", 0.0096)):
        values = np.array(found[name])
        assert abs(values.mean() - 0.82690) < 3 * spread / 10 + 0.0002
        assert values.std() == pytest.approx(spread, rel=0.25)
    assert np.mean(found["dm"]) - 0.82690 == pytest.approx(0.0188, abs=0.002)  # as biased as its model


ARMS = ["kind", "cold", "odd"]
LIKED = {"tavern": [0.6, -0.2, 0.1], "gate": [-0.3, 0.5, 0.1]}


def write_log(
    folder: Path, count: int = 4000, *, seed: int = 1, swap: float = 0.0, conversations: int = 40, trials: bool = False
) -> None:
    """A log in two places with a uniform-ish policy; `swap`: how often the choice is replaced after it was logged.

    With `trials`, a tenth of the stretches has the default's choice, which earns 0.15 less.
    """
    folder.mkdir(parents=True)
    g = np.random.default_rng(seed)
    with (folder / "000000000001.jsonl").open("wb") as file:
        for number in range(count):
            place = ["tavern", "gate"][int(g.integers(2))]
            p = [0.6, 0.2, 0.2] if place == "tavern" else [0.4, 0.3, 0.3]
            chosen = int(g.choice(3, p=p))
            if g.random() < swap:
                chosen = 1
            style = Slot(arms=["plain"], priors=[0.0], scores=[0.0], propensities=[1.0], chosen="plain")
            action = Slot(arms=ARMS, priors=[0.0, 0.1, 0.0], scores=[0.0] * 3, propensities=p, chosen=ARMS[chosen])
            record = DecisionRecord(
                decision_id=f"d{number}", time=float(number), save="w", npc="smith",
                player=f"p{number % conversations}",
                prior_decision_id="", key=f"LOCATION:{place}", key_version="v",
                features=[(0, 0.7), (1 + (place == "gate"), 0.7)], width=3, feature_hash="h", signal="greet", state={},
                policy="x 1", explored=True, action=action, style=style, reasons=[""] * 3, terms=[{}] * 3,
                predicted=[{}] * 3, vetoes={}, forced_by="", delivered=True,
            )  # fmt: skip
            value = float(np.clip(LIKED[place][chosen] + g.normal(0, 0.2), -1, 1))
            if trials:
                acts: Any = "default" if number // 10 % 10 == 3 else "learned"
                trial = Trial(acts=acts, stretch=str(number // 10), differs=number % 2 == 0)
                record = msgspec.structs.replace(record, trial=trial)
                value = max(-1.0, value - 0.15 * (acts == "default"))
            reward = RewardRecord(
                reward_id=f"r{number}", decision_id=f"d{number}", value=value, signal="", source="game", time=0.0
            )
            file.write(msgspec.json.encode(record) + b"\n" + msgspec.json.encode(reward) + b"\n")


TRUTH = {"uniform": (sum(LIKED["tavern"]) + sum(LIKED["gate"])) / 6, "prior": (-0.2 + 0.5) / 2}


@pytest.mark.parametrize("policy", ["uniform", "prior"])
def test_the_intervals_hold_what_the_policy_really_earns(tmp_path: Path, policy: str) -> None:
    write_log(tmp_path / "log")
    log = evaluation.read_log(tmp_path / "log")
    report = evaluation.evaluate(log, evaluation.target(log, policy))
    slot = report.slots["both"]
    for name in ("IPS", "SNIPS", "DR", "DRos"):  # DM's interval holds its model for true, and is too narrow
        estimate = slot.others.get(name, slot.estimate)
        assert estimate.low < TRUTH[policy] < estimate.high, name
    assert report.slots["action"].estimate.value == pytest.approx(slot.estimate.value)  # there is one style
    assert report.slots["style"].estimate.value == pytest.approx(report.logged.value, abs=0.01)
    assert report.warnings == []
    assert slot.mean_weight == pytest.approx(1, abs=0.1)
    assert set(report.by_key) == {"LOCATION:tavern", "LOCATION:gate"}
    assert sum(share for share, _ in report.actions.values()) == pytest.approx(1)


def test_a_log_whose_probabilities_are_not_its_own_is_found_out(tmp_path: Path) -> None:
    write_log(tmp_path / "log", swap=0.15)
    log = evaluation.read_log(tmp_path / "log")
    report = evaluation.evaluate(log, evaluation.target(log, "uniform"))
    assert "the log cannot be trusted" in report.warnings[0]


def bandit(seed: int, n: int, floor: float = 0.01) -> tuple[evaluation.EvaluationLog, evaluation.Target, float]:
    """A log as the product writes it, nearly greedy with nine candidates; a target, and what that really earns."""
    world, g = np.random.default_rng(3), np.random.default_rng(seed)
    likes, guess = world.normal(0, 0.3, (6, 9)), world.normal(0, 0.15, (6, 9))
    style = Slot(arms=["plain"], priors=[0.0], scores=[0.0], propensities=[1.0], chosen="plain")
    names, rewards, truth = [f"a{k}" for k in range(9)], [], []
    records: list[DecisionRecord] = []
    for number in range(n):
        place = int(g.integers(6))
        p = np.full(9, floor / 9)
        p[int(np.argmax(likes[place] + guess[place]))] += 1 - floor
        chosen = int(g.choice(9, p=p))
        action = Slot(arms=names, priors=guess[place].tolist(), scores=[0.0] * 9, propensities=p.tolist(),
                      chosen=names[chosen])  # fmt: skip
        record = DecisionRecord(
            decision_id=f"d{number}", time=0.0, save="w", npc="smith", player=f"p{number * 40 // n}",
            prior_decision_id="", key=f"P:{place}", key_version="v", features=[(0, 0.7), (1 + place, 0.7)], width=7,
            feature_hash="h", signal="greet", state={}, policy="x 1", explored=True, action=action, style=style,
            reasons=[], terms=[], predicted=[], vetoes={}, forced_by="", delivered=True,
        )  # fmt: skip
        records.append(record)
        rewards.append(float(np.clip(likes[place][chosen] + g.normal(0, 0.2), -1, 1)))
        truth.append(likes[place].mean())
    log = evaluation.EvaluationLog(records, np.array(rewards))
    return log, evaluation.target(log, "uniform"), float(np.mean(truth))


def covered(seeds: range, n: int) -> int:
    """How many intervals hold the truth."""
    hits = 0
    for seed in seeds:
        log, target, truth = bandit(seed, n)
        estimate = evaluation.evaluate(log, target).slots["action"].estimate
        hits += estimate.low < truth < estimate.high
    return hits


def test_the_intervals_hold_the_truth_also_where_the_log_is_nearly_greedy() -> None:
    assert covered(range(8), 300) >= 7


@pytest.mark.soak
def test_of_200_intervals_of_nearly_greedy_logs_nine_in_ten_hold_the_truth() -> None:
    assert covered(range(200), 400) >= 180


def test_the_answer_is_a_sentence_with_what_is_missing(tmp_path: Path) -> None:
    write_log(tmp_path / "log", count=400, trials=True)
    answer = evaluation.read_hold_out(tmp_path / "log")
    assert answer.sentence.startswith("It is not certain whether learning beats not learning: ")
    write_log(tmp_path / "more", count=8000, trials=True)
    answer = evaluation.read_hold_out(tmp_path / "more")
    assert answer.sentence.startswith("Learning beats not learning: +0.")
    assert answer.difference.low > 0
    write_log(tmp_path / "none", count=40)
    assert "cannot say" in evaluation.read_hold_out(tmp_path / "none").sentence


def test_a_learning_policy_is_taught_on_one_part_and_judged_on_the_other(tmp_path: Path) -> None:
    from rfsn_core.cli.evaluate import evaluate_provider
    from rfsn_core.testing import make_world

    write_log(tmp_path / "log")
    log = evaluation.read_log(tmp_path / "log")
    report = asyncio.run(evaluate_provider(log, "linucb", 0.5, make_world(tmp_path / "w")))
    best = (0.6 + 0.5) / 2
    assert report.decisions == 2000
    estimate = report.slots["action"].estimate
    assert estimate.low > report.logged.high
    assert estimate.value == pytest.approx(best, abs=0.07)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"explored": False}, "learning was disabled, so nothing was tried"),
        ({"forced_by": "a rule"}, "a rule left one choice"),
        ({"delivered": False}, "the player never saw it"),
    ],
)
def test_what_cannot_be_evaluated_is_left_out_and_counted(tmp_path: Path, change: dict[str, object], says: str) -> None:
    write_log(tmp_path / "log", count=10)
    path = tmp_path / "log" / "000000000001.jsonl"
    lines = path.read_bytes().splitlines()
    first = msgspec.json.decode(lines[0])
    path.write_bytes(b"\n".join([msgspec.json.encode({**first, **change}), *lines[1:]]) + b"\n")
    assert evaluation.read_log(tmp_path / "log").left_out == {says: 1}


def test_logs_without_propensities_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no log here"):
        evaluation.read_log(tmp_path)
    write_log(tmp_path / "log", count=5)
    path = tmp_path / "log" / "000000000001.jsonl"
    path.write_bytes(
        path.read_bytes().replace(b"[0.6,0.2,0.2]", b"[1.0,0.0,0.0]").replace(b"[0.4,0.3,0.3]", b"[0,1,0]")
    )
    with pytest.raises(UserError, match=r"5: chosen with probability 1.*policy that explores"):
        evaluation.read_log(tmp_path / "log")

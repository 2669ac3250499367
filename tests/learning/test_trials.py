"""Learning against not learning: who acts, and when one is better for certain."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from rfsn_core import protocol
from rfsn_core.contract.selection import Context, Selection
from rfsn_core.kernel import Kernel
from rfsn_core.learning.comparison import Comparison
from rfsn_core.learning.log_files import read_records
from rfsn_core.learning.records import DecisionRecord
from rfsn_core.testing import kernel, plugin, turn
from rfsn_core.testing.scripted import Chooser


def compared(seed: int, effect: float, decisions: int, holdout: float = 0.1) -> tuple[bool, Comparison]:
    """Return whether the interval ever excluded the effect, and the comparison."""
    drawn, comparison, wrong = random.Random(seed), Comparison(), False
    for number in range(decisions // 5):
        acts: Any = "default" if drawn.random() < holdout else "learned"
        stretch = drawn.gauss(0, 0.15)  # rewards of a stretch have something in common
        for _ in range(5):
            mean = 0.2 + stretch + (effect if acts == "learned" else 0.0)
            comparison.add(acts, str(number), max(-1.0, min(1.0, drawn.gauss(mean, 0.4))))
        found = comparison.difference()
        wrong |= not found.low <= effect <= found.high
    return wrong, comparison


def test_however_often_one_looks_the_interval_is_seldom_wrong() -> None:
    wrong = sum(compared(seed, 0.0, 1500)[0] for seed in range(100))
    assert wrong <= 10  # 5 in the mean; 10 or more has a probability of 3 %


@pytest.mark.parametrize("effect", [-0.4, 0.4])
def test_a_difference_that_matters_is_found(effect: float) -> None:
    found = compared(1, effect, 1500)[1].difference()
    assert found.is_sure
    assert (found.value > 0) == (effect > 0)
    early = compared(3, effect / 4, 400)[1].difference()
    assert not early.is_sure
    assert early.more_decisions > 100


def test_a_later_reward_corrects_the_comparison() -> None:
    once, twice = Comparison(), Comparison()
    for number in range(20):
        for acts, value in (("learned", 0.5), ("default", 0.2)):
            once.add(acts, f"{acts} {number}", value)  # type: ignore[arg-type]
            twice.add(acts, f"{acts} {number}", -1.0)  # type: ignore[arg-type]
            twice.add(acts, f"{acts} {number}", value, before=-1.0)  # type: ignore[arg-type]
    assert twice.difference().value == pytest.approx(once.difference().value)
    assert once.difference().value == pytest.approx(0.3)


class Other(Chooser):
    """Learns to choose what the world model likes least."""

    def select(self, context: Context, arms: Any) -> Selection:
        worst = min(arms, key=lambda arm: arm.prior)
        share = 0.99 if len(arms) > 1 else 1.0
        rest = (1 - share) / max(1, len(arms) - 1)
        shares = tuple(share if arm is worst else rest for arm in arms)
        return Selection(worst.name, shares, tuple(arm.prior for arm in arms), 0.5)


async def play(it: Kernel, turns: int, likes: str) -> None:
    for number in range(turns):
        got = await turn(it, "I like it here.", player=f"p{number // 20}")
        made = next(item for item in got if isinstance(item, protocol.Decision))
        record = await it.turn_log.decision(made.decision_id)
        assert record is not None
        assert record.trial is not None
        value = 0.8 if record.trial.acts == likes else -0.4
        await it.reward(protocol.Reward(decision_id=made.decision_id, value=value + 0.01 * (number % 3)))


def records(world: Path) -> list[DecisionRecord]:
    return list(read_records(world / ".rfsn" / "log", DecisionRecord))


SETTINGS: dict[str, Any] = {
    "learning": {"detect": False, "cooldown": 0, "holdout": 0.5},
    "memory": {"summary_every": 0},
}


@pytest.mark.parametrize("mode", ["online", "apprentice"])
async def test_who_is_better_for_certain_acts(tmp_path: Path, mode: str) -> None:
    told: list[str] = []
    settings = SETTINGS | {"learning": SETTINGS["learning"] | {"mode": mode}}
    likes, usual = ("default", "learned") if mode == "online" else ("learned", "default")
    async with kernel(tmp_path, plugin(selection={"p": Other()}), settings=settings) as it:
        it.runtimes.announcements.subscribe(
            lambda event: told.append(event.reason) if "policy acts" in event.reason else None  # type: ignore[attr-defined]
        )
        await play(it, 160, likes)
        report = it.trials.report()["all"]
        assert report["acts"] == likes
    assert len(told) == 1
    assert told[0].startswith(f"all NPCs: the {likes} policy acts: learned choices were")
    trials = [record.trial for record in records(tmp_path) if record.trial]
    assert trials[0].acts == usual or trials[10].acts == usual
    held_out = [trial for trial in trials[:40] if trial.acts != usual]
    assert len(held_out) == 20
    assert {trial.why for trial in held_out} == {"held out" if mode == "online" else "trial"}
    assert all(trial.differs for trial in trials)
    async with kernel(tmp_path, plugin(selection={"p": Other()}), settings=settings) as it:
        assert it.trials.report()["all"]["acts"] == likes  # also after a restart


async def test_a_decision_that_was_held_out_is_that_of_the_world_model_and_can_be_repeated(tmp_path: Path) -> None:
    async with kernel(tmp_path, plugin(selection={"p": Other()}), settings=SETTINGS) as it:
        await play(it, 20, "learned")
    for record in records(tmp_path):
        slot = record.action
        best, worst = slot.arms[slot.priors.index(max(slot.priors))], slot.arms[slot.priors.index(min(slot.priors))]
        assert record.trial is not None
        chosen, other = (best, worst) if record.trial.acts == "default" else (worst, best)
        assert (slot.chosen, record.trial.other) == (chosen, other)
        if record.trial.acts == "default":
            assert slot.propensity == 1.0
            assert slot.repeated() == slot.chosen


async def test_nothing_is_held_out_where_nothing_is_learned(tmp_path: Path) -> None:
    async with kernel(tmp_path, settings={"learning": {"holdout": 0.5}}) as it:
        for _ in range(30):
            await turn(it, "I like it here.")
    assert {record.trial for record in records(tmp_path)} == {None}

"""The decisions that rewards may come for, and what they cost while they wait."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from rfsn_core import protocol
from rfsn_core.kernel import Kernel
from rfsn_core.learning import recent_decisions
from rfsn_core.testing import kernel, plugin, turn
from rfsn_core.testing.scripted import Chooser

SETTINGS = {"learning": {"detect": False, "cooldown": 0, "credit_steps": 0}}


async def decide(it: Kernel, text: str) -> str:
    events = await turn(it, text)
    return next(event.decision_id for event in events if isinstance(event, protocol.Decision))


async def test_a_waiting_decision_holds_nothing_that_the_garbage_collector_walks(tmp_path: Path) -> None:
    async with kernel(tmp_path, settings=SETTINGS) as it:
        decision_id = await decide(it, "Hello!")
        await it.reward(protocol.Reward(decision_id=decision_id, value=0.5))
        decision = await it.decisions.find(decision_id)
        assert decision is not None
        assert decision.record.decision_id == decision_id
        held = {type(value) for value in gc.get_referents(decision)}
        assert held <= {bytes, frozenset, tuple, float, type(None), type}
        gc.collect()
        assert not any(gc.is_tracked(value) for value in gc.get_referents(decision) if isinstance(value, tuple))


async def test_a_decision_that_left_memory_is_read_from_disk_with_its_rewards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent_decisions, "IN_MEMORY", 2)
    policy = Chooser()
    async with kernel(tmp_path, plugin(selection={"p": policy}), settings=SETTINGS) as it:
        first = await decide(it, "Hello!")
        reward = protocol.Reward(decision_id=first, value=0.5, reward_id="r1")
        assert not (await it.reward(reward)).duplicate
        await it.learner.settle()
        for number in range(3):
            await decide(it, f"Hello {number}!")
        assert (await it.reward(reward)).duplicate
        await it.reward(protocol.Reward(decision_id=first, value=0.25, reward_id="r2"))
        await it.learner.settle()
    assert [(update.reward, update.again) for update in policy.updates if update.context.slot == "action"] == [
        (0.5, False), (0.25, True),
    ]  # fmt: skip

"""The tasks that archetypes have adapters for, and the actions of the world."""

from __future__ import annotations

from rfsn_core.kit import ADAPTER_TASKS, adapter_task
from rfsn_core.world.actions import Actions


def test_the_actions_of_the_world_are_spread_over_all_tasks() -> None:
    plain = {Actions().plain(name) for name in Actions()}
    assert {adapter_task(name) for name in plain} == set(ADAPTER_TASKS)
    assert sum(adapter_task(name) != "dialogue_style" for name in plain) >= 15
    assert adapter_task("juggle") == "dialogue_style"

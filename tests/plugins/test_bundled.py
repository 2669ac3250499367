"""What the plugins of this repository must have in common with the kernel."""

from __future__ import annotations

from rfsn_llm_vllm.archetypes import TASK_OF, TASKS

from rfsn_core.world.actions import Actions


def test_every_action_of_the_world_has_a_task() -> None:
    assert set(TASK_OF.values()) <= set(TASKS)
    plain = {Actions().plain(name) for name in Actions()}
    assert {action for action in TASK_OF if action not in Actions()} == set()
    assert len(plain & set(TASK_OF)) >= 15

"""The adapter tasks: what an archetype's adapters are trained for, and which task words which action."""

from __future__ import annotations

ADAPTER_TASKS = (
    "personality", "dialogue_style", "action_policy", "emotional_response", "world_knowledge", "social_dynamics",
    "goal_prioritization",
)  # fmt: skip
"""What there is an adapter for."""
_TASK_OF = {
    **dict.fromkeys(
        ("attack", "threaten", "insult", "flee", "betray", "defend", "stern_warning"), "emotional_response"
    ),
    **dict.fromkeys(("explain", "hint"), "world_knowledge"),
    **dict.fromkeys(("greet", "farewell", "compliment", "apologize", "offer", "help"), "social_dynamics"),
    **dict.fromkeys(("agree", "disagree", "accept", "refuse"), "action_policy"),
    **dict.fromkeys(("request", "inquire", "probe"), "goal_prioritization"),
    **dict.fromkeys(("confide", "ignore"), "personality"),
}


def adapter_task(action: str) -> str:
    """Return the task whose adapter words an action, by its plain name; `dialogue_style` for all that have none."""
    return _TASK_OF.get(action, "dialogue_style")

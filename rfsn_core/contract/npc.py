"""How an NPC feels about a player, with the invariants that always hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

MOODS = ("calm", "happy", "sad", "angry", "afraid")


def tier(affinity: float, turns: int) -> str:
    """The relationship that an affinity stands for; `stranger` before the first turn."""
    if turns == 0:
        return "stranger"
    if affinity < -0.6:
        return "enemy"
    if affinity < -0.2:
        return "rival"
    if affinity < 0.2:
        return "acquaintance"
    return "friend" if affinity < 0.6 else "ally"


class NpcState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One NPC's state towards one player. Only `transitions` makes a new one."""

    mood: str = "calm"
    affinity: float = 0.0
    """-1…1"""
    trust: float = 0.5
    """0…1"""
    fear: float = 0.0
    """0…1"""
    sentiment: float = 0.0
    """Of what was said lately, -1…1, fading."""
    in_combat: bool = False
    quest_active: bool = False
    turns: int = 0

    @property
    def relationship(self) -> str:
        """The relationship tier."""
        return tier(self.affinity, self.turns)

    def violations(self) -> list[str]:
        """The invariants that do not hold, in words; empty for a valid state."""
        found = []
        for name, low, high in (("affinity", -1, 1), ("trust", 0, 1), ("fear", 0, 1), ("sentiment", -1, 1)):
            value = getattr(self, name)
            if not low <= value <= high:  # also catches NaN
                found.append(f"{name} is {value}, not in {low}…{high}")
        if self.mood not in MOODS:
            found.append(f"mood is '{self.mood}', not one of {', '.join(MOODS)}")
        if self.turns < 0:
            found.append(f"turns is {self.turns}, below 0")
        return found

    def plain(self) -> dict[str, Any]:
        """As plain values, with the relationship: what providers, hooks and the store see."""
        return {**msgspec.structs.asdict(self), "relationship": self.relationship}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> NpcState:
        """The inverse of `plain`. Raises msgspec.ValidationError or ValueError when it is not a valid state."""
        state = msgspec.convert({k: v for k, v in values.items() if k != "relationship"}, cls)
        if problems := state.violations():
            raise ValueError("; ".join(problems))
        return state

"""How an NPC feels about a player, with the invariants that always hold."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

import msgspec

MOODS = ("calm", "happy", "sad", "angry", "afraid")


TIERS = ("enemy", "rival", "acquaintance", "friend", "ally")
_BOUNDS = (-0.6, -0.2, 0.2, 0.6)
MARGIN = 0.05
"""How far an affinity must pass a bound before the relationship changes."""


def standing(affinity: float, before: str = "") -> str:
    """Return the relationship that an affinity stands for; near a bound, the one before stays."""
    now = bisect_right(_BOUNDS, affinity)
    if before in TIERS and now != (old := TIERS.index(before)):
        bound = _BOUNDS[now] if now < old else _BOUNDS[now - 1]
        if abs(now - old) == 1 and abs(affinity - bound) < MARGIN:
            return before
    return TIERS[now]


class Temperament(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an NPC is like; each value is in -1…1, and 0 is average."""

    warmth: float = 0.0
    """Likes people, and shows it."""
    bravery: float = 0.0
    """Is hard to frighten, and stands its ground."""
    pride: float = 0.0
    """Is easily hurt; does not give in or apologize easily."""
    honesty: float = 0.0
    """Says what it knows; below 0 it dodges and hints."""
    curiosity: float = 0.0
    """Asks back."""
    fluidity: float = 0.0
    """How fast feelings move: at 1 twice as fast, at -1 half as fast."""


class NpcState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One NPC's state towards one player. Only `world.feelings` makes a new one."""

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
    regard: float = 0.0
    """How far deeds and hurts have moved affinity for good, -1…1."""
    faith: float = 0.0
    """How far deeds and hurts have moved trust for good, -1…1."""
    topic: list[str] = []
    """What was talked about last, as stems of words."""
    told: dict[str, int] = {}
    """Fact id → the turn in which the NPC told it last."""
    called: dict[str, int] = {}
    """Fact id → the turn in which its keys were heard last, for lore that stays or rests for some turns."""
    last_action: str = ""
    """What the NPC did in the turn before."""
    heard: dict[str, float] = {}
    """Signal → how often it was heard lately, fading."""
    standing: str = ""
    """The relationship, which changes only when affinity has passed a bound by a margin."""
    clock: float = 0.0
    """Hours of game time at the last turn; 0 when the game does not say."""

    refused: dict[str, int] = {}
    """Action → the turn in which the game refused or failed it last."""

    @property
    def relationship(self) -> str:
        """The relationship tier; `stranger` before the first turn."""
        if self.turns == 0:
            return "stranger"
        return self.standing or standing(self.affinity)

    def violations(self) -> list[str]:
        """Return the invariants that do not hold, in words; empty for a valid state."""
        problems = []
        for name, low, high in (
            ("affinity", -1, 1),
            ("trust", 0, 1),
            ("fear", 0, 1),
            ("sentiment", -1, 1),
            ("regard", -1, 1),
            ("faith", -1, 1),
        ):
            value = getattr(self, name)
            if not low <= value <= high:  # also catches NaN
                problems.append(f"{name} is {value}, not in {low}…{high}")
        if self.mood not in MOODS:
            problems.append(f"mood is '{self.mood}', not one of {', '.join(MOODS)}")
        if self.turns < 0:
            problems.append(f"turns is {self.turns}, below 0")
        return problems

    def plain(self) -> dict[str, Any]:
        """Return plain values, with the relationship: what providers, hooks and the store get."""
        return {**msgspec.structs.asdict(self), "relationship": self.relationship}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> NpcState:
        """Return the state of plain values. Raises msgspec.ValidationError or ValueError when it is not valid."""
        state = msgspec.convert({k: v for k, v in values.items() if k != "relationship"}, cls)
        if problems := state.violations():
            raise ValueError("; ".join(problems))
        return state

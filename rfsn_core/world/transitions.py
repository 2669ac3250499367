"""The state machine: the only code that changes an NPC's state.

`after` says what a turn does; `predict` is the same arithmetic, used to look one step ahead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from rfsn_core.contract.actions import Action
from rfsn_core.contract.npc import NpcState

SIGNAL_EFFECTS: dict[str, tuple[float, float, float]] = {
    "greet": (0.02, 0.01, -0.01),
    "farewell": (0.01, 0.0, 0.0),
    "insult": (-0.12, -0.04, 0.02),
    "compliment": (0.06, 0.02, -0.01),
    "help": (0.01, 0.01, 0.0),
    "threaten": (-0.1, -0.1, 0.15),
    "apologize": (0.05, 0.03, -0.03),
    "agree": (0.02, 0.02, 0.0),
    "disagree": (-0.02, 0.0, 0.0),
    "accept": (0.03, 0.03, 0.0),
    "refuse": (-0.03, -0.01, 0.0),
    "offer": (0.05, 0.02, 0.0),
    "attack": (-0.35, -0.3, 0.35),
    "flee": (0.0, -0.02, -0.05),
    "betray": (-0.45, -0.5, 0.1),
    "command": (-0.02, 0.0, 0.02),
}
"""Signal → change of (affinity, trust, fear)."""

EVENT_EFFECTS: dict[str, tuple[float, float, float]] = {
    "gift": (0.12, 0.05, -0.02),
    "promise_kept": (0.1, 0.15, 0.0),
    "promise_broken": (-0.15, -0.25, 0.0),
    "betrayal": (-0.5, -0.6, 0.1),
    "saved_life": (0.4, 0.3, -0.2),
    "attacked": (-0.35, -0.3, 0.35),
    "witnessed_crime": (-0.15, -0.15, 0.1),
    "quest_started": (0.02, 0.03, 0.0),
    "quest_completed": (0.15, 0.15, 0.0),
    "combat_started": (0.0, 0.0, 0.15),
    "combat_ended": (0.0, 0.0, -0.2),
}
"""Kind of game event → change of (affinity, trust, fear). Other kinds are remembered and change nothing."""

FADE = 0.7
"""Share of the recent sentiment that remains after a turn."""


def _clip(value: float, low: float, high: float) -> float:
    value = round(value, 6)
    return low if value < low else high if value > high else value


def _moved(state: NpcState, affinity: float, trust: float, fear: float) -> NpcState:
    new = replace(
        state,
        affinity=_clip(state.affinity + affinity, -1, 1),
        trust=_clip(state.trust + trust, 0, 1),
        fear=_clip(state.fear + fear, 0, 1),
    )
    return replace(new, mood=_mood(new))


def _mood(state: NpcState) -> str:
    if state.fear > 0.6:
        return "afraid"
    if state.in_combat or state.sentiment < -0.4:
        return "angry"
    if state.affinity < -0.4 and state.sentiment < 0:
        return "sad" if state.trust > 0.5 else "angry"
    return "happy" if state.sentiment > 0.3 or state.affinity > 0.5 else "calm"


def perceive(state: NpcState, game: Mapping[str, Any]) -> NpcState:
    """Return the state with what the game itself says of `in_combat` and `quest_active`, when they are booleans."""
    combat, quest = game.get("in_combat"), game.get("quest_active")
    if quest is None and "quest_state" in game:
        quest = str(game["quest_state"]).lower() == "active"
    if not isinstance(combat, bool) or combat == state.in_combat:
        combat = state.in_combat
    if not isinstance(quest, bool):
        quest = state.quest_active
    if combat == state.in_combat and quest == state.quest_active:
        return state
    new = replace(state, in_combat=combat, quest_active=quest)
    return replace(new, mood=_mood(new))


DRIFT = 0.15
"""How far the game's value of a number may differ from ours."""


def drift(state: NpcState, game: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return field → (ours, the game's) where `npc` in the game's state differs from the NPC's state."""
    reported = game.get("npc")
    differences: dict[str, tuple[Any, Any]] = {}
    if not isinstance(reported, Mapping):
        return differences
    for name in ("affinity", "trust", "fear"):
        value, ours = reported.get(name), getattr(state, name)
        if isinstance(value, int | float) and not isinstance(value, bool) and not abs(value - ours) <= DRIFT:
            differences[name] = (ours, value)
    if isinstance(mood := reported.get("mood"), str) and mood != state.mood:
        differences["mood"] = (state.mood, mood)
    return differences


def adopt(state: NpcState, drifted: Mapping[str, tuple[Any, Any]]) -> NpcState:
    """Return the state with the game's numbers, as far as they are valid; the mood follows from the numbers."""
    numbers = {name: theirs - ours for name, (ours, theirs) in drifted.items() if name != "mood" and theirs == theirs}
    return _moved(state, numbers.get("affinity", 0.0), numbers.get("trust", 0.0), numbers.get("fear", 0.0))


def hear(state: NpcState, signal: str, sentiment: float = 0.0) -> NpcState:
    """Return the state after the player's words, before the NPC has answered.

    :param sentiment: the gate's reading of the text, -1…1.
    """
    affinity, trust, fear = SIGNAL_EFFECTS.get(signal, (0.0, 0.0, 0.0))
    heard = replace(state, sentiment=_clip(state.sentiment * FADE + sentiment * (1 - FADE) + affinity, -1, 1))
    return _moved(heard, affinity, trust, fear)


def predict(state: NpcState, action: Action) -> NpcState:
    """Return the state that follows when the NPC does this."""
    return _moved(state, action.affinity, action.trust, action.fear)


def after(state: NpcState, action: Action) -> NpcState:
    """Return the state at the end of a turn in which the NPC did this."""
    return replace(predict(state, action), turns=state.turns + 1)


def happened(state: NpcState, kind: str) -> NpcState:
    """Return the state after an event in the game."""
    if kind in ("combat_started", "combat_ended"):
        state = replace(state, in_combat=kind == "combat_started")
    if kind in ("quest_started", "quest_completed"):
        state = replace(state, quest_active=kind == "quest_started")
    return _moved(state, *EVENT_EFFECTS.get(kind, (0.0, 0.0, 0.0)))

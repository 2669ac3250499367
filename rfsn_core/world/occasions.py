"""Occasions on which an NPC speaks first: the player comes near, or something happens in the game."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rfsn_core.contract.actions import Situation, Trigger

RESEMBLES = {
    "approach": "greet",
    "gift": "offer",
    "promise_kept": "accept",
    "promise_broken": "betray",
    "betrayal": "betray",
    "saved_life": "help",
    "attacked": "attack",
    "witnessed_crime": "threaten",
    "quest_started": "accept",
    "quest_completed": "thanks",
    "combat_started": "threaten",
    "combat_ended": "smalltalk",
}
"""Occasion → the player's signal that it is answered like, so that one table says what answers what."""
OTHER = "statement"
"""What any other occasion is answered like."""


@dataclass(frozen=True)
class Occasion:
    """Why an NPC speaks first."""

    kind: str
    signal: str
    """What it is answered like."""
    actions: tuple[str, ...] = ()
    """The only candidates; empty: what answers the signal."""
    text: str = ""
    """What happened, in words."""

    @property
    def words(self) -> str:
        """What happened, in words, in any case."""
        return self.text or ("the player comes near" if self.kind == "approach" else self.kind.replace("_", " "))


def occasion(kind: str, text: str = "", signal: str = "", trigger: Trigger | None = None) -> Occasion:
    """Return an occasion.

    :param text: what happened, in words.
    :param signal: what the game says that it is answered like.
    :param trigger: of the settings, if one applies.
    """
    if trigger is None:
        return Occasion(kind, signal or RESEMBLES.get(kind, OTHER), text=text)
    signal = signal or trigger.signal or RESEMBLES.get(kind, OTHER)
    return Occasion(kind, signal, trigger.actions, text or trigger.text)


def first(triggers: Sequence[Trigger], kind: str, npc: str) -> Trigger | None:
    """Return the first trigger for an event and an NPC, without a look at its conditions."""
    return next((trigger for trigger in triggers if _concerns(trigger, kind, npc)), None)


def _concerns(trigger: Trigger, kind: str, npc: str) -> bool:
    return trigger.event == kind and (not trigger.npcs or npc in trigger.npcs)


def matching(triggers: Sequence[Trigger], kind: str, npc: str, situation: Situation) -> Trigger | None:
    """Return the first trigger that applies to an event."""
    for trigger in triggers:
        if _concerns(trigger, kind, npc) and trigger.applies(situation):
            return trigger
    return None

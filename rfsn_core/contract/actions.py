"""What plugins and worlds can add to the decision: actions and safety rules.

The same classes are the tables `[[world.actions]]` and `[[world.rules]]` of the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass as checked_dataclass

from rfsn_core.contract.npc import NpcState, Temperament

StateNumber = Literal["affinity", "trust", "fear", "sentiment", "turns"]
StateFlag = Literal["in_combat", "quest_active"]
_FORBID = ConfigDict(extra="forbid")


ArgumentType = Literal["text", "number", "integer", "flag", "texts"]
SOURCES = ("self", "player", "npc", "place", "thing", "entity", "nearby")


@checked_dataclass(frozen=True, config=_FORBID)
class Argument:
    """Something that an action needs besides its name, such as its target, and where it comes from."""

    sources: tuple[str, ...] = Field(
        default=(),
        description="Asked in this order: `npc`, `place`, `thing` or `entity` that the player named; `nearby`, what the"
        " player named of the game's list of that name; `player`; `self`; `state.key.key` of the game's state.",
    )
    type: ArgumentType = Field(default="text", description="What the game gets.")
    required: bool = Field(default=False, description="Without it the action is no candidate.")
    default: Any = Field(default=None, description="Used when no source has a value.")

    @field_validator("sources")
    @classmethod
    def _exist(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        for source in sources:
            if source not in SOURCES and not source.startswith("state."):
                raise ValueError(f"no source '{source}'; there are {', '.join(SOURCES)}, and state.KEY")
        return sources


@checked_dataclass(frozen=True, config=_FORBID)
class Action:
    """Something an NPC may do with its turn. Raises pydantic.ValidationError for a value out of range."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="A built-in action's name replaces it.")
    instruction: str = Field(min_length=1, description="What it means, as the prompt says it.")
    affinity: float = Field(default=0.0, ge=-1, le=1, description="What doing it changes, as the world model expects.")
    trust: float = Field(default=0.0, ge=-1, le=1)
    fear: float = Field(default=0.0, ge=-1, le=1)
    answers: tuple[str, ...] = Field(default=(), description="Player signals that it answers, the most natural first.")
    tone: float = Field(
        default=0.0,
        ge=-1,
        le=1,
        description="How friendly it is; NPCs that like the player lean to friendly actions.",
    )
    hostile: bool = Field(default=False, description="An act of hostility, such as an insult or an attack.")
    variant_of: str = Field(default="", description="The plain action: a rule that forbids it forbids this one too.")
    arguments: dict[str, Argument] = Field(
        default_factory=dict, description="What the game needs to do it, by name; `target` is shown as its own field."
    )


@dataclass(frozen=True)
class Situation:
    """What candidates are chosen for."""

    state: NpcState
    signal: str
    game: Mapping[str, Any] = field(default_factory=dict)
    temperament: Temperament = field(default_factory=Temperament)
    knowing: frozenset[str] = frozenset()
    """What the NPC's knowledge holds about what was said: `answer`, `told`, `secret`, `withheld`, `elsewhere`,
    `unknown`. Empty when nothing was asked."""
    occasion: str = ""
    """Why the NPC speaks first, such as `approach` or the kind of an event; empty when the player spoke."""
    only: tuple[str, ...] = ()
    """The only candidates, when a trigger of the settings names them."""


@checked_dataclass(frozen=True, config=_FORBID)
class SafetyRule:
    """When all conditions hold, the rule applies. Bounds are exclusive.

    `forbid` and `force` are absolute; `favour` only brings actions in and lifts their score.
    """

    name: str = Field(min_length=1, description="Shown with every decision that it changed.")
    forbid: tuple[str, ...] = Field(default=(), description="Actions that must not be chosen.")
    force: str = Field(default="", description="The only action that may be chosen.")
    favour: tuple[str, ...] = Field(default=(), description="Actions to bring in and score higher.")
    above: dict[StateNumber, float] = Field(
        default_factory=dict, description="It applies while affinity, trust, fear, … is above this,"
    )
    below: dict[StateNumber, float] = Field(default_factory=dict, description="below this,")
    when: dict[StateFlag, bool] = Field(
        default_factory=dict, description="while `in_combat` or `quest_active` is this,"
    )
    signals: tuple[str, ...] = Field(default=(), description="and the player's signal is one of these; empty: any.")

    def applies(self, situation: Situation) -> bool:
        """Return whether every condition holds."""
        state = situation.state
        # Plain loops and not `all(…)`: asked for every rule of every turn.
        for number, bound in self.above.items():
            if not getattr(state, number) > bound:
                return False
        for number, bound in self.below.items():
            if not getattr(state, number) < bound:
                return False
        for flag, value in self.when.items():
            if getattr(state, flag) != value:
                return False
        return not self.signals or situation.signal in self.signals


@checked_dataclass(frozen=True, config=_FORBID)
class Trigger:
    """An event of the game that makes an NPC speak up. The conditions are those of a safety rule."""

    event: str = Field(min_length=1, description="Kind of the event; `approach` when the player comes near.")
    npcs: tuple[str, ...] = Field(default=(), description="Ids of the NPCs that it concerns; empty: all.")
    actions: tuple[str, ...] = Field(default=(), description="The only candidates; empty: what answers `signal`.")
    signal: str = Field(default="", description="The player's signal that the NPC answers it like.")
    text: str = Field(default="", description="What happened, in words, for the prompt.")
    cooldown: float = Field(default=60.0, ge=0, description="Seconds until it makes this NPC speak up again.")
    above: dict[StateNumber, float] = Field(default_factory=dict, description="It applies while this is above,")
    below: dict[StateNumber, float] = Field(default_factory=dict, description="below,")
    when: dict[StateFlag, bool] = Field(default_factory=dict, description="while this is so,")
    state: dict[str, str | float | bool] = Field(
        default_factory=dict, description="and the event's `data` has these values."
    )

    def applies(self, situation: Situation) -> bool:
        """Return whether every condition holds; `situation.game` is the event's data."""
        rule = SafetyRule("trigger", above=self.above, below=self.below, when=self.when)
        return rule.applies(situation) and all(situation.game.get(key) == value for key, value in self.state.items())

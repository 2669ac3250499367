"""Targets and arguments of actions: filled by rules from what the player said and what the game shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rfsn_core.contract.actions import Action, Argument
from rfsn_core.contract.understanding import Understanding

Value = str | int | float | bool | list[str]
MOST_NEARBY = 100
"""Of what the game names as nearby, how much is compared with the player's words."""


@dataclass(frozen=True)
class Sources:
    """Where arguments come from in one turn."""

    npc: str
    """The NPC's display name."""
    player: str
    text: str
    """What the player said, as far as the gate let it through."""
    understanding: Understanding
    game: Mapping[str, Any]
    """The game's state."""

    def values(self, source: str) -> Iterator[Any]:
        """Yield what a source offers, the best first."""
        kind, _, path = source.partition(".")
        if source == "self":
            yield self.npc
        elif source == "player":
            yield self.player
        elif source in ("npc", "place", "thing", "entity"):
            for entity in self.understanding.entities:
                if source in ("entity", entity.kind) and entity.name != self.npc:
                    yield entity.name
        elif source == "nearby":
            yield from self._nearby()
        elif kind == "state" and path:
            yield _at(self.game, path)

    def _nearby(self) -> Iterator[str]:
        """Yield the names of the game's `nearby` list that the player said."""
        listed = self.game.get("nearby")
        said = self.text.casefold()
        for item in listed[:MOST_NEARBY] if isinstance(listed, list) else ():
            name = item.get("name") if isinstance(item, Mapping) else item
            if isinstance(name, str) and name.strip() and name != self.npc:
                if re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", said):
                    yield name


def _at(game: Mapping[str, Any], path: str) -> Any:
    value: Any = game
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def fill(action: Action, sources: Sources) -> dict[str, Value] | str:
    """Return an action's arguments, or the name of the first that is required and cannot be filled."""
    filled: dict[str, Value] = {}
    for name, argument in action.arguments.items():
        value = _value(argument, sources)
        if value is not None:
            filled[name] = value
        elif argument.required:
            return name
    return filled


def _value(argument: Argument, sources: Sources) -> Value | None:
    for source in argument.sources:
        for offered in sources.values(source):
            if (value := _converted(offered, argument.type)) is not None:
                return value
    return _converted(argument.default, argument.type)


def _converted(value: Any, kind: str) -> Value | None:
    """Return a value as the type that an argument has; None when it is none."""
    if value is None or value == "":
        return None
    if kind == "texts":
        return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]
    if kind == "text":
        return str(value) if isinstance(value, str | int | float) else None
    if kind == "flag":
        return value if isinstance(value, bool) else None
    try:
        number = float(value)
        return int(number) if kind == "integer" else number
    except (TypeError, ValueError, OverflowError):
        return None


def with_arguments(action: Action, filled: Mapping[str, Value]) -> Action:
    """Return the action whose instruction names its arguments: `{target}` becomes the target."""
    instruction = action.instruction
    for name, value in filled.items():
        shown = ", ".join(value) if isinstance(value, list) else str(value)
        instruction = instruction.replace("{" + name + "}", shown.replace("<", "‹").replace(">", "›"))
    return action if instruction == action.instruction else replace(action, instruction=instruction)

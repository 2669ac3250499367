"""What the game says: requests read without trust in any key being there or having the right type."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PREFIX = "mantella_"
_FORM_NAME = re.compile(r"<(\S+)[ >]")
WEATHER = {0: "pleasant", 1: "cloudy", 2: "rainy", 3: "snowy"}
GENDERS = {0: "male", 1: "female"}
TEXT = 2000
"""Characters of a text that are read."""


def plain(value: Any) -> Any:
    """Return JSON with keys in lower case and without the prefix."""
    if isinstance(value, Mapping):
        return {str(key).lower().removeprefix(PREFIX): plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def text_of(value: Any) -> str:
    """Return a text; empty for anything else."""
    return value.strip()[:TEXT] if isinstance(value, str) else ""


def _integer(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def form_id(value: int) -> int:
    """Return the part of a form id that is the same in every load order."""
    unsigned = value & 0xFFFFFFFF
    return unsigned & (0xFFF if unsigned >> 24 == 0xFE else 0xFFFFFF)


def form_name(text: str, ending: str = "") -> str:
    """Return the name in `[Race <NordRace (00013746)>]`; a plain name as it is."""
    match = _FORM_NAME.search(text)
    name = match[1] if match else text
    return name.removesuffix(ending) if name != ending else name


@dataclass(frozen=True)
class Actor:
    """Somebody in the talk."""

    name: str
    """As the game knows it in this talk: the second "Guard" is "Guard 2"."""
    own_name: str
    key: str
    """The same for this character in every session."""
    base: int
    is_player: bool
    race: str
    gender: str
    voice: str
    in_combat: bool
    is_enemy: bool
    description: str


def actors_of(body: Mapping[str, Any]) -> list[Actor]:
    """Return the actors of a request; those without a name are left out."""
    listed = body.get("actors")
    actors: list[Actor] = []
    counts: dict[str, int] = {}
    for item in listed if isinstance(listed, list) else ():
        if not isinstance(item, Mapping) or not (name := text_of(item.get("actor_name"))):
            continue
        is_player = item.get("actor_is_player") is True
        counts[name] = counts.get(name, 0) + (not is_player)
        shown = f"{name} {counts[name]}" if counts[name] > 1 and not is_player else name
        custom = item.get("actor_custom_values")
        custom = custom if isinstance(custom, Mapping) else {}
        base, reference = form_id(_integer(item.get("actor_baseid"))), _integer(item.get("actor_refid"))
        # Starfield numbers the actors of a talk instead of naming them.
        stable = form_id(reference) if reference not in (0, 1) else base
        actors.append(
            Actor(
                name=shown,
                own_name=name,
                key=f"{name} {stable:06x}" if stable else name,
                base=base,
                is_player=is_player,
                race=form_name(text_of(item.get("actor_race")), "Race"),
                gender=GENDERS.get(_integer(item.get("actor_gender")), ""),
                voice=form_name(text_of(item.get("actor_voicetype"))),
                in_combat=item.get("actor_is_in_combat") is True,
                is_enemy=item.get("actor_is_enemy") is True,
                description=text_of(custom.get("pc_description")),
            )
        )
    return actors


@dataclass(frozen=True)
class Scene:
    """What the game says of the moment."""

    state: Mapping[str, Any] = field(default_factory=dict)
    """As the game's state of a turn."""
    events: Sequence[str] = ()


def scene_of(body: Mapping[str, Any]) -> Scene:
    """Return the context of a request."""
    context = body.get("context")
    if not isinstance(context, Mapping):
        return Scene()
    state: dict[str, Any] = {}
    if place := text_of(context.get("location")):
        state["location"] = place
    hour = context.get("time")
    if isinstance(hour, int) and not isinstance(hour, bool) and 0 <= hour < 24:
        state["hour"] = hour
        state["time_of_day"] = "night" if hour < 5 or hour >= 21 else "morning" if hour < 12 else "day"
    days = context.get("gamedays")
    if isinstance(days, int | float) and not isinstance(days, bool) and days > 0:
        state["game_time"] = round(days * 24, 3)
    weather = context.get("weather")
    if isinstance(weather, Mapping) and (kind := WEATHER.get(_integer(weather.get("weather_classification", -1)))):
        state["weather"] = kind
    nearby = context.get("nearby_actors")
    if isinstance(nearby, list):
        named = [item for item in nearby if isinstance(item, Mapping) and text_of(item.get("name"))]
        state["nearby"] = [{"name": text_of(item["name"]), "distance": item.get("distance")} for item in named[:30]]
    events = context.get("ingame_events")
    return Scene(state, [text for item in events if (text := text_of(item))] if isinstance(events, list) else [])

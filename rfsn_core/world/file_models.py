"""What the files of a world may say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from rfsn_core.world.facts import Fact


class _Voice(BaseModel, extra="forbid"):
    voice: str = ""
    rate: float = Field(1.0, ge=0.25, le=4)
    pitch: float = Field(1.0, ge=0.25, le=4)
    volume: float = Field(1.0, ge=0, le=2)


class _State(BaseModel, extra="forbid"):
    affinity: float = Field(0.0, ge=-1, le=1)
    trust: float = Field(0.5, ge=0, le=1)
    fear: float = Field(0.0, ge=0, le=1)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Texts = Annotated[list[str], BeforeValidator(_listed)]
"""A list of texts; a single text is a list of one."""
Lines = dict[str, Texts | dict[str, Texts]]
"""Action → scripted lines, or action → style or signal → lines."""
Leaning = Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)]


class _Temperament(BaseModel, extra="forbid"):
    warmth: float = Field(0.0, ge=-1, le=1, description="Likes people, and shows it.")
    bravery: float = Field(0.0, ge=-1, le=1, description="Is hard to frighten.")
    pride: float = Field(0.0, ge=-1, le=1, description="Takes slights to heart, and does not give in.")
    honesty: float = Field(0.0, ge=-1, le=1, description="Says what it knows; below 0 it dodges and hints.")
    curiosity: float = Field(0.0, ge=-1, le=1, description="Asks back.")
    fluidity: float = Field(0.0, ge=-1, le=1, description="How fast feelings move.")


class NpcFile(BaseModel, extra="forbid"):
    """What an NPC's file may say."""

    name: str = Field(min_length=1, max_length=100, pattern=r"\S", description="Display name.")
    title: str = Field("", max_length=300, description="Who this is, in a few words.")
    persona: str = Field("", description="Character, manner, history: free text for the renderer.")
    knows: Annotated[list[Fact], BeforeValidator(_listed)] = Field(
        [], description="Facts that this NPC knows: texts, or tables with keys and conditions."
    )
    tags: Texts = Field([], description="Free labels, for lines that fit several NPCs.")
    language: str = Field(
        "",
        pattern=r"^([A-Za-z]{2,3}(-\w+)*)?$",
        description="What it speaks: de, ja, …; else `world.language`.",
    )
    openings: Texts = Field([], description="Things to say first, which the page offers to the player.")
    order: int = Field(100, description="Place in lists of NPCs: lower comes earlier.")
    archetype: str = Field("", description="What it is, for engines with adapters: vampire, zombie, …; see models.md.")
    voice: _Voice = Field(default_factory=_Voice, description="How the NPC sounds.")
    voices: dict[str, str] = Field({}, description="Speech provider → its voice name, where it differs.")
    state: _State = Field(default_factory=_State, description="How it meets a stranger.")
    temperament: _Temperament = Field(
        default_factory=_Temperament, description="What it is like, as sliders from -1 to 1."
    )
    actions: dict[str, Leaning] = Field({}, description="Action → leaning, added to its score.")
    styles: dict[str, Leaning] = Field({}, description="Style → leaning.")
    lines: Lines = Field({}, description="Action → scripted lines, or style → lines.")
    fallback: str = Field("", description="Said in place of a line that the gate stopped.")


class KindFile(NpcFile):
    """What a file in `kinds/` may say: an NPC's file, with `{name}`, `{race}` and so on for what the game says."""

    name: str = Field("{name}", description="Display name; the game's own.")
    match: dict[Literal["race", "gender", "faction", "place", "voice", "tags"], Texts] = Field(
        {}, description='What the game must say for it: `race = ["Nord"]`.'
    )


class LoreFile(BaseModel, extra="forbid"):
    """What a TOML file in `lore/` may say."""

    facts: list[Fact] = []


class SignalsFile(BaseModel, extra="forbid"):
    """What `signals.toml` may say."""

    examples: dict[str, Texts] = {}


class LinesFile(BaseModel, extra="forbid"):
    """What a file in `lines/` may say."""

    lines: Lines = {}

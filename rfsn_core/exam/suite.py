"""Suites: conversations with checks, as TOML files. Some are built in; anyone can write more."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from rfsn_core.contract.errors import UserError
from rfsn_core.contract.understanding import SIGNALS
from rfsn_core.kit.explain import read_model

HERE = Path(__file__).parent
FEELINGS = ("affinity", "trust", "fear")
_CHANGE = re.compile(r"up|down|same|not up|not down|[<>] ?-?\d+(\.\d+)?")


class ScriptTurn(BaseModel, extra="forbid"):
    """A turn of a conversation, and what must be so after it.

    Texts may hold `{name}` and `{title}` of the NPC, and `{key}`, `{fact}` or `{person}` of what `each` names.
    """

    say: str = Field("", description="What the player says.")
    player: str = Field("", description="Another player than the conversation's own.")
    state: dict[str, Any] = Field({}, description="The game's state.")
    event: str = Field("", description="A game event in place of words, such as `gift`.")
    barge_in: bool = Field(False, description="The player interrupts after the first sentence.")
    label: str = Field("", description="Name of the turn, for `as`.")
    heard: list[str] = Field([], description="The signal is one of these.")
    does: list[str] = Field([], description="The action is one of these, or a variant.")
    does_not: list[str] = Field([], description="The action is none of these, nor a variant.")
    tells: str = Field("", description="The words state this fact; an id, or {fact}.")
    keeps: str = Field("", description="The words do not state this fact.")
    says: list[str] = Field([], description="The words contain one of these, in capitals or not.")
    says_not: list[str] = Field([], description="The words contain none of these.")
    feels: dict[str, str] = Field({}, description="affinity, trust, fear → up, down, same, not up, not down, > 0.5.")
    same_as: str = Field("", alias="as", description="The answer agrees with that of the turn with this label.")
    knows: bool | None = Field(None, description="False: the NPC cannot know it, and invents no answer.")

    @field_validator("heard")
    @classmethod
    def _are_signals(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in SIGNALS:
                raise ValueError(f"no signal '{name}'; there are {', '.join(SIGNALS)}")
        return names

    @field_validator("feels")
    @classmethod
    def _are_changes(cls, feels: dict[str, str]) -> dict[str, str]:
        for name, change in feels.items():
            if name not in FEELINGS or not _CHANGE.fullmatch(change):
                raise ValueError(f"'{name} = {change}': give affinity, trust or fear, and up, down, same or > 0.5")
        return feels


class Script(BaseModel, extra="forbid"):
    """A conversation: who talks, and the turns."""

    name: str = Field(min_length=1, description="Name of the conversation, part of each case's id.")
    npcs: list[str] = Field([], description="Ids, tags or archetypes of the NPCs that take part; empty: all.")
    one: bool = Field(False, description="Held with the first of them only: it is about the setup, not the NPC.")
    each: Literal["", "fact", "secret", "person"] = Field(
        "", description="Held once for each fact that a stranger may hear, each secret, or each other NPC."
    )
    turns: list[ScriptTurn] = Field(min_length=1, description="The turns, in order.")

    @model_validator(mode="after")
    def _labels_exist(self) -> Script:
        labels: set[str] = set()
        for turn in self.turns:
            if turn.same_as and turn.same_as not in labels:
                raise ValueError(
                    f"'as = {turn.same_as}' names no earlier turn; there are {', '.join(labels) or 'none'}"
                )
            labels.add(turn.label)
        return self


class Bar(BaseModel, extra="forbid"):
    """What a metric must reach."""

    min: float | None = Field(None, description="At least this.")
    max: float | None = Field(None, description="At most this.")

    def holds(self, value: float) -> bool:
        """Return whether a value is within the bar."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)

    def __str__(self) -> str:
        parts = [f"≥ {self.min:g}"] if self.min is not None else []
        return " ".join([*parts, *([f"≤ {self.max:g}"] if self.max is not None else [])])


class Horde(BaseModel, extra="forbid"):
    """Many copies of one NPC that must act alike."""

    copies: int = Field(150, ge=2, le=10_000, description="How many.")
    spread: float = Field(0.1, ge=0, le=1, description="How far temperament and feelings of the copies differ.")
    alike: list[list[str]] = Field([], description="Groups of actions that are compatible with each other.")
    never: list[str] = Field([], description="Actions that are out of the archetype.")


class Suite(BaseModel, extra="forbid"):
    """A suite."""

    name: str = Field("", pattern=r"^[a-z0-9_-]*$", description="By default the file's name.")
    description: str = Field("", description="What it examines, in one sentence.")
    world: str = Field("", description="A world of its own, below `exam/worlds` or next to the file; else the user's.")
    audit: bool = Field(False, description="Also compares the facts of each NPC with each other.")
    horde: Horde | None = Field(None, description="Copies of the world's NPC.")
    bars: dict[str, Bar] = Field({}, description="Metric → bar. A metric without one is shown and decides nothing.")
    conversations: list[Script] = Field([], description="The conversations.")
    path: Path = Path()


def built_in() -> list[str]:
    """Return the names of the built-in suites."""
    return sorted(path.stem for path in (HERE / "suites").glob("*.toml"))


def read_suite(name: str) -> Suite:
    """Read a suite by the name of a built-in one or the path of a file. Raises UserError with file, line and key."""
    path = HERE / "suites" / f"{name}.toml"
    if name not in built_in():
        path = Path(name)
        if not path.is_file():
            raise UserError(f"no suite '{name}'", hint=f"Give a file, or one of: {', '.join(built_in())}")
    suite = read_model(path, Suite)
    return suite.model_copy(update={"name": suite.name or path.stem, "path": path})


def read_suites(names: Iterable[str]) -> list[Suite]:
    """Read suites; without names, all that are built in. Raises UserError."""
    suites = [read_suite(name) for name in (list(names) or built_in())]
    names = [suite.name for suite in suites]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two suites are called '{name}'", hint="Give one of them another `name`")
    return suites

"""A world on disk: NPC files, lore, lines and prompts, read and checked as a whole.

::

    my_world/
      rfsn.toml         settings (optional)
      npcs/smith.toml   one file an NPC; the file's name is its id
      lore/*.md         facts that every NPC may use
      lines/*.toml      scripted lines for all NPCs, as [lines.<action>] tables (optional)
      prompts/*.j2      prompt templates that replace the built-in ones (optional)
      plugins/*.py      plugins without packaging (optional)
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import TemplateSyntaxError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rfsn_core.contract.errors import UnknownNpc, WorldError
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.speech import VoiceStyle
from rfsn_core.world.actions import Actions
from rfsn_core.world.templates import Environment


class _Voice(BaseModel, extra="forbid"):
    voice: str = ""
    rate: float = Field(1.0, ge=0.25, le=4)
    pitch: float = Field(1.0, ge=0.25, le=4)
    volume: float = Field(1.0, ge=0, le=2)


class _State(BaseModel, extra="forbid"):
    affinity: float = Field(0.0, ge=-1, le=1)
    trust: float = Field(0.5, ge=0, le=1)
    fear: float = Field(0.0, ge=0, le=1)


_TEMPLATES = Environment()
Lines = dict[str, list[str] | dict[str, list[str]]]


class NpcFile(BaseModel):
    """What an NPC's file may say."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, pattern=r"\S", description="Display name.")
    title: str = Field("", description="Who this is, in a few words.")
    persona: str = Field("", description="Character, manner, history: free text for the renderer.")
    knows: list[str] = Field([], description="Facts that this NPC knows.")
    tags: list[str] = Field([], description="Free labels, for lines that fit several NPCs.")
    archetype: str = Field("", description="What it is, for engines with adapters: vampire, zombie, …; see models.md.")
    voice: _Voice = Field(_Voice(), description="How the NPC sounds.")
    voices: dict[str, str] = Field({}, description="Speech provider → its voice name, where it differs.")
    state: _State = Field(_State(), description="How it meets a stranger.")
    actions: dict[str, float] = Field({}, description="Action → leaning, added to its score.")
    styles: dict[str, float] = Field({}, description="Style → leaning.")
    lines: Lines = Field({}, description="Action → scripted lines, or style → lines.")
    fallback: str = Field("", description="Said in place of a line that the gate stopped.")


@dataclass(frozen=True)
class Npc:
    """An NPC, ready to talk."""

    id: str
    file: NpcFile
    voice: VoiceStyle
    initial: NpcState

    @property
    def name(self) -> str:
        """The display name."""
        return self.file.name


@dataclass(frozen=True)
class World:
    """All of a world's files, at one moment."""

    path: Path
    npcs: dict[str, Npc]
    lore: tuple[str, ...] = ()
    lines: Lines = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)

    def npc(self, name: str) -> Npc:
        """The NPC of that id, or display name. Raises UnknownNpc, which lists who is there."""
        found = self.npcs.get(name)
        if found is None:
            wanted = name.casefold()
            found = next((npc for npc in self.npcs.values() if wanted in (npc.id, npc.name.casefold())), None)
        if found is None:
            shown = name if len(name) <= 60 else name[:60] + "…"
            raise UnknownNpc(f"no NPC '{shown}' in this world", hint=f"There are: {', '.join(sorted(self.npcs))}")
        return found


def read_world(path: Path, actions: Actions | None = None) -> World:
    """Read and check a world. Raises WorldError with every problem found, one a line."""
    problems: list[str] = []
    npcs: dict[str, Npc] = {}
    folder = path / "npcs"
    if not folder.is_dir():
        raise WorldError(f"{path} is not a world: it has no folder 'npcs'", hint="`rfsn init FOLDER` makes one")
    for file in sorted(folder.glob("*.toml")):
        try:
            npcs[file.stem] = _read_npc(file, actions)
        except WorldError as error:
            problems.append(error.message)
    lines: Lines = {}
    for file in sorted((path / "lines").glob("*.toml")):
        try:
            data = _toml(file).get("lines", {})
            lines.update(NpcFile.model_validate({"name": "x", "lines": data}).lines)
            _check_lines(file, data, actions)
        except ValidationError as error:
            problems.append(_first(file, error))
        except WorldError as error:
            problems.append(error.message)
    prompts = {}
    for file in sorted((path / "prompts").glob("*.j2")):
        prompts[file.stem] = _text(file)
        _check_template(f"{file}", prompts[file.stem], problems)
    lore = tuple(_text(file).strip() for file in sorted((path / "lore").glob("*.md")))
    if not npcs and not problems:
        problems.append(f"{folder}: no NPC files (*.toml)")
    if problems:
        raise WorldError("\n".join(problems))
    return World(path, npcs, lore, lines, prompts)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise WorldError(f"{file}: {error}") from error


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(file))
    except tomllib.TOMLDecodeError as error:
        raise WorldError(f"{file}: not valid TOML: {error}") from error


def _first(file: Path, error: ValidationError) -> str:
    return "\n".join(
        f"{file}: {'.'.join(str(part) for part in problem['loc']) or 'file'}: {problem['msg']}"
        for problem in error.errors()
    )


def _read_npc(file: Path, actions: Actions | None) -> Npc:
    try:
        data = NpcFile.model_validate(_toml(file))
    except ValidationError as error:
        raise WorldError(_first(file, error)) from error
    _check_lines(file, data.lines, actions)
    unknown = [name for name in data.actions if actions is not None and name not in actions]
    if unknown:
        raise WorldError(f"{file}: actions.{unknown[0]}: no such action")
    return Npc(
        file.stem,
        data,
        VoiceStyle(**data.voice.model_dump()),
        NpcState(affinity=data.state.affinity, trust=data.state.trust, fear=data.state.fear),
    )


def _check_lines(file: Path, lines: Lines, actions: Actions | None) -> None:
    problems: list[str] = []
    for action, entry in lines.items():
        if actions is not None and action not in actions:
            problems.append(f"{file}: lines.{action}: no such action")
        for style, texts in entry.items() if isinstance(entry, dict) else [("", entry)]:
            for text in texts:
                _check_template(f"{file}: lines.{action}{'.' * bool(style)}{style}", text, problems)
    if problems:
        raise WorldError("\n".join(problems))


def _check_template(where: str, text: str, problems: list[str]) -> None:
    try:
        _TEMPLATES.from_string(text)
    except TemplateSyntaxError as error:
        problems.append(f"{where}: line {error.lineno}: broken template: {error.message}")

"""What an imported file becomes in a world: NPC files, lore, and the originals, from which they are exported again."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rfsn_core.contract.errors import NotFound, UserError
from rfsn_core.kit.documents import DocumentError, read_text
from rfsn_core.kit.explain import read_model
from rfsn_core.kit.toml_writer import toml_text
from rfsn_core.world.card_files import picture_of, png_card, read_json
from rfsn_core.world.cards import card_of, is_card, npc_values
from rfsn_core.world.file_models import NpcFile
from rfsn_core.world.lorebooks import entries_of, facts_of
from rfsn_core.world.placeholders import Names
from rfsn_core.world.report import Report

ORIGINALS = "cards"
"""Folder of a world with what was imported, unchanged. The server does not read it."""
HEADER = "# {name}, imported from {file}. The original is in cards/, for `rfsn export`; this file is yours to edit.\n"


@dataclass
class Import:
    """What one file becomes."""

    what: str
    """`card`, `lorebook` or `overrides`."""
    report: Report
    files: dict[Path, str | bytes] = field(default_factory=dict)
    """Path, relative to the world → content."""


def file_id(name: str) -> str:
    """Return a name as an id: `Old Tilda` is `old_tilda`."""
    folded = unicodedata.normalize("NFKD", name.casefold())
    return re.sub(r"[^\w]+", "_", folded.encode("ascii", "ignore").decode() or folded).strip("_")[:60] or "npc"


def read(path: Path, new_id: str = "") -> Import:
    """Return what a file becomes. Raises UserError for one that is none of those.

    :param new_id: of the NPC or the lore; else made from the name.
    """
    if path.suffix.lower() == ".csv":
        return _overrides(_csv(path), path)
    values = read_json(path)
    if is_card(values):
        return _card(values, path, new_id)
    if entries_of(values) is not None:
        return _lorebook(values, path, new_id)
    records = values if isinstance(values, list) else [values]
    if records and all(isinstance(item, Mapping) and "name" in item and "bio" in item for item in records):
        return _overrides(records, path)
    raise UserError(f"{path}: no character card, lorebook, World Info or override file of Mantella")


def _card(card: Mapping[str, Any], path: Path, new_id: str) -> Import:
    report = Report()
    try:
        values = npc_values(card, report)
    except UserError as error:
        raise UserError(f"{path}: {error.message}", hint=error.hint) from error
    except ValidationError as error:
        raise UserError(f"{path}: {_first_problem(error)}") from error
    npc_id = new_id or file_id(values["name"])
    files: dict[Path, str | bytes] = {
        Path("npcs", f"{npc_id}.toml"): HEADER.format(name=_comment(values["name"]), file=_comment(path.name))
        + toml_text(values),
        Path(ORIGINALS, f"{npc_id}.json"): json.dumps(card, ensure_ascii=False, indent=1) + "\n",
    }
    if picture := picture_of(path):
        files[Path(ORIGINALS, f"{npc_id}.png")] = picture
    return Import("card", report, files)


def _lorebook(book: Mapping[str, Any], path: Path, new_id: str) -> Import:
    report = Report()
    inner = book.get("data") if book.get("spec") == "lorebook_v3" else book
    inner = inner if isinstance(inner, Mapping) else {}
    facts = facts_of(inner, Names("the speaker"), report)
    name = str(inner.get("name") or path.stem)
    lore_id = new_id or file_id(name)
    files: dict[Path, str | bytes] = {Path(ORIGINALS, f"{lore_id}.lore.json"): json.dumps(book, ensure_ascii=False)}
    if facts:
        text = HEADER.format(name=_comment(name), file=_comment(path.name)) + toml_text({"facts": facts})
        files[Path("lore", f"{lore_id}.toml")] = text
    return Import("lorebook", report, files)


def _overrides(records: list[Mapping[str, Any]], path: Path) -> Import:
    """Return NPC files for the characters of an override file of Mantella."""
    result = Import("overrides", Report())
    for record in records:
        values = {str(key).strip().casefold(): str(value or "").strip() for key, value in record.items() if key}
        name = " ".join(values.get("name", "").split())
        if not name or not values.get("bio"):
            result.report.ignore(f"'{name or 'a row'}': name or bio is missing")
            continue
        npc_id = file_id(name)
        if Path("npcs", f"{npc_id}.toml") in result.files:
            npc_id = f"{npc_id}_{file_id(values.get('base_id', '') or str(len(result.files)))}"
        tags = [tag for tag in (values.get("race"), *values.get("tags", "").split(",")) if tag and tag.strip()]
        npc: dict[str, Any] = {"name": name, "persona": values["bio"]}
        if tags:
            npc["tags"] = [tag.strip() for tag in tags]
        try:
            NpcFile.model_validate(npc)
        except ValidationError as error:
            result.report.ignore(f"'{name[:40]}': {_first_problem(error)}")
            continue
        header = HEADER.format(name=_comment(name), file=_comment(path.name))
        result.files[Path("npcs", f"{npc_id}.toml")] = header + toml_text(npc)
        result.report.map("characters")
        for key in ("voice_model", "llm_model", "tts_service"):
            if values.get(key):
                result.report.ignore(f"{key} of '{name}': set `voice` in its file")
    if not result.files:
        raise UserError(f"{path}: no row has a valid name and a bio", hint="; ".join(result.report.ignored[:3]))
    return result


def _csv(path: Path) -> list[Mapping[str, Any]]:
    try:
        return list(csv.DictReader(read_text(path).splitlines(keepends=True)))
    except DocumentError as error:
        raise UserError(str(error)) from error
    except csv.Error as error:
        raise UserError(f"{path}: cannot be parsed: {error}") from error


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"


def _comment(text: str) -> str:
    return " ".join("".join(c for c in text if c.isprintable()).split())[:80]


def export_card(world: Path, npc_id: str, target: Path) -> None:
    """Write an NPC as a character card, a PNG or a JSON file by the target's name. Raises UserError or NotFound."""
    source = world / "npcs" / f"{npc_id}.toml"
    if not source.is_file():
        raise NotFound(f"{source} does not exist", hint=f"There are: {', '.join(_ids(world))}")
    values = read_model(source, NpcFile).model_dump(exclude_defaults=True, exclude_unset=True)
    original = world / ORIGINALS / f"{npc_id}.json"
    card = card_of(values, read_json(original) if original.is_file() else None)
    if target.suffix.lower() == ".json":
        content = (json.dumps(card, ensure_ascii=False, indent=1) + "\n").encode()
    elif target.suffix.lower() in (".png", ".apng"):
        picture = world / ORIGINALS / f"{npc_id}.png"
        content = png_card(picture.read_bytes() if picture.is_file() else b"", card)
    else:
        raise UserError(f"{target}: a card is a .png or a .json file")
    try:
        target.write_bytes(content)
    except OSError as error:
        raise UserError(f"{target}: cannot be written: {error.strerror or error}") from error


def _ids(world: Path) -> Iterator[str]:
    yield from (path.stem for path in sorted((world / "npcs").glob("*.toml")))

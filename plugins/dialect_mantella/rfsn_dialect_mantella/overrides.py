"""Mantella's character overrides: bios and voices that people wrote for it, as JSON or CSV files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfsn_core import DialectHost
from rfsn_dialect_mantella.requests import Actor, form_id

LARGEST = 50_000_000
"""Bytes of a file."""


@dataclass(frozen=True)
class Override:
    """What a file says of a character."""

    name: str
    base: int
    """The stable part of its form id; 0: any."""
    race: str
    bio: str
    voice: str
    tags: tuple[str, ...]

    def fits(self, actor: Actor) -> int:
        """Return how well it fits, 0 when it does not: by name, then form id, then race."""
        if self.name.casefold() != actor.own_name.casefold():
            return 0
        if self.base and actor.base and self.base != actor.base:
            return 0
        race = self.race.casefold()
        if race and actor.race and race not in (actor.race.casefold(), f"{actor.race.casefold()}race"):
            return 0
        return 1 + 2 * bool(self.base and self.base == actor.base) + bool(race)


def read(folder: Path, host: DialectHost) -> list[Override]:
    """Return the overrides of a folder's files; a file that cannot be read is logged and left out."""
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() not in (".json", ".csv"):
            continue
        try:
            if path.stat().st_size > LARGEST:
                raise ValueError(f"more than {LARGEST} bytes")
            found += [override for record in _records(path) if (override := _override(record))]
        except (OSError, ValueError, RecursionError, csv.Error) as error:
            host.log.warning("override file %s was left out: %s", path, error)
    return found


def best(overrides: list[Override], actor: Actor) -> Override | None:
    """Return the override that fits an actor best."""
    fitting = max(overrides, key=lambda override: override.fits(actor), default=None)
    return fitting if fitting is not None and fitting.fits(actor) else None


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    text = path.read_text("utf-8-sig")
    if path.suffix.lower() == ".csv":
        yield from csv.DictReader(text.splitlines(keepends=True))
        return
    values = json.loads(text)
    yield from (item for item in (values if isinstance(values, list) else [values]) if isinstance(item, Mapping))


def _override(record: Mapping[str, Any]) -> Override | None:
    values = {str(key).strip().casefold(): str(value or "").strip() for key, value in record.items() if key}
    if not values.get("name"):
        return None
    try:
        base = form_id(int(values.get("base_id") or "0", 16))
    except ValueError:
        base = 0
    tags = tuple(tag.strip() for tag in values.get("tags", "").split(",") if tag.strip())
    return Override(
        values["name"], base, values.get("race", ""), values.get("bio", ""), values.get("voice_model", ""), tags
    )

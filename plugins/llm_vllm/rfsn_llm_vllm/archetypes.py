"""Archetypes: the kinds of NPCs, and the adapter for each of their tasks.

Five are built in; a world adds its own in `archetypes.toml`::

    [harpy]
    about = "Shrieks, steals, never forgets a slight."

    [harpy.adapters]                       # optional: where each adapter is, if not in FOLDER/harpy/TASK
    dialogue_style = "loras/harpy-voice"

Where a Redis is configured, archetypes of all machines are in it, and a copy of them on disk for when it is away.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel, Field, ValidationError

from rfsn_core import WorldError
from rfsn_core.kit import (
    ADAPTER_TASKS,
    DocumentError,
    adapter_task,
    explain_errors,
    nearest,
    read_document,
    replace_file,
)

BUILT_IN = {
    "vampire": "Old, patient, courteous, and hungry.",
    "werewolf": "Torn between two natures; loyal to its own.",
    "zombie": "Slow, single-minded, few words if any.",
    "ghoul": "Cunning scavenger, servile and sly.",
    "lich": "Cold scholar of forbidden things; time means nothing to it.",
}


class Archetype(BaseModel, extra="forbid"):
    """One kind of NPC."""

    about: str = Field("", description="In a sentence.")
    adapters: dict[str, str] = Field({}, description="Task → path, as vLLM sees it.")


class Registry:
    """All archetypes of a world.

    :param world: the world's folder.
    :param folder: where adapters are, as vLLM sees it; relative to the world when it is on this machine.
    """

    def __init__(self, world: Path, folder: str, own: str = "archetypes.toml") -> None:
        self._world, self._folder = world, folder
        self.archetypes = {name: Archetype(about=about) for name, about in BUILT_IN.items()}
        path = world / own
        if path.is_file():
            self.archetypes |= read(path)

    def add(self, others: Mapping[str, Archetype]) -> None:
        """Add archetypes of other machines; the world's own stay as they are."""
        self.archetypes = {**others, **self.archetypes}

    def path(self, archetype: str, task: str) -> str:
        """Return an adapter's path as vLLM sees it; empty when there is none."""
        found = self.archetypes.get(archetype)
        if found is None:
            return ""
        if named := found.adapters.get(task, ""):
            return str(self._here(named))
        local = self._here(f"{self._folder}/{archetype}/{task}")
        return str(local) if local.is_dir() else ""

    def _here(self, path: str) -> Path:
        """Return the path on this machine. A relative one is the world's, if that exists, else the server's own."""
        return self._world / path if (self._world / path).exists() else Path(path)

    def choose(self, archetype: str, action: str) -> tuple[str, str]:
        """Return (name, path) of the adapter for an action; empty texts for the base model."""
        for task in dict.fromkeys((adapter_task(action), "dialogue_style", "personality")):
            if path := self.path(archetype, task):
                return f"{archetype}-{task}", path
        return "", ""

    def size(self, archetype: str) -> int:
        """Return the bytes of an archetype's adapters on this machine."""
        return sum(size(path) for task in ADAPTER_TASKS if (path := self.path(archetype, task)))


def size(path: str) -> int:
    """Return the bytes of an adapter; 0 when it is on another machine."""
    folder = Path(path)
    return sum(file.stat().st_size for file in folder.glob("*") if file.is_file()) if folder.is_dir() else 0


def read(path: Path) -> dict[str, Archetype]:
    """Return a world's own archetypes. Raises WorldError with file, line and key."""
    try:
        document = read_document(path)
    except DocumentError as error:
        raise WorldError(str(error)) from error
    archetypes: dict[str, Archetype] = {}
    problems: list[str] = []
    for name, table in document.values.items():
        try:
            archetypes[name] = Archetype.model_validate(table)
        except ValidationError as error:
            problems += explain_errors(error, document, Archetype, [name])
            continue
        for task in archetypes[name].adapters:
            if task not in ADAPTER_TASKS:
                where = document.where([name, "adapters", task])
                problems.append(f"{where}: no such task{nearest(task, ADAPTER_TASKS)}")
    if problems:
        raise WorldError("\n".join(problems))
    return archetypes


class Shared:
    """The archetypes of all machines: in Redis, with a copy on disk.

    :param url: of the Redis; empty for none.
    """

    KEY = "rfsn:archetypes"

    def __init__(self, url: str, copy: Path, log: logging.Logger) -> None:
        self._url, self._copy, self._log = url, copy, log

    async def exchange(self, registry: Registry) -> None:
        """Publish this world's archetypes and read those of other machines.

        When Redis is unavailable, they are read from the copy on disk.
        """
        if not self._url:
            return
        mine = {name: archetype.model_dump_json() for name, archetype in registry.archetypes.items()}
        found: dict[str, str] = {}
        try:
            redis: Any = importlib.import_module("redis.asyncio")  # only where it is configured

            client = redis.Redis.from_url(self._url, socket_timeout=3, socket_connect_timeout=3, decode_responses=True)
            async with client:
                await client.hset(self.KEY, mapping=mine)
                found = await client.hgetall(self.KEY)
            with replace_file(self._copy) as file:
                file.write(msgspec.json.encode(found))
        except ImportError:
            self._log.error("archetypes are not shared: pip install rfsn-llm-vllm[redis]")
        except Exception as error:  # noqa: BLE001  Redis is away, or full, or something else: words do not depend on it
            self._log.warning("Redis is away, archetypes come from the copy on disk: %r", error)
        if not found and self._copy.is_file():
            found = self._read_copy()
        others = {}
        for name, text in found.items():
            try:
                others[name] = Archetype.model_validate_json(text)
            except ValidationError:
                self._log.warning("the archetype '%s' of another machine cannot be read", name)
        registry.add(others)

    def _read_copy(self) -> dict[str, Any]:
        try:
            return msgspec.json.decode(self._copy.read_bytes(), type=dict[str, str])
        except (OSError, msgspec.MsgspecError) as error:
            self._log.warning("%s cannot be read: %s", self._copy, error)
            return {}

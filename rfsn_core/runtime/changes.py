"""What a reload did with each changed file: applied, needs a restart, or ignored and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfsn_core.settings.schema import Settings
from rfsn_core.settings.source import NAMES, misnamed
from rfsn_core.turn.runtime import Runtime
from rfsn_core.world.files import World, ignored

RESTART = frozenset(
    {("data_dir",), ("server", "host"), ("server", "port"), ("server", "max_message"), ("operations", "reload")}
)
"""Settings that are read once, at the start."""
FOLDERS = {"npcs": ".toml", "kinds": ".toml", "lore": ".md", "lines": ".toml", "prompts": ".j2", "plugins": ".py"}
"""The world's folders, and what the files in them that are read end with."""


@dataclass(frozen=True)
class Effects:
    """What became of the changes, one line each."""

    applied: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    """What is not in force before a restart."""
    ignored: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """All of them, each with what it is; one that says so when nothing changed."""
        lines = [
            *(f"applied: {line}" for line in self.applied),
            *(f"needs a restart: {line}" for line in self.restart),
            *(f"ignored: {line}" for line in self.ignored),
        ]
        return lines or ["nothing changed"]


def effects(world_dir: Path, files: Sequence[str], old: Runtime, new: Runtime, warnings: Sequence[str]) -> Effects:
    """Return what a swap from one runtime to the next did.

    :param files: the changed files, relative to the world's folder where they are in it.
    :param warnings: what is probably a mistake; told again when it concerns one of the files.
    """
    changed = list(_changed_settings(_plain(old.settings), _plain(new.settings)))
    restart = [".".join(key) for key in changed if key in RESTART or key[0] == "dialects"]
    applied = [name for key in changed if (name := ".".join(key)) not in restart]
    applied += _changed_world(old.world, new.world)
    passed_over: list[str] = []
    for name in files:
        path = world_dir / name
        if reason := _restart_reason(path, world_dir):
            restart.append(f"{name}: {reason}")
        elif reason := _ignored_reason(path, world_dir):
            passed_over.append(f"{name}: {reason}")
        else:
            passed_over += [warning for warning in warnings if str(path) in warning]
    return Effects(tuple(applied), tuple(restart), tuple(dict.fromkeys(passed_over)))


def _plain(settings: Settings) -> dict[str, Any]:
    return settings.model_dump()


def _changed_settings(old: Any, new: Any, key: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the key of each setting that differs."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in dict.fromkeys((*old, *new)):
            yield from _changed_settings(old.get(name), new.get(name), (*key, str(name)))
    elif old != new:
        yield key


def _changed_world(old: World, new: World) -> Iterator[str]:
    """Yield a line for each NPC, and each kind of file, that differs."""
    for npc_id in dict.fromkeys((*old.npcs, *new.npcs)):
        before, after = old.npcs.get(npc_id), new.npcs.get(npc_id)
        if before is None and after is not None:
            yield f"NPC '{npc_id}' ({after.name}) is new"
        elif after is None and before is not None:
            yield f"NPC '{npc_id}' ({before.name}) is gone"
        elif before != after:
            yield f"NPC '{npc_id}'"
    for what in ("kinds", "lore", "lines", "prompts"):
        if getattr(old, what) != getattr(new, what):
            yield what


def _restart_reason(path: Path, world_dir: Path) -> str:
    """Return why a file is not in force before a restart, or an empty text."""
    if path.parent == world_dir / "plugins" and path.suffix == ".py":
        return "plugins are loaded at the start"
    known = path.name in NAMES or path.name.lower().startswith("rfsn.")
    if path.parent == world_dir and path.suffix in (".toml", ".json", ".yaml", ".yml") and not known:
        return "not one of the world's own files; a provider that reads it does so when it opens"
    return ""


def _ignored_reason(path: Path, world_dir: Path) -> str:
    """Return why a file in one of the world's folders is not read, or an empty text."""
    try:
        folder, *rest = path.relative_to(world_dir).parts
    except ValueError:
        return ""
    if folder not in FOLDERS or not rest:
        return misnamed(path)
    if len(rest) > 1:
        return f"folders inside '{folder}' are not read; move it to {folder}/"
    if path.suffix.lower() != FOLDERS[folder]:
        return (ignored(path, FOLDERS[folder]) if folder != "plugins" else "") or f"not a {FOLDERS[folder]} file"
    return ""

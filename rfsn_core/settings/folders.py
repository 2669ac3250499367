"""The example world's folder, and the folder for what the server writes."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rfsn_core.contract.errors import UserError
from rfsn_core.settings.schema import Settings

EXAMPLE = "lantern_ford"


@dataclass(frozen=True)
class DataFolder:
    """Where memory, decisions and backups are, and why not in the world's folder; empty if they are."""

    path: Path
    reason: str = ""


def example_world() -> Path:
    """Return the world that comes with RFSN: in the repository, or inside the installed package."""
    package = Path(__file__).parents[1]
    for folder in (package.parent / "examples" / EXAMPLE, package / "_example"):
        if (folder / "npcs").is_dir():
            return folder
    raise UserError("the example world is missing", hint="Give one: --world DIR")


def user_data_folder() -> Path:
    """Return the folder for what programs keep for this user, as each system has it."""
    if sys.platform == "win32":
        parent = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        parent = str(Path.home() / "Library" / "Application Support")
    else:
        parent = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(parent) / "rfsn"


def user_config_folder() -> Path:
    """Return the folder for what this user has decided, as each system has it."""
    if sys.platform == "win32":
        parent = os.environ.get("APPDATA") or str(Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        parent = str(Path.home() / "Library" / "Application Support")
    else:
        parent = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(parent) / "rfsn"


def is_writable(folder: Path) -> bool:
    """Return whether this user may create files in a folder."""
    return os.access(folder, os.W_OK | os.X_OK)


def data_folder(
    world: Path, settings: Settings, *, writable: Callable[[Path], bool] = is_writable, follow_links: bool = True
) -> DataFolder:
    """Return where the server writes.

    `data_dir`, if it is set. Without it: `.rfsn` in the world's folder; but in the user's data folder for the example
    world, which belongs to the program, and for a world that cannot be written to.

    :param follow_links: whether `.rfsn` may be a link that leads out of the world.
    """
    default = world / settings.data_dir
    if "data_dir" in settings.model_fields_set:
        return DataFolder(default.resolve())
    user = user_data_folder()
    if is_example(world):
        return DataFolder(user / EXAMPLE, "the example world belongs to the program")
    reason = "the world's folder is read-only"
    if not follow_links and not default.resolve().is_relative_to(world.resolve()):
        reason = f"'{settings.data_dir}' is a link that leads out of the world, which is not trusted"
    elif writable(default if default.is_dir() else world):
        return DataFolder(default.resolve())
    # Two worlds may have the same name: the path makes the folder unique.
    unique = hashlib.blake2b(str(world.resolve()).encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
    return DataFolder(user / f"{world.resolve().name}-{unique}", reason)


def is_example(world: Path) -> bool:
    """Return whether a folder is the world that comes with RFSN."""
    try:
        return world.resolve() == example_world().resolve()
    except UserError:
        return False

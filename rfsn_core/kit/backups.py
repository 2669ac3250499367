"""Copies of a store in a folder: a name for the next one, one by its name, and what is told of it."""

from __future__ import annotations

import time
from pathlib import Path

from rfsn_core.contract.errors import NotFound
from rfsn_core.contract.storage import Backup


def new(folder: Path, prefix: str, suffix: str) -> Path:
    """Where the next one goes; makes the folder. What is half written belongs in `.partial` beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = prefix + time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return next(path for n in range(10_000) if not (path := folder / f"{stamp}{f'-{n}' if n else ''}{suffix}").exists())


def find(folder: Path, name: str) -> Path:
    """Raises NotFound, also for a name that leads out of the folder."""
    path = folder / name
    if path.parent != folder or not path.is_file():
        raise NotFound(f"no backup '{name}'", hint=f"See {folder}")
    return path


def listed(folder: Path, pattern: str) -> list[Backup]:
    """The newest first."""
    return sorted(map(described, folder.glob(pattern)), key=lambda backup: (backup.time, backup.name), reverse=True)


def described(path: Path) -> Backup:
    """As an operator sees it."""
    stat = path.stat()
    return Backup(path.name, stat.st_mtime, stat.st_size)

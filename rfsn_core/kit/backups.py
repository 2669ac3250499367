"""Backups of a store, each a file in one folder. For stores that make their own."""

from __future__ import annotations

import time
from pathlib import Path

from rfsn_core.contract.errors import NotFound
from rfsn_core.contract.storage import Backup


def new_backup(folder: Path, prefix: str, suffix: str) -> Path:
    """Return a free path for the next backup, named by the time; make the folder.

    Write to a `.partial` file next to it first, so that half a backup never has the name of a whole one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stamp = prefix + time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return next(path for n in range(10_000) if not (path := folder / f"{stamp}{f'-{n}' if n else ''}{suffix}").exists())


def find_backup(folder: Path, name: str) -> Path:
    """Return the path of a backup. Raises NotFound, also for a name that leads out of the folder."""
    path = folder / name
    if path.parent != folder or not path.is_file():
        raise NotFound(f"no backup '{name}'", hint=f"See {folder}")
    return path


def list_backups(folder: Path, pattern: str) -> list[Backup]:
    """Return the backups whose file name fits the pattern, the newest first."""
    return sorted(
        map(describe_backup, folder.glob(pattern)), key=lambda backup: (backup.time, backup.name), reverse=True
    )


def describe_backup(path: Path) -> Backup:
    """Return the name, time and size of a backup."""
    stat = path.stat()
    return Backup(path.name, stat.st_mtime, stat.st_size)

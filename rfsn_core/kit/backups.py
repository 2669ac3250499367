"""Backups of a store, each a file in one folder. For stores that make their own.

Their names give the order in which they were made: a clock that is set back does not change it.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from rfsn_core.contract.errors import NotFound
from rfsn_core.contract.storage import Backup

_NAME = re.compile(r"(\d{8}-\d{6})(?:-(\d+))?$")


def new_backup(folder: Path, prefix: str, suffix: str) -> Path:
    """Return a free path for the next backup, named by the time; make the folder.

    Write to a `.partial` file next to it first, so that half a backup never has the name of a whole one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stamp, number = time.strftime("%Y%m%d-%H%M%S", time.gmtime()), 0
    newest = max((_order(path) for path in folder.glob(f"{prefix}*{suffix}")), default=("", 0))
    if newest[0] >= stamp:
        stamp, number = newest[0], newest[1] + 1
    return folder / f"{prefix}{stamp}{f'-{number}' if number else ''}{suffix}"


def prune_backups(folder: Path, pattern: str, keep: int) -> None:
    """Delete all but the `keep` newest backups whose file name fits the pattern; files with other names stay."""
    named = sorted((path for path in folder.glob(pattern) if _order(path)[0]), key=_order, reverse=True)
    for path in named[keep:]:
        path.unlink(missing_ok=True)


def _order(path: Path) -> tuple[str, int]:
    """Return when a backup was made, for comparisons; an empty time for a file that is none of ours."""
    found = _NAME.search(path.stem)
    return (found[1], int(found[2] or 0)) if found else ("", 0)


def find_backup(folder: Path, name: str) -> Path:
    """Return the path of a backup. Raises NotFound, also for a name that leads out of the folder."""
    path = folder / name
    if path.parent != folder or not path.is_file():
        raise NotFound(f"no backup '{name}'", hint=f"See {folder}")
    return path


def list_backups(folder: Path, pattern: str) -> list[Backup]:
    """Return the backups whose file name fits the pattern, the newest first."""
    return [describe_backup(path) for path in sorted(folder.glob(pattern), key=_order, reverse=True)]


def describe_backup(path: Path) -> Backup:
    """Return the name, time and size of a backup."""
    stat = path.stat()
    return Backup(path.name, stat.st_mtime, stat.st_size)

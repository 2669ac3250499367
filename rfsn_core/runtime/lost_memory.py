"""Warns when memory has disappeared: turns are logged, and the store's file is empty or missing."""

from __future__ import annotations

from pathlib import Path

from rfsn_core.learning.log_files import log_files
from rfsn_core.settings.schema import Settings
from rfsn_core.telemetry.logs import logger

log = logger("storage")


def warn_of_lost_memory(settings: Settings, data: Path, own: Path) -> None:
    """Log a warning that names the backups. Call it before the store opens, which makes a new file.

    :param data: the data folder; `own` is the part of it that this process alone writes.
    """
    if settings.storage.provider != "sqlite":
        return
    options = (settings.storage.model_extra or {}).get("sqlite", {})
    file = data / str(options.get("file", "memory.db") if isinstance(options, dict) else "memory.db")
    turn_log = own / "log"
    if _size(file) or not any(map(_size, log_files(turn_log))):
        return
    backups = sorted(path.name for path in (data / "backups").glob("*.db"))
    log.warning(
        "store.empty",
        file=str(file),
        log=str(turn_log),
        backups=backups[-5:],
        hint="What NPCs remembered is gone. `rfsn memory rebuild` makes it again from the log"
        + (", or `rfsn memory restore` from a backup" if backups else ""),
    )


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0

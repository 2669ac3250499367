"""Warns when memory has disappeared: decisions are logged, and the store's file is empty or missing."""

from __future__ import annotations

from pathlib import Path

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
    decisions = own / "learning" / "decisions.jsonl"
    if _size(file) or not _size(decisions):
        return
    backups = sorted(path.name for path in (data / "backups").glob("*.db"))
    log.warning(
        "store.empty",
        file=str(file),
        decisions=str(decisions),
        backups=backups[-5:],
        hint="Memory of the logged decisions is gone. Stop the server and copy a backup from"
        f" {data / 'backups'} to this file, or use `rfsn memory restore`"
        if backups
        else "Memory of the logged decisions is gone, and there is no backup",
    )


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0

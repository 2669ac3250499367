"""Warns when the settings name another store than before: memory is not moved from one to the other."""

from __future__ import annotations

from rfsn_core.runtime.builder import Runtimes
from rfsn_core.telemetry.logs import logger

log = logger("storage")


def note_store(runtimes: Runtimes) -> None:
    """Note in the data folder which store is in use; warn when it was another one."""
    current = runtimes.current.settings.storage.provider
    file = runtimes.own_dir / "store"
    try:
        before = file.read_text("utf-8", "replace").strip() if file.exists() else ""
        if before != current:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(current + "\n", "utf-8")
    except OSError as error:
        log.warning("store.not_noted", file=str(file), error=str(error))
        return
    if before not in ("", current):
        log.warning(
            "store.changed",
            store=current,
            before=before,
            hint=f"existing memories stay in {before} and are not read;"
            " `rfsn memory export` and `rfsn memory import` move them",
        )

"""Turns that wait on disk while the store is away: a JSON line each, synced before the turn is finished."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from rfsn_core.errors import StoreError
from rfsn_core.operations.metrics import METRICS
from rfsn_core.providers import TurnRecord


class Spool:
    """Append-only; emptied when everything in it was stored. Storing a turn twice is harmless by its id."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __bool__(self) -> bool:
        return self.path.exists()

    def append(self, turn: TurnRecord) -> None:
        """Write and sync. Raises StoreError when the disk refuses."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(msgspec.json.encode(turn) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"{self.path}: {error}") from error
        METRICS.spooled.inc()

    def turns(self) -> Iterator[TurnRecord]:
        """What waits, oldest first; a line cut short by a crash was never acknowledged and is skipped."""
        if not self.path.exists():
            return
        for line in self.path.read_bytes().splitlines():
            try:
                yield msgspec.json.decode(line, type=TurnRecord)
            except msgspec.MsgspecError:
                continue

    def clear(self) -> None:
        """Everything was stored."""
        self.path.unlink(missing_ok=True)
        METRICS.spooled.set(0)

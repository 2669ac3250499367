"""The turns that wait on disk for an unavailable store: a JSON line each, synced before the turn is finished.

While anything waits here, every new turn goes here too, so that the store gets the turns in the order in which they
happened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from rfsn_core.contract.errors import StoreError
from rfsn_core.contract.storage import TurnRecord
from rfsn_core.kit.jsonl import JsonLines
from rfsn_core.telemetry.metrics import METRICS


class Spool:
    """Append-only; emptied when everything in it was stored. Storing a turn twice is harmless by its id."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = JsonLines(path, sync=True)
        self._lock = asyncio.Lock()
        self._rewrites = 0
        """How often turns were removed: after that, offsets in the file are others."""

    def __bool__(self) -> bool:
        return self.path.exists()

    async def append(self, turn: TurnRecord) -> None:
        """Write and sync. Raises StoreError when the disk refuses."""
        async with self._lock:
            await asyncio.to_thread(self._append, msgspec.json.encode(turn) + b"\n")
        METRICS.spooled.inc()

    def _append(self, line: bytes) -> None:
        try:
            self._file.append(line)
            self._file.close()
        except OSError as error:
            raise StoreError(f"{self.path}: {error}") from error

    async def replay(self, store: Callable[[TurnRecord], Awaitable[None]]) -> int:
        """Store what waits, oldest first, and empty the spool; returns how many turns that was.

        Raises what `store` raises: then the spool keeps everything. Turns that are appended meanwhile are stored too.
        """
        stored = position = 0
        rewrites = self._rewrites
        while True:
            for line in await asyncio.to_thread(lambda start: list(self._file.read(start)), position):
                position = line.end
                turn = self._file.decode(line, TurnRecord)
                if rewrites != self._rewrites:
                    break
                if turn is not None:
                    await store(turn)
                    stored += 1
            async with self._lock:
                if rewrites != self._rewrites:
                    rewrites, position = self._rewrites, 0
                elif not any(self._file.read(position, 1)):
                    self._file.delete()
                    METRICS.spooled.set(0)
                    return stored

    async def drop(self, gone: Callable[[TurnRecord], bool]) -> None:
        """Remove turns that wait here. Raises StoreError when the disk refuses."""
        async with self._lock:
            if self.path.exists():
                self._rewrites += 1
                await asyncio.to_thread(self._drop, gone)

    def _drop(self, gone: Callable[[TurnRecord], bool]) -> None:
        try:
            self._file.rewrite(line.data for line, turn in self._file.records(TurnRecord) if not gone(turn))
        except OSError as error:
            raise StoreError(f"{self.path}: {error}") from error

"""Turns that wait on disk while the store is away: a JSON line each, synced before the turn is finished.

While anything waits here, every new turn goes here too, so that the store gets them in the order in which
they happened.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from rfsn_core.contract.errors import StoreError
from rfsn_core.contract.storage import TurnRecord
from rfsn_core.kit.files import replacing
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("spool")


class Spool:
    """Append-only; emptied when everything in it was stored. Storing a turn twice is harmless by its id."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = asyncio.Lock()
        self._cut = 0
        """How often turns were taken out of the middle."""

    def __bool__(self) -> bool:
        return self.path.exists()

    async def append(self, turn: TurnRecord) -> None:
        """Write and sync. Raises StoreError when the disk refuses."""
        async with self._lock:
            await asyncio.to_thread(self._append, msgspec.json.encode(turn))
        METRICS.spooled.inc()

    def _append(self, line: bytes) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as file:
                if file.tell() and self._ends_torn(file.fileno()):
                    line = b"\n" + line
                file.write(line + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"{self.path}: {error}") from error

    def _ends_torn(self, descriptor: int) -> bool:
        # A crash, or a full disk, may have left half a line, which must not swallow the next one.
        os.lseek(descriptor, -1, os.SEEK_END)
        return os.read(descriptor, 1) != b"\n"

    async def replay(self, store: Callable[[TurnRecord], Awaitable[None]]) -> int:
        """Store what waits, oldest first, and empty the spool; returns how many turns that was.

        What `store` raises comes out of here, and the spool keeps everything. Turns that are appended
        meanwhile are stored too.
        """
        done = position = 0
        cut = self._cut
        while True:
            lines = await asyncio.to_thread(self._lines, position)
            for line in lines:
                position += len(line)
                turn = self._decode(line)
                if cut != self._cut:
                    break
                if turn is not None:
                    await store(turn)
                    done += 1
            async with self._lock:
                if cut != self._cut:  # places are others now
                    cut, position = self._cut, 0
                elif not self.path.exists() or self.path.stat().st_size <= position:
                    self.path.unlink(missing_ok=True)
                    METRICS.spooled.set(0)
                    return done

    async def drop(self, gone: Callable[[TurnRecord], bool]) -> None:
        """Leave no trace of turns that wait here. Raises StoreError when the disk refuses."""
        async with self._lock:
            if self.path.exists():
                self._cut += 1
                await asyncio.to_thread(self._drop, gone)

    def _drop(self, gone: Callable[[TurnRecord], bool]) -> None:
        kept = [line for line in self._lines(0) if (turn := self._decode(line)) is not None and not gone(turn)]
        try:
            with replacing(self.path) as file:
                file.writelines(kept)
        except OSError as error:
            raise StoreError(f"{self.path}: {error}") from error

    def _lines(self, position: int) -> list[bytes]:
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(position)
            return file.readlines()

    def _decode(self, line: bytes) -> TurnRecord | None:
        try:
            return msgspec.json.decode(line, type=TurnRecord)
        except msgspec.MsgspecError:
            # Cut short by a crash: its turn was never finished for any client.
            log.warning("half a line in the spool is left out", spool=str(self.path), bytes=len(line))
            return None

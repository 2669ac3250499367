"""Turns that wait for an archive: appended to a local queue file, then sent in batches and in order.

No turn waits for this: it is stored before it is queued, and the queue file is not synced. A batch whose success is not
known is sent again, since an archive ignores a turn that it has already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from rfsn_core.contract.archive import Archive
from rfsn_core.contract.provider_call import provider_call
from rfsn_core.contract.storage import TurnRecord
from rfsn_core.kit.jsonl import JsonLines, Line
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("archive")

BATCH = 100
"""Turns that are sent at once."""
BATCH_SECONDS = 0.1
"""Time to wait for more turns before a batch is sent."""
RETRY_SECONDS = (0.5, 1, 2, 5, 10, 30)
"""Waits between attempts while an archive is unavailable; the last one repeats."""
TIMEOUT = 30.0
"""Seconds for one batch."""
FLUSH_SECONDS = 5.0
"""Time that a stopping server waits for the last batch."""


class Archives(Protocol):
    """The archives of a runtime. A reload replaces it as a whole."""

    @property
    def archives(self) -> Sequence[Archive]:
        """The open archives."""

    @property
    def archive_limit(self) -> int:
        """Bytes that may wait for an archive; further turns are not archived."""


class CurrentArchives(Protocol):
    """Holds the archives that are in use."""

    @property
    def current(self) -> Archives:
        """The archives of the current runtime."""


class ArchiveQueue:
    """The queue of one server: `put` adds a turn, `run` sends the batches."""

    def __init__(self, path: Path, runtimes: CurrentArchives) -> None:
        self.path = path
        self._runtimes = runtimes
        self._offset_file = path.with_suffix(".offset")
        self._file = JsonLines(path, sync=False)
        self._more = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._sending = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """Bytes that are not archived yet."""
        return max(0, self._file.size - self._offset())

    def _offset(self) -> int:
        try:
            offset = int(self._offset_file.read_text("ascii"))
        except (OSError, ValueError):
            return 0
        return offset if offset <= self._file.size else 0  # a crash between `clear` and the removal of the offset

    def put(self, turn: TurnRecord) -> None:
        """Enqueue a turn. A full disk or queue loses it for the archive, with an error in the log."""
        runtime = self._runtimes.current
        if not runtime.archives:
            return
        line = msgspec.json.encode(turn) + b"\n"
        try:
            if self._file.size + len(line) > runtime.archive_limit:
                raise OSError(f"more than {runtime.archive_limit} bytes wait")
            self._file.append(line)
        except OSError as error:
            METRICS.archive_lost.inc()
            log.error("archive.turn_lost", turn_id=turn.turn_id, error=str(error), queue=str(self.path))
            return
        self._idle.clear()
        self._more.set()

    async def run(self) -> None:
        """Send batches until cancelled."""
        if self.waiting:
            self._idle.clear()
            self._more.set()
        failures = 0
        while True:
            await self._more.wait()
            await asyncio.sleep(BATCH_SECONDS)
            self._more.clear()  # before the file is read: a turn that is added from here on causes another read
            try:
                async with self._sending:
                    await self._send()
                failures = 0
            except Exception as error:  # noqa: BLE001  the archive's code; the turns stay in the queue
                METRICS.errors.labels("archive").inc()
                log.warning("archive.unavailable", error=repr(error), waiting_bytes=self.waiting)
                self._more.set()
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
            if not self._more.is_set():
                self._idle.set()

    async def flush(self) -> None:
        """Wait until everything is archived, at most `FLUSH_SECONDS`."""
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._idle.wait()
        except TimeoutError:
            log.warning("archive.flush_timeout", waiting_bytes=self.waiting, hint="They are sent at the next start")

    async def erase(self, save: str, npc: str, player: str) -> None:
        """Erase the selected turns in the archives and in the queue; an empty text selects all.

        Raises what an archive raises; then the queue is unchanged.
        """
        async with self._sending:
            for archive in self._runtimes.current.archives:
                await archive.erase(save, npc, player)
            self._drop(lambda turn: turn.scope.within(save, npc, player))

    async def drop(self, selected: Callable[[TurnRecord], bool]) -> None:
        """Remove turns from the queue."""
        async with self._sending:
            self._drop(selected)

    def _drop(self, selected: Callable[[TurnRecord], bool]) -> None:
        if not self.path.exists():
            return
        lines = self._lines(self._offset())  # not in a thread: no turn may be added before they are written again
        self._empty()
        for turn in self._decoded(lines):
            if not selected(turn):
                self.put(turn)

    async def _send(self) -> None:
        """Send all that waits, in batches."""
        while True:
            lines = await asyncio.to_thread(self._lines, self._offset(), BATCH)
            if not lines:
                return
            turns = self._decoded(lines)
            for archive in self._runtimes.current.archives:
                async with provider_call(TIMEOUT):
                    await archive.archive(turns)
            METRICS.archived.inc(len(turns))
            end = lines[-1].end
            if end == self._file.size:  # no await before the next line, so no turn is added in between
                self._empty()
            else:
                self._offset_file.write_text(str(end), "ascii")

    def _empty(self) -> None:
        self._file.clear()
        self._offset_file.unlink(missing_ok=True)

    def _lines(self, start: int, limit: int | None = None) -> list[Line]:
        return list(self._file.read(start, limit))

    def _decoded(self, lines: list[Line]) -> list[TurnRecord]:
        return [turn for line in lines if (turn := self._file.decode(line, TurnRecord)) is not None]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

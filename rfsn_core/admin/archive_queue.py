"""Turns on their way to an archive: noted on disk in passing, sent in batches, in order, until the archive has them.

Nothing here is on a turn's way: noting one is a write to a file, which nobody waits to see on disk, and a turn is
durable before it is noted. An archive takes the same turn twice as once: what is not known to be taken is sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from rfsn_core.contract.archive import Archive
from rfsn_core.contract.provider_call import provider_call
from rfsn_core.contract.storage import TurnRecord
from rfsn_core.kit.jsonl import JsonLines, Line
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("archive")

BATCH = 100
WINDOW = 0.1
"""Seconds in which turns gather to a batch."""
PAUSES = (0.5, 1, 2, 5, 10, 30)
"""Seconds between attempts while an archive is away."""
PATIENCE = 30.0
"""Seconds for one batch."""
FAREWELL = 5.0
"""Seconds that a server which stops waits for the last batch."""


class ArchiveQueue:
    """Of one server. `note` a turn; `run` sends.

    :param archives: asked for each batch, so that they can be swapped while it runs.
    :param most: gives the bytes that may wait, from the settings in force; further turns are not archived.
    """

    def __init__(self, path: Path, archives: Callable[[], Sequence[Archive]], most: Callable[[], int]) -> None:
        self.path = path
        self._archives, self._most = archives, most
        self._offset_file = path.with_suffix(".offset")
        self._file = JsonLines(path, sync=False)
        self._more = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._sending = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """Bytes that no archive has yet."""
        return max(0, self._file.size - self._offset())

    def _offset(self) -> int:
        try:
            offset = int(self._offset_file.read_text("ascii"))
        except (OSError, ValueError):
            return 0
        return offset if offset <= self._file.size else 0  # it was emptied, and the process died before it said so

    def note(self, turn: TurnRecord) -> None:
        """Put a turn behind the others."""
        if not self._archives():
            return
        line = msgspec.json.encode(turn) + b"\n"
        try:
            if self._file.size + len(line) > (most := self._most()):
                raise OSError(f"more than {most} bytes wait")
            self._file.append(line)
        except OSError as error:
            METRICS.archive_lost.inc()
            log.error("a turn is stored, but will not be archived", error=str(error), outbox=str(self.path))
            return
        self._idle.clear()
        self._more.set()

    async def run(self) -> None:
        """Send what waits, until cancelled."""
        if self.waiting:
            self._idle.clear()
            self._more.set()
        failures = 0
        while True:
            await self._more.wait()
            await asyncio.sleep(WINDOW)
            self._more.clear()  # before it is looked at: what is noted from here on is looked at again
            try:
                async with self._sending:
                    await self._send()
                failures = 0
            except Exception as error:  # noqa: BLE001  the archive's code: what waits stays on disk
                METRICS.errors.labels("archive").inc()
                log.warning("the archive is away", error=repr(error), waiting_bytes=self.waiting)
                self._more.set()
                await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
                failures += 1
            if not self._more.is_set():
                self._idle.set()

    async def flush(self) -> None:
        """Wait a while until everything is archived."""
        try:
            async with asyncio.timeout(FAREWELL):
                await self._idle.wait()
        except TimeoutError:
            log.warning("turns wait for the archive; they are sent at the next start", bytes=self.waiting)

    async def erase(self, save: str, npc: str, player: str) -> None:
        """Leave no trace, here and in the archives. Raises what an archive raises: then nothing was erased here."""
        async with self._sending:
            for archive in self._archives():
                await archive.erase(save, npc, player)
            self._drop(lambda turn: turn.scope.within(save, npc, player))

    async def drop(self, gone: Callable[[TurnRecord], bool]) -> None:
        """Leave no trace of turns that wait here."""
        async with self._sending:
            self._drop(gone)

    def _drop(self, gone: Callable[[TurnRecord], bool]) -> None:
        if not self.path.exists():
            return
        lines = self._lines(self._offset())  # not in a thread: nothing may be noted until they are written again
        self._empty()
        for turn in self._decoded(lines):
            if not gone(turn):
                self.note(turn)

    async def _send(self) -> None:
        """All that waits."""
        while True:
            lines = await asyncio.to_thread(self._lines, self._offset(), BATCH)
            if not lines:
                return
            turns = self._decoded(lines)
            for archive in self._archives():
                async with provider_call(PATIENCE):
                    await archive.archive(turns)
            METRICS.archived.inc(len(turns))
            if (
                end := lines[-1].end
            ) == self._file.size:  # no await between this and the next line: nothing is noted meanwhile
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

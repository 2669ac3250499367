"""The thread that writes the turn log and its index."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import msgspec

from rfsn_core.contract.errors import StoreError
from rfsn_core.contract.storage import TurnRecord
from rfsn_core.kit.writer import Job, WriterThread, deliver
from rfsn_core.learning import log_lines
from rfsn_core.learning.log_files import LogFiles
from rfsn_core.learning.log_index import ROWS_WAITING, LogEnd, LogIndex
from rfsn_core.learning.records import LoggedTurn, LogRecord, Positions


class NumberedTurn(NamedTuple):
    """A turn, and the number of its line."""

    seq: int
    turn: TurnRecord
    stored: bool


class LogFollower(Protocol):
    """What turns are handed to, as soon as they are in the log."""

    name: str

    def put(self, turn: NumberedTurn) -> None:
        """Take the next turn."""

    def reread(self) -> None:
        """Read what comes next from the log: lines were erased."""


class Lines(NamedTuple):
    """Records to append, encoded."""

    records: tuple[LogRecord, ...]
    bodies: list[bytes]


Query = Callable[[], Any]
Work = Lines | Query


class LogThread(WriterThread[Work]):
    """The thread that writes the files and their index: lines, or a query to run when all before it are written."""

    def __init__(self, folder: Path, rotate_at: int, followers: list[LogFollower]) -> None:
        super().__init__("rfsn-turn-log", str(folder))
        self.files = LogFiles(folder)
        self.index = LogIndex(self.files)
        self._folder, self._rotate_at, self._followers = folder, rotate_at, followers
        self.positions: dict[str, int] = {}
        self._written_positions: dict[str, int] = {}
        self.last_turn = 0

    def _open(self) -> None:
        try:
            self.files.open()
            self.index.open()
            self.positions.update(self.index.end.positions)
            self._written_positions = dict(self.positions)
            self.last_turn = self.index.end.seq
        except (OSError, sqlite3.Error) as error:
            hint = "Is another server using it, or the folder not writable? `data_dir` in the settings moves it"
            raise StoreError(f"cannot open {self._folder}: {error}", hint=hint) from error

    def _close(self) -> None:
        try:
            self.write([])
        except OSError:
            pass  # the followers read some lines again, which is harmless
        self.index.close()
        self.files.close()

    def _run(self, batch: list[Job[Work]]) -> None:
        """Write all lines with one sync; then answer the queries."""
        writes = [job for job in batch if isinstance(job.work, Lines)]
        queries = [job for job in batch if not isinstance(job.work, Lines)]
        if writes:
            self._write(writes)
        if queries or self.index.waiting >= ROWS_WAITING:
            self.index.flush()
        for job in queries:
            try:
                job.result = cast(Query, job.work)()
            except Exception as problem:  # noqa: BLE001  raised by `submit`
                job.error = StoreError(f"{self._folder}: {problem}")
        deliver(batch)

    def _write(self, jobs: list[Job[Work]]) -> None:
        records: list[LogRecord] = []
        bodies: list[bytes] = []
        for job in jobs:
            work = cast(Lines, job.work)
            records += work.records
            bodies += work.bodies
        try:
            first = self.write(records, bodies)
        except (OSError, sqlite3.Error) as problem:
            error = StoreError(f"{self._folder}: {problem}")
            for job in jobs:
                job.error = error
            return
        for job in jobs:
            cast("_LogJob", job).first, first = first, first + len(cast(Lines, job.work).records)

    def write(self, records: list[LogRecord], bodies: list[bytes] | None = None) -> int:
        """Write records, and how far the followers have come; return the number of the first line. Raises OSError:
        then none of them is in the log."""
        bodies = [msgspec.json.encode(record) for record in records] if bodies is None else bodies
        end = self.index.end
        first = end.seq + 1
        positions = dict(self.positions)
        if positions != self._written_positions or not end.file or end.size > self._rotate_at:
            note = Positions(positions=positions)
            records, bodies = [*records, note], [*bodies, msgspec.json.encode(note)]
        if not bodies:
            return first
        if not end.file or end.size > self._rotate_at:
            self.index.flush()
            self.files.rotate(first)
            end = LogEnd(first, 0, end.seq, end.hash)
        seq, last_hash, lines = end.seq, end.hash, []
        for body in bodies:
            seq += 1
            line = log_lines.new_line(seq, last_hash, body)
            last_hash = log_lines.hash_of(line)
            lines.append(line)
        offset = self.files.append(b"".join(lines))
        for number, (record, line) in enumerate(zip(records, lines, strict=True), first):
            self.index.add(record, (end.file, offset))
            if isinstance(record, LoggedTurn):
                self.last_turn = number
            offset += len(line)
        self.index.end = LogEnd(end.file, offset, seq, last_hash, positions)
        self._written_positions = positions
        return first

    def new_job(self, work: Work, loop: Any) -> Job[Work]:
        """Return a job that hands its turns to the followers, in the order of the log."""
        return _LogJob(work, loop, self._followers) if isinstance(work, Lines) else Job(work, loop)


class _LogJob(Job[Work]):
    """Lines on their way to the log. When they are there, the followers get the turns, even if nobody waits."""

    __slots__ = ("_followers", "first")

    def __init__(self, work: Work, loop: Any, followers: list[LogFollower]) -> None:
        super().__init__(work, loop)
        self._followers = followers
        self.first = 0

    def resolve(self) -> None:
        """Hand on the turns, and set the future."""
        if self.error is None:
            for number, record in enumerate(cast(Lines, self.work).records, self.first):
                if isinstance(record, LoggedTurn):
                    for follower in self._followers:
                        follower.put(NumberedTurn(number, record.turn, record.stored))
        super().resolve()

"""The turn log: turns, decisions, rewards and updates as append-only JSON lines. All else on disk is a view of it.

One thread writes. What waits together shares one sync, and `append` returns when its lines are safe. The store, the
archives and the index follow (docs/decisions/one_log.md).
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable, Container, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import msgspec

from rfsn_core.contract.errors import StoreError
from rfsn_core.contract.storage import Scope, TurnRecord
from rfsn_core.kit.writer import Job, WriterThread, deliver
from rfsn_core.learning import log_lines
from rfsn_core.learning.log_files import LogFiles, Place, compress
from rfsn_core.learning.log_index import ROWS_WAITING, LogEnd, LogIndex
from rfsn_core.learning.log_lines import Header
from rfsn_core.learning.records import (
    DecisionRecord,
    LoggedTurn,
    LogRecord,
    Operation,
    Positions,
    RewardRecord,
)
from rfsn_core.telemetry.logs import logger

log = logger("turn_log")
T = TypeVar("T")
SOON = 0.2
"""Seconds after which records are written that nobody waits for."""
ROTATE_AT = 64 * 1024 * 1024
"""Bytes after which a file is rotated."""
decode_decision = msgspec.json.Decoder(DecisionRecord).decode
_decode_reward = msgspec.json.Decoder(RewardRecord).decode
_decode_turn = msgspec.json.Decoder(LoggedTurn).decode
_decode_operation = msgspec.json.Decoder(Operation).decode


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


class _Lines(NamedTuple):
    """Records to append, encoded."""

    records: tuple[LogRecord, ...]
    bodies: list[bytes]


Query = Callable[[], Any]
Work = _Lines | Query


class TurnLog:
    """The folder `log/`. Call `open` before anything else.

    :param rotate_at: bytes after which a new file is begun.
    """

    def __init__(self, folder: Path, rotate_at: int = ROTATE_AT) -> None:
        self.folder = folder
        self.followers: list[LogFollower] = []
        self._soon: list[LogRecord] = []
        self._appending: asyncio.Task[None] | None = None
        self._thread = _LogThread(folder, rotate_at, self)
        self._index, self._files = self._thread.index, self._thread.files

    async def open(self) -> None:
        """Bring the index up to date, and start writing. Raises StoreError."""
        await self._thread.start()

    async def close(self) -> None:
        """Write what waits."""
        if self._soon:
            await self._append_rest()
        await self._thread.close()

    # ── writing ──────────────────────────────────────────────────────────────────────────────────

    async def append(self, *records: LogRecord) -> list[bytes]:
        """Write records and return them, encoded, when they are safe. Raises StoreError when the disk refuses: then
        they are not in the log."""
        soon, self._soon = self._soon, []
        bodies = [msgspec.json.encode(record) for record in (*soon, *records)]
        try:
            await self._thread.submit(_Lines((*soon, *records), bodies))
        except BaseException:
            self._soon = soon + self._soon
            raise
        return bodies[len(soon) :]

    def append_soon(self, *records: LogRecord) -> None:
        """Write records with the next ones, or a little later: nobody waits for them."""
        if not self._soon:
            asyncio.get_running_loop().call_later(SOON, self._append_now)
        self._soon += records

    def _append_now(self) -> None:
        if self._soon and not self._appending:
            self._appending = asyncio.create_task(self._append_rest())

    async def _append_rest(self) -> None:
        try:
            await self.append()
        except StoreError as error:
            self._soon.clear()
            log.error("turn_log.rewards_lost", error=str(error))
        finally:
            self._appending = None

    @property
    def positions(self) -> dict[str, int]:
        """Follower → number of the last turn that it has. A change is written with the next line."""
        return self._thread.positions

    @property
    def last_turn(self) -> int:
        """Number of the newest turn."""
        return self._thread.last_turn

    # ── decisions and rewards ────────────────────────────────────────────────────────────────────

    async def decision(self, decision_id: str) -> DecisionRecord | None:
        """Return a decision; None when there is none of that id."""

        def find() -> DecisionRecord | None:
            place = self._index.decision(decision_id)
            return decode_decision(self._files.read_line(place)) if place else None

        return await self._ask(find)

    async def decisions(
        self, *, npc: str = "", conversation: str = "", since: float = 0.0, limit: int = 100
    ) -> list[DecisionRecord]:
        """Return the newest decisions, newest first, of an NPC or a conversation if one is named."""

        def find() -> list[DecisionRecord]:
            places = self._index.decisions(npc, conversation, since, limit)
            return [decode_decision(self._files.read_line(place)) for place in places]

        return await self._ask(find)

    async def decision_lines(self, decision_ids: Sequence[str]) -> dict[str, bytes]:
        """Return decisions by their ids, encoded; without those that are not there."""

        def read() -> dict[str, bytes]:
            places = {decision_id: self._index.decision(decision_id) for decision_id in decision_ids}
            return {decision_id: self._files.read_line(place) for decision_id, place in places.items() if place}

        return await self._ask(read)

    async def rewards(self, decision_id: str) -> list[RewardRecord]:
        """Return the rewards of a decision."""
        return await self._ask(lambda: self._read_rewards(self._index.rewards(decision_id)))

    async def unprocessed_rewards(self, limit: int) -> list[RewardRecord]:
        """Return the newest rewards that no update was logged for, oldest first."""
        return await self._ask(lambda: self._read_rewards(self._index.unprocessed_rewards(limit)))

    async def has_reward(self, reward_id: str) -> bool:
        """Whether a reward of this id was stored."""
        return await self._ask(lambda: self._index.has_reward(reward_id))

    async def newest_rewards(self, limit: int) -> list[RewardRecord]:
        """Return the newest rewards, newest first."""
        return await self._ask(lambda: self._read_rewards(self._index.newest_rewards(limit)))

    async def processed_rewards(self, decision_id: str) -> frozenset[str]:
        """Return the ids of a decision's rewards that an update was logged for."""
        return await self._ask(lambda: self._index.processed_rewards(decision_id))

    async def taught(self, decision_id: str) -> float | None:
        """Return what the weights were updated with for a decision, in total; None when they were not."""
        return await self._ask(lambda: self._index.taught(decision_id))

    def _read_rewards(self, places: list[Place]) -> list[RewardRecord]:
        return [_decode_reward(self._files.read_line(place)) for place in places]

    # ── turns ────────────────────────────────────────────────────────────────────────────────────

    async def turns(self, after: int, limit: int) -> list[NumberedTurn]:
        """Return the turns after a line, at most `limit`."""

        def read() -> Iterator[NumberedTurn]:
            if after >= self._thread.last_turn:
                return
            for head, line in self._files.after(after):
                if head.kind == "turn":
                    logged = _decode_turn(line)
                    yield NumberedTurn(head.seq, logged.turn, logged.stored)

        return await self._ask(lambda: [turn for turn, _ in zip(read(), range(limit), strict=False)])

    async def operations(self) -> list[Operation]:
        """Return what was done with whole saves."""

        def read() -> list[Operation]:
            return [_decode_operation(line) for head, line in self._files.after(0) if head.kind == "operation"]

        return await self._ask(read)

    async def first_line(self) -> int:
        """Return the number of the oldest line that is kept; 0 for an empty log."""
        return await self._ask(lambda: min(self._files.numbers, default=0))

    # ── erasing and tidying up ───────────────────────────────────────────────────────────────────

    async def erase(self, scopes: Container[Scope], until: float = math.inf) -> int:
        """Erase all records of some scopes, up to a time; returns how many decisions that were.

        What was learned from them stays: weights name nobody.
        """

        def selected(head: Header) -> bool:
            return head.moment <= until and head.scope is not None and head.scope in scopes

        return await self._erase(selected)

    async def discard(self, scopes: Container[Scope], until: float, after: int) -> None:
        """Erase turns of some scopes up to a time, and after a line, that the store has not got and is not to get."""
        gone = {
            numbered.seq
            for numbered in await self.turns(after, 10**9)
            if not numbered.stored and numbered.turn.time <= until and numbered.turn.scope in scopes
        }
        if gone:
            await self._erase(lambda head: head.seq in gone)

    async def _erase(self, is_selected: Callable[[Header], bool]) -> int:
        def erase() -> int:
            lines = 0

            def counted(head: Header) -> bool:
                nonlocal lines
                selected = is_selected(head)
                lines += selected
                return selected

            self._index.flush()
            erased = self._files.erase(counted)
            self._index.rebuild()
            self._thread.write([Operation(name="erase", time=time.time(), after=self.last_turn, lines=lines)])
            return erased

        erased = await self._ask(erase)
        for follower in self.followers:
            follower.reread()
        return erased

    async def tidy(self, *, compressed: bool, days: float) -> None:
        """Compress older files, and delete those that nobody writes to for so many days; 0: never.

        What a follower does not have yet stays.
        """
        for path in await self._ask(self._files.uncompressed) if compressed else ():
            copy, size = await asyncio.to_thread(compress, path)
            await self._ask(partial(self._files.take_compressed, path, copy, size))
        if days:
            until = min((self.positions.get(follower.name, 0) for follower in self.followers), default=0)
            if await self._ask(lambda: self._files.delete_older(days, until)):
                await self._ask(self._index.rebuild)

    async def _ask(self, query: Callable[[], T]) -> T:
        if self._soon:
            await self._append_rest()
        return cast(T, await self._thread.submit(query))


class _LogThread(WriterThread[Work]):
    """The thread that writes the files and their index: lines, or a query to run when all before it are written."""

    def __init__(self, folder: Path, rotate_at: int, turn_log: TurnLog) -> None:
        super().__init__("rfsn-turn-log", str(folder))
        self.files = LogFiles(folder)
        self.index = LogIndex(self.files)
        self._folder, self._rotate_at, self._log = folder, rotate_at, turn_log
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
        writes = [job for job in batch if isinstance(job.work, _Lines)]
        queries = [job for job in batch if not isinstance(job.work, _Lines)]
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
            work = cast(_Lines, job.work)
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
            cast("_LogJob", job).first, first = first, first + len(cast(_Lines, job.work).records)

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
        return _LogJob(work, loop, self._log) if isinstance(work, _Lines) else Job(work, loop)


class _LogJob(Job[Work]):
    """Lines on their way to the log. When they are there, the followers get the turns, even if nobody waits."""

    __slots__ = ("_log", "first")

    def __init__(self, work: Work, loop: Any, turn_log: TurnLog) -> None:
        super().__init__(work, loop)
        self._log = turn_log
        self.first = 0

    def resolve(self) -> None:
        """Hand on the turns, and set the future."""
        if self.error is None:
            for number, record in enumerate(cast(_Lines, self.work).records, self.first):
                if isinstance(record, LoggedTurn):
                    for follower in self._log.followers:
                        follower.put(NumberedTurn(number, record.turn, record.stored))
        super().resolve()

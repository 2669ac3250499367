"""Decisions, rewards and updates on disk: append-only JSON lines, and an index that can always be made anew.

One thread writes. What waits together shares one sync, and an `append` returns when its line is safe. The index
is SQLite; it may lag behind the lines after a crash, and catches up, or is thrown away, at the next start.
"""

from __future__ import annotations

import asyncio
import math
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from rfsn_core.contract.errors import StoreError
from rfsn_core.contract.storage import Scope
from rfsn_core.kit.files import replacing
from rfsn_core.learning.records import DecisionRecord, Quarantined, RewardRecord, StateChange, UpdateRecord
from rfsn_core.telemetry.logs import logger

log = logger("journal")
T = TypeVar("T")
L = TypeVar("L", DecisionRecord, RewardRecord, UpdateRecord)
Record = DecisionRecord | RewardRecord | Quarantined | UpdateRecord | StateChange

FILES: dict[type, str] = {
    DecisionRecord: "decisions",
    RewardRecord: "rewards",
    Quarantined: "rewards_quarantine",
    UpdateRecord: "updates",
    StateChange: "states",
}
SYNCED = frozenset({"decisions", "rewards"})
"""What is acknowledged to somebody must survive a power cut; the rest survives a crash of the process."""
_SCHEMA = """
CREATE TABLE decisions (
    id TEXT PRIMARY KEY, npc TEXT, conversation TEXT, time REAL, file TEXT, place INTEGER
) WITHOUT ROWID;
CREATE INDEX by_npc ON decisions (npc, time);
CREATE INDEX by_conversation ON decisions (conversation, time);
CREATE INDEX by_time ON decisions (time);
CREATE TABLE rewards (id TEXT PRIMARY KEY, decision TEXT, file TEXT, place INTEGER) WITHOUT ROWID;
CREATE INDEX by_decision ON rewards (decision);
CREATE TABLE lessons (decision TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE taught (reward TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE files (name TEXT PRIMARY KEY, size INTEGER) WITHOUT ROWID;
"""
_SCHEMA_VERSION = 3
_MOST_WAITING = 10_000
INDEX_AT = 200
"""Batches of lines that may wait for the index while nobody asks."""
_decode_decision: Any = msgspec.json.Decoder(DecisionRecord).decode
_decode_reward: Any = msgspec.json.Decoder(RewardRecord).decode


class DecisionLog:
    """The folder `learning/`. `open` before anything else."""

    def __init__(self, folder: Path, rotate_at: int = 64 * 1024 * 1024) -> None:
        self.folder = folder
        self._rotate_at = rotate_at
        self._jobs: queue.Queue[tuple[Callable[[], Any] | tuple[Record, ...], Any, Any] | None] = queue.Queue(
            _MOST_WAITING
        )
        self._thread = threading.Thread(target=self._work, name="rfsn-journal", daemon=True)
        self._opened: queue.Queue[BaseException | None] = queue.Queue()
        self._db: sqlite3.Connection
        self._open_files: dict[str, Any] = {}
        self._unindexed: list[tuple[str, int, list[Record]]] = []
        self._behind = False  # lines are on disk that are neither in the index nor in `_unindexed`

    # ── what the kernel calls ────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """Bring the index up to date, and start writing. Raises StoreError."""
        self._thread.start()
        if (error := await asyncio.to_thread(self._opened.get)) is not None:
            raise error

    async def close(self) -> None:
        """Write what waits."""
        if self._thread.is_alive():
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)

    async def append(self, *records: Record) -> None:
        """Write lines; returns when they are safe. Raises StoreError when the disk refuses: then they are not there."""
        await self._queue(records)

    async def decision(self, decision_id: str) -> DecisionRecord | None:
        """A decision by its id."""
        return await self._submit(lambda: self._decision(decision_id))

    async def decisions(
        self, *, npc: str = "", conversation: str = "", since: float = 0.0, limit: int = 100
    ) -> list[DecisionRecord]:
        """The newest decisions, newest first, of an NPC or a conversation if one is named."""

        def find() -> list[DecisionRecord]:
            rows = self._db.execute(
                "SELECT file, place FROM decisions WHERE (?1='' OR npc=?1) AND (?2='' OR conversation=?2) AND time>=?3"
                " ORDER BY time DESC, place DESC LIMIT ?4",
                (npc, conversation, since, limit),
            ).fetchall()
            return [_decode_decision(self._line(*row)) for row in rows]

        return await self._submit(find)

    async def rewards(self, decision_id: str) -> list[RewardRecord]:
        """The rewards of a decision."""

        def find() -> list[RewardRecord]:
            sql = "SELECT file, place FROM rewards WHERE decision=? ORDER BY file, place"
            rows = self._db.execute(sql, (decision_id,)).fetchall()
            return [_decode_reward(self._line(*row)) for row in rows]

        return await self._submit(find)

    async def known_reward(self, reward_id: str) -> bool:
        """Whether a reward of this id was taken."""
        sql = "SELECT 1 FROM rewards WHERE id=?"
        return await self._submit(lambda: self._db.execute(sql, (reward_id,)).fetchone() is not None)

    async def untaught(self, limit: int) -> list[RewardRecord]:
        """The newest rewards that no update came from, oldest first."""

        def find() -> list[RewardRecord]:
            sql = (
                "SELECT file, place FROM rewards WHERE id NOT IN (SELECT reward FROM taught)"
                " ORDER BY file='rewards.jsonl' DESC, file DESC, place DESC LIMIT ?"
            )
            rows = self._db.execute(sql, (limit,)).fetchall()
            return [_decode_reward(self._line(*row)) for row in reversed(rows)]

        return await self._submit(find)

    async def learned_from(self, decision_id: str) -> bool:
        """Whether a lesson of this decision was applied."""
        sql = "SELECT 1 FROM lessons WHERE decision=?"
        return await self._submit(lambda: self._db.execute(sql, (decision_id,)).fetchone() is not None)

    async def erase(self, selected: Callable[[Scope], bool], until: float = math.inf) -> int:
        """Leave no trace of what is selected, up to a time; returns how many decisions there were.

        What was learned from them stays: weights name nobody.
        """
        return await self._submit(lambda: self._erase(selected, until))

    async def _submit(self, question: Callable[[], T]) -> T:
        return cast(T, await self._queue(question))

    async def _queue(self, job: Callable[[], Any] | tuple[Record, ...]) -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        try:
            self._jobs.put_nowait((job, loop, future))
        except queue.Full:
            raise StoreError(f"{_MOST_WAITING} records wait to be written to {self.folder}") from None
        return await future

    # ── the thread ───────────────────────────────────────────────────────────────────────────────

    def _work(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._db = self._index()
        except (OSError, sqlite3.Error) as error:
            hint = "Is another server using it, or the folder not writable? `data_dir` in the settings moves it"
            self._opened.put(StoreError(f"cannot open {self.folder}: {error}", hint=hint))
            return
        self._opened.put(None)
        over = False
        while not over:
            batch = [self._jobs.get()]
            while len(batch) < 1000:
                try:
                    batch.append(self._jobs.get_nowait())
                except queue.Empty:
                    break
            over = None in batch
            self._batch([job for job in batch if job is not None])
        self._index_lines()
        for file in self._open_files.values():
            file.close()
        self._db.close()

    def _batch(self, jobs: list[tuple[Any, Any, Any]]) -> None:
        """Lines first, one sync for each file; then the index, if anyone asks; then the answers."""
        answers: list[tuple[Any, Any, Any, BaseException | None]] = []
        writes = [job for job in jobs if isinstance(job[0], tuple)]
        failed: dict[str, BaseException] = {}
        for kind, name in FILES.items():
            mine: list[Any] = [record for records, _, _ in writes for record in records if isinstance(record, kind)]
            if mine:
                try:
                    written = self._write(name, mine)  # which may empty the list of what is not indexed
                    self._unindexed.append(written)
                except (OSError, sqlite3.Error) as problem:
                    failed[name] = StoreError(f"{self.folder / name}.jsonl: {problem}")
        for records, loop, future in writes:
            error = next((failed[FILES[type(record)]] for record in records if FILES[type(record)] in failed), None)
            answers.append((loop, future, None, error))
        questions = [job for job in jobs if not isinstance(job[0], tuple)]
        if questions or len(self._unindexed) >= INDEX_AT:
            self._index_lines()
        for job, loop, future in questions:
            try:
                answers.append((loop, future, job(), None))
            except Exception as problem:  # noqa: BLE001  handed to the one who asks
                answers.append((loop, future, None, StoreError(f"{self.folder}: {problem}")))
        for loop, future, value, error in answers:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, future, value, error)

    def _write(self, name: str, records: list[Record]) -> tuple[str, int, list[Record]]:
        """Append and sync; returns what is to be indexed: file, place, records."""
        path = self.folder / f"{name}.jsonl"
        file = self._open_files.get(name)
        if file is None:
            file = self._open_files[name] = self._appendable(path)
        start = file.seek(0, os.SEEK_END)
        if start > self._rotate_at:
            self._index_lines()  # under the name that the lines still have
            self._open_files.pop(name).close()
            older = self._next_name(name)
            path.rename(older)
            for table, column in (("decisions", "file"), ("rewards", "file"), ("files", "name")):
                self._db.execute(f"UPDATE {table} SET {column}=? WHERE {column}=?", (older.name, path.name))
            file = self._open_files[name] = self._appendable(path)
            start = 0
        data = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
        try:
            while data:
                data = data[file.write(data) :]
            if name in SYNCED:
                os.fsync(file.fileno())
        except OSError:
            # All or nothing: what is half there would be read as done.
            self._open_files.pop(name).close()
            os.truncate(path, start)
            raise
        return path.name, start, records

    def _index_lines(self) -> None:
        """The lines are safe whatever happens here; what could not be indexed is caught up with later."""
        if not (self._unindexed or self._behind):
            return
        written, self._unindexed = self._unindexed, []
        try:
            self._db.execute("BEGIN")
            if self._behind:
                self._catch_up()
            else:
                for file, place, records in written:
                    for record in records:
                        self._note(record, file, place)
                        place += len(msgspec.json.encode(record)) + 1
                    self._db.execute("INSERT OR REPLACE INTO files VALUES (?,?)", (file, place))
            self._db.execute("COMMIT")
            self._behind = False
        except (sqlite3.Error, OSError) as error:
            self._behind = True
            log.error("the index of decisions is behind", error=repr(error))
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _appendable(self, path: Path) -> Any:
        file = path.open("ab", buffering=0)
        size = file.seek(0, os.SEEK_END)
        if size:
            with path.open("rb") as reader:
                reader.seek(size - 1)
                if reader.read(1) != b"\n":  # torn by a crash; its turn was never finished
                    file.write(b"\n")
        return file

    def _next_name(self, name: str) -> Path:
        return self.folder / f"{name}.{len(list(self.folder.glob(f'{name}.*.jsonl'))) + 1:04}.jsonl"

    def _erase(self, selected: Callable[[Scope], bool], until: float) -> int:
        for file in self._open_files.values():
            file.close()
        self._open_files.clear()
        erased: set[str] = set()

        def gone(record: Any) -> bool:
            if not hasattr(record, "save"):
                return record.decision_id in erased
            inside = record.time <= until and selected(Scope(record.save, record.npc, record.player))
            if inside and isinstance(record, DecisionRecord):
                erased.add(record.decision_id)
            return inside

        for kind, name in FILES.items():  # decisions first: the others know them by their ids
            for path in log_files(self.folder, name):
                with replacing(path) as kept:
                    record: Any
                    for _, _, record in read_lines(path, kind):
                        if not gone(record):
                            kept.write(msgspec.json.encode(record) + b"\n")
        self._db.close()
        for suffix in ("", "-wal", "-shm"):
            (self.folder / f"index.db{suffix}").unlink(missing_ok=True)
        self._db = self._index()
        return len(erased)

    # ── the index ────────────────────────────────────────────────────────────────────────────────

    def _index(self) -> sqlite3.Connection:
        path = self.folder / "index.db"
        for attempt in range(2):
            db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1)
            try:
                db.execute("PRAGMA locking_mode=EXCLUSIVE")
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=OFF")  # the lines are the truth
                db.execute("BEGIN IMMEDIATE")
                if db.execute("PRAGMA user_version").fetchone()[0] != _SCHEMA_VERSION:
                    if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                        raise sqlite3.DatabaseError("another version")
                    for statement in _SCHEMA.split(";\n"):
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
                self._db = db
                self._catch_up()
                db.execute("COMMIT")
                return db
            except sqlite3.DatabaseError as error:
                db.close()
                if attempt or "locked" in str(error):
                    raise
                log.warning("the index of decisions is made anew", index=str(path), reason=str(error))
                for suffix in ("", "-wal", "-shm"):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
        raise AssertionError

    def _catch_up(self) -> None:
        """Index the lines that are not indexed yet. Raises DatabaseError when the index knows lines that are gone."""
        sizes = dict(self._db.execute("SELECT name, size FROM files").fetchall())
        for kind in (DecisionRecord, RewardRecord, UpdateRecord):
            for path in log_files(self.folder, FILES[kind]):
                current = f"{FILES[kind]}.jsonl"
                if path.name != current and path.name not in sizes and current in sizes:
                    # Renamed by a process that died before it could note it: places would be those of another file.
                    raise sqlite3.DatabaseError(f"{path.name} is not known")
                start = sizes.pop(path.name, 0)
                if start > path.stat().st_size:
                    raise sqlite3.DatabaseError(f"{path.name} is shorter than the index says")
                place = start
                for place, end, record in read_lines(path, kind, start):
                    self._note(cast(Record, record), path.name, place)
                    place = end
                self._db.execute("INSERT OR REPLACE INTO files VALUES (?,?)", (path.name, place))
        if any(name.startswith(("decisions.", "rewards.", "updates.")) for name in sizes):
            raise sqlite3.DatabaseError("files are gone that the index knows")

    def _note(self, record: Record, file: str, place: int) -> None:
        if isinstance(record, DecisionRecord):
            self._db.execute(
                "INSERT OR IGNORE INTO decisions VALUES (?,?,?,?,?,?)",
                (record.decision_id, record.npc, record.conversation, record.time, file, place),
            )
        elif isinstance(record, RewardRecord):
            self._db.execute(
                "INSERT OR IGNORE INTO rewards VALUES (?,?,?,?)", (record.reward_id, record.decision_id, file, place)
            )
        elif isinstance(record, UpdateRecord):
            self._db.execute("INSERT OR IGNORE INTO taught VALUES (?)", (record.reward_id,))
            if not record.rejected:
                self._db.execute("INSERT OR IGNORE INTO lessons VALUES (?)", (record.decision_id,))

    def _decision(self, decision_id: str) -> DecisionRecord | None:
        row = self._db.execute("SELECT file, place FROM decisions WHERE id=?", (decision_id,)).fetchone()
        return _decode_decision(self._line(*row)) if row else None

    def _line(self, file: str, place: int) -> bytes:
        with (self.folder / file).open("rb") as reader:
            reader.seek(place)
            return reader.readline()


def log_files(folder: Path, name: str) -> list[Path]:
    """The files of one log, oldest first."""
    current = folder / f"{name}.jsonl"
    return [*sorted(folder.glob(f"{name}.*.jsonl")), *([current] if current.exists() else [])]


def read_lines(path: Path, kind: type[T], start: int = 0) -> Iterator[tuple[int, int, T]]:
    """(place, end, record) of each whole line; half a line, left by a crash, is passed over."""
    decode = msgspec.json.Decoder(kind).decode
    with path.open("rb") as reader:
        reader.seek(start)
        place = start
        for line in reader:
            end = place + len(line)
            if line.strip():
                try:
                    yield place, end, decode(line)
                except msgspec.MsgspecError:
                    log.warning("a line that cannot be read is left out", file=str(path), place=place)
            place = end


def whole_log(folder: Path, kind: type[L]) -> list[L]:
    """All records of a kind in a folder and below it: the workers of a server log each on its own."""
    name = FILES[kind]
    folders = sorted({path.parent for path in folder.rglob(f"{name}*.jsonl")})
    found = [record for each in folders for path in log_files(each, name) for _, _, record in read_lines(path, kind)]
    return found if len(folders) < 2 else sorted(found, key=lambda record: record.time)


def _resolve(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)

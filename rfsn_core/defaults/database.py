"""The file of the embedded store: its tables, older versions of them, and the one thread that works in it.

WAL with synchronous=FULL: what a job returned from survives a crash and a power cut. Writes that wait
together share one commit. (docs/decisions/storage.md)
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import queue
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from rfsn_core.errors import StoreError, StoreInUse
from rfsn_core.providers import Scope, TurnRecord

T = TypeVar("T")
SCHEMA_VERSION = 3
SCHEMA = """
CREATE TABLE turns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    turn_id TEXT NOT NULL, epoch INTEGER NOT NULL,
    session TEXT NOT NULL, position INTEGER NOT NULL, live INTEGER NOT NULL DEFAULT 1,
    world TEXT NOT NULL, npc TEXT NOT NULL, player TEXT NOT NULL, time REAL NOT NULL,
    player_text TEXT NOT NULL, npc_text TEXT NOT NULL, outcome TEXT NOT NULL,
    decision_id TEXT NOT NULL, state TEXT NOT NULL, memories TEXT NOT NULL, card TEXT NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX turns_id ON turns (turn_id, epoch);
CREATE UNIQUE INDEX turns_decision ON turns (decision_id, epoch) WHERE decision_id != '';
CREATE INDEX turns_session ON turns (session, live, id);
CREATE INDEX turns_memories ON turns (session, live, id) WHERE memories != '';
CREATE INDEX turns_card ON turns (session, live, id) WHERE card != '';
CREATE INDEX turns_npc ON turns (npc);
CREATE TABLE worlds (world TEXT PRIMARY KEY, epoch INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE snapshots (
    world TEXT NOT NULL, tag TEXT NOT NULL, time REAL NOT NULL, turns INTEGER NOT NULL, spans TEXT NOT NULL,
    PRIMARY KEY (world, tag)
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (id INTEGER PRIMARY KEY, time REAL NOT NULL, what TEXT NOT NULL) STRICT;
CREATE VIRTUAL TABLE words USING fts5(session, player_text, npc_text, content='turns', content_rowid='id',
    tokenize="porter unicode61 remove_diacritics 2");
"""
FIELDS = "turn_id, world, npc, player, time, player_text, npc_text, outcome, decision_id, state, memories, card"
"""Of a turn, in the order in which `row` gives them."""
_MOST_WAITING = 10_000


def session_token(scope: Scope) -> str:
    """One word for a scope, which the full-text index knows: digits, so that nothing stems them."""
    digest = hashlib.blake2b(msgspec.json.encode([scope.world, scope.npc, scope.player]), digest_size=12).digest()
    return f"{int.from_bytes(digest, 'big'):030d}"


def row(turn: TurnRecord) -> tuple[Any, ...]:
    """A turn as the values of `FIELDS`."""
    scope = turn.scope
    return (
        turn.turn_id,
        scope.world,
        scope.npc,
        scope.player,
        float(turn.time),
        turn.player_text,
        turn.npc_text,
        turn.outcome,
        turn.decision_id,
        msgspec.json.encode(turn.state).decode(),
        msgspec.json.encode(turn.memories).decode() if turn.memories else "",
        "" if turn.card is None else msgspec.json.encode(turn.card).decode(),
    )


def checksum(values: tuple[Any, ...]) -> int:
    """Of the values of a row: SQLite's own check does not see a text that was changed."""
    return zlib.crc32(msgspec.json.encode(values))


def insert(db: sqlite3.Connection, values: tuple[Any, ...]) -> None:
    """Add a turn; one that is there stays as it is."""
    world, npc, player = values[1:4]
    session = session_token(Scope(world, npc, player))
    last = db.execute(
        "SELECT position FROM turns WHERE session=? AND live=1 ORDER BY id DESC LIMIT 1", (session,)
    ).fetchone()
    position = (last[0] if last else 0) + (values[7] != "governed")  # which is no part of what was said
    epoch = db.execute("SELECT epoch FROM worlds WHERE world=?", (world,)).fetchone()
    added = db.execute(
        f"INSERT INTO turns ({FIELDS}, session, position, epoch, checksum) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
        " ON CONFLICT DO NOTHING",
        (*values, session, position, epoch[0] if epoch else 0, checksum(values)),
    )
    if added.rowcount:
        db.execute(
            "INSERT INTO words (rowid, session, player_text, npc_text) VALUES (?,?,?,?)",
            (added.lastrowid, session, values[5], values[6]),
        )


def remove(db: sqlite3.Connection, where: str, values: tuple[Any, ...]) -> int:
    """Delete turns, in the index too."""
    db.execute(
        "INSERT INTO words (words, rowid, session, player_text, npc_text)"
        f" SELECT 'delete', id, session, player_text, npc_text FROM turns WHERE {where}",
        values,
    )
    return db.execute(f"DELETE FROM turns WHERE {where}", values).rowcount


def scrub(db: sqlite3.Connection) -> None:
    """After `remove`, outside a transaction: no deleted word stays in the index, the log or a free page."""
    db.execute("INSERT INTO words (words) VALUES ('optimize')")
    db.execute("VACUUM")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def note(db: sqlite3.Connection, what: str) -> None:
    """For whoever asks later what an operator did."""
    db.execute("INSERT INTO audit (time, what) VALUES (?,?)", (time.time(), what))


def create(db: sqlite3.Connection) -> None:
    """The tables, in an empty file."""
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            db.execute(statement)
    db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def migrate(db: sqlite3.Connection, version: int) -> None:
    """Bring older tables to this version, in the transaction that is open."""
    assert version == 2
    db.execute("ALTER TABLE turns RENAME TO turns_2")
    for index in ("turns_scope", "turns_decision"):
        db.execute(f"DROP INDEX {index}")
    db.execute("DROP TABLE words")
    create(db)
    for old in db.execute(
        "SELECT turn_id, world, npc, player, time, player_text, npc_text, outcome, decision_id, state"
        " FROM turns_2 ORDER BY id"
    ):
        insert(db, (*old, "", ""))
    db.execute("DROP TABLE turns_2")
    note(db, f"brought from schema {version} to {SCHEMA_VERSION}")


OLDEST = 2


def version_of(db: sqlite3.Connection) -> int:
    """The schema of a file; 0 for an empty one."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


class Database:
    """An opened file and the thread that owns its one connection."""

    def __init__(self, path: Path, synchronous: str) -> None:
        self.path = path
        self._synchronous = synchronous
        self._jobs: queue.Queue[tuple[Callable[[sqlite3.Connection], Any], bool, Any, Any] | None] = queue.Queue(
            _MOST_WAITING
        )
        self._thread = threading.Thread(target=self._work, name="rfsn-sqlite", daemon=True)
        self._opened: queue.Queue[BaseException | None] = queue.Queue()

    @property
    def backups(self) -> Path:
        """Their folder."""
        return self.path.parent / "backups"

    # ── opening and closing ──────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Open or create the file, in the thread. Raises StoreError, which says what to do."""
        self._thread.start()
        error = await asyncio.to_thread(self._opened.get)
        if error is not None:
            raise error

    async def stop(self) -> None:
        """Finish what waits, checkpoint, close."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _connect(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, isolation_level=None, timeout=2, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"cannot open {self.path}: {error}", hint="Is the folder writable? `data_dir` in the settings moves it"
            ) from error
        try:
            # Exclusive: a second server on this file is refused instead of corrupting what this one knows.
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={self._synchronous}")
            connection.execute("PRAGMA secure_delete=ON")
            version = version_of(connection)
            if version > SCHEMA_VERSION:
                raise StoreError(
                    f"{self.path} was written by a newer RFSN (schema {version})", hint="Upgrade rfsn-core"
                )
            if 0 < version < OLDEST:
                hint = "Move it away to start anew"
                raise StoreError(f"{self.path} was written by an early version (schema {version})", hint=hint)
            if 0 < version < SCHEMA_VERSION:
                self.copy(connection, f"before-schema-{SCHEMA_VERSION}-")
            connection.execute("BEGIN IMMEDIATE")
            if version == 0:
                create(connection)
            elif version < SCHEMA_VERSION:
                migrate(connection, version)
            connection.execute("COMMIT")
            result = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if result != "ok":
                raise sqlite3.DatabaseError(result)
        except sqlite3.Error as error:
            connection.close()
            text = str(error)
            if "locked" in text:
                raise StoreInUse(
                    f"{self.path} is in use by another process", hint="Stop the other server, or set another data_dir"
                ) from error
            if "readonly" in text or "unable to open" in text:
                raise StoreError(
                    f"cannot write {self.path}: {text}",
                    hint="Is the folder writable? `data_dir` in the settings moves it",
                ) from error
            raise StoreError(
                f"{self.path} is damaged: {text}",
                hint=f"Move it away to start anew, or put back a copy from {self.backups}",
            ) from error
        except StoreError:
            connection.close()
            raise
        return connection

    def copy(self, db: sqlite3.Connection, prefix: str = "") -> Path:
        """A whole copy among the backups, in the thread."""
        self.backups.mkdir(exist_ok=True)
        stamp = prefix + time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        path = next(
            candidate
            for n in range(10_000)
            if not (candidate := self.backups / f"{stamp}{f'-{n}' if n else ''}.db").exists()
        )
        partial = path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        db.execute("VACUUM INTO ?", (str(partial),))
        os.replace(partial, path)
        return path

    # ── the thread ───────────────────────────────────────────────────────────────────────────────

    def _work(self) -> None:
        try:
            connection = self._connect()
        except BaseException as error:  # noqa: BLE001  handed to the opener, whatever it is
            self._opened.put(error)
            return
        self._opened.put(None)
        with closing(connection):
            running = True
            while running:
                batch = [self._jobs.get()]
                while len(batch) < 256:
                    try:
                        batch.append(self._jobs.get_nowait())
                    except queue.Empty:
                        break
                running = batch[-1] is not None and None not in batch
                self._run(connection, [job for job in batch if job is not None])

    def _run(self, connection: sqlite3.Connection, batch: list[Any]) -> None:
        """Run jobs in order; writes next to each other share one transaction, each behind a savepoint."""
        done: list[tuple[Any, Any, Any, BaseException | None]] = []

        def commit() -> None:
            error: BaseException | None = None
            if connection.in_transaction:
                try:
                    connection.execute("COMMIT")
                except sqlite3.Error as problem:
                    error = problem
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
            for loop, future, value, own in done:
                _answer(loop, future, value, own or error)
            done.clear()

        for job, writes, loop, future in batch:
            if not writes:
                commit()
            value, own = None, None
            try:
                if writes:
                    if not connection.in_transaction:
                        connection.execute("BEGIN IMMEDIATE")
                    connection.execute("SAVEPOINT job")
                value = job(connection)
                if writes:
                    connection.execute("RELEASE job")
            except BaseException as error:  # noqa: BLE001  handed to whoever waits for the job
                own = error
                if connection.in_transaction:
                    _undo(connection, whole=not writes)
            done.append((loop, future, value, own))
        commit()

    async def do(self, job: Callable[[sqlite3.Connection], T], *, writes: bool = False) -> T:
        """Run a job in the thread; one that `writes` is all or nothing, and done when it is on disk.

        Raises StoreError for SQLite's errors, and when too much waits.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        try:
            self._jobs.put_nowait((job, writes, loop, future))
        except queue.Full:
            raise StoreError(f"{self.path}: {_MOST_WAITING} operations are waiting") from None
        try:
            return await future
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error


def _undo(connection: sqlite3.Connection, *, whole: bool) -> None:
    """What one job did, or, where it cannot be told apart or had a transaction of its own, all that is open."""
    try:
        if not whole:
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
            return
    except sqlite3.Error:
        pass
    connection.execute("ROLLBACK")


def _answer(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], value: Any, error: BaseException | None
) -> None:
    def deliver() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    if not loop.is_closed():
        loop.call_soon_threadsafe(deliver)

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
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from rfsn_core.contract.errors import StoreError, StoreInUse
from rfsn_core.contract.storage import GOVERNED, Scope, TurnRecord
from rfsn_core.kit import backups

T = TypeVar("T")
SCHEMA_VERSION = 5
CONVERSATIONS = """
CREATE TABLE conversations (
    conversation TEXT PRIMARY KEY, save TEXT NOT NULL, npc TEXT NOT NULL, player TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX conversations_npc ON conversations (npc);
"""
"""Whose turns are in which conversation: few rows, where an index of all turns by NPC would cost each append a page."""
SCHEMA = """
CREATE TABLE turns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    turn_id TEXT NOT NULL, epoch INTEGER NOT NULL,
    conversation TEXT NOT NULL, position INTEGER NOT NULL, live INTEGER NOT NULL DEFAULT 1,
    save TEXT NOT NULL, npc TEXT NOT NULL, player TEXT NOT NULL, time REAL NOT NULL,
    player_text TEXT NOT NULL, npc_text TEXT NOT NULL, outcome TEXT NOT NULL,
    decision_id TEXT NOT NULL, state TEXT NOT NULL, memories TEXT NOT NULL, card TEXT NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX turns_id ON turns (turn_id, epoch);
CREATE INDEX turns_conversation ON turns (conversation, live, position);
CREATE INDEX turns_memories ON turns (conversation, live, position) WHERE memories != '';
CREATE INDEX turns_card ON turns (conversation, live, position) WHERE card != '';
CREATE TABLE saves (save TEXT PRIMARY KEY, epoch INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE snapshots (
    save TEXT NOT NULL, tag TEXT NOT NULL, time REAL NOT NULL, turns INTEGER NOT NULL, spans TEXT NOT NULL,
    PRIMARY KEY (save, tag)
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (id INTEGER PRIMARY KEY, time REAL NOT NULL, what TEXT NOT NULL) STRICT;
CREATE VIRTUAL TABLE words USING fts5(conversation, player_text, npc_text, content='turns', content_rowid='id',
    tokenize="porter unicode61 remove_diacritics 2");
"""
FIELDS = "turn_id, save, npc, player, time, player_text, npc_text, outcome, decision_id, state, memories, card"
"""Of a turn, in the order in which `row` gives them."""
CHECKPOINT_AT = 4000
"""Pages of the log, 16 MB, that are moved into the file at once: a page that many turns changed is moved once."""
_MOST_WAITING = 10_000


def conversation_token(scope: Scope) -> str:
    """One word for a scope, which the full-text index knows: digits, so that nothing stems them."""
    digest = hashlib.blake2b(msgspec.json.encode([scope.save, scope.npc, scope.player]), digest_size=12).digest()
    return f"{int.from_bytes(digest, 'big'):030d}"


def row(turn: TurnRecord) -> tuple[Any, ...]:
    """A turn as the values of `FIELDS`."""
    scope = turn.scope
    return (
        turn.turn_id,
        scope.save,
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


class Places:
    """The position of each conversation's last turn, and the epoch of each save; only the writer thread uses it.

    Whatever else than `insert` changes turns has to `forget` it.
    """

    def __init__(self) -> None:
        self._positions: dict[str, int] = {}
        self._epochs: dict[str, int] = {}

    def last(self, db: sqlite3.Connection, conversation: str, scope: Scope) -> int:
        """Position of the conversation's last turn; a conversation that is new is entered."""
        if conversation not in self._positions:
            entered = (conversation, scope.save, scope.npc, scope.player)
            db.execute("INSERT OR IGNORE INTO conversations VALUES (?,?,?,?)", entered)
            if len(self._positions) > 10_000:
                self._positions.clear()
            sql = "SELECT max(position) FROM turns WHERE conversation=? AND live=1"
            last = db.execute(sql, (conversation,)).fetchone()
            self._positions[conversation] = last[0] or 0
        return self._positions[conversation]

    def took(self, conversation: str, position: int) -> None:
        """A turn was added."""
        self._positions[conversation] = position

    def epoch(self, db: sqlite3.Connection, save: str) -> int:
        """How often the save went back to a save."""
        if save not in self._epochs:
            found = db.execute("SELECT epoch FROM saves WHERE save=?", (save,)).fetchone()
            self._epochs[save] = found[0] if found else 0
        return self._epochs[save]

    def forget(self) -> None:
        """Something else was done to the file, or undone."""
        self._positions.clear()
        self._epochs.clear()


def insert(db: sqlite3.Connection, values: tuple[Any, ...], places: Places) -> None:
    """Add a turn; one that is there stays as it is."""
    scope = Scope(*values[1:4])
    conversation = conversation_token(scope)
    position = places.last(db, conversation, scope) + (values[7] != GOVERNED)  # which is no part of what was said
    added = db.execute(
        f"INSERT INTO turns ({FIELDS}, conversation, position, epoch, checksum)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
        " ON CONFLICT DO NOTHING",
        (*values, conversation, position, places.epoch(db, scope.save), checksum(values)),
    )
    if added.rowcount:
        places.took(conversation, position)
        db.execute(
            "INSERT INTO words (rowid, conversation, player_text, npc_text) VALUES (?,?,?,?)",
            (added.lastrowid, conversation, values[5], values[6]),
        )


def remove(db: sqlite3.Connection, where: str, values: tuple[Any, ...]) -> int:
    """Delete turns, in the index too."""
    db.execute(
        "INSERT INTO words (words, rowid, conversation, player_text, npc_text)"
        f" SELECT 'delete', id, conversation, player_text, npc_text FROM turns WHERE {where}",
        values,
    )
    gone = db.execute(f"DELETE FROM turns WHERE {where}", values).rowcount
    db.execute(
        "DELETE FROM conversations WHERE NOT EXISTS"
        " (SELECT 1 FROM turns WHERE turns.conversation = conversations.conversation)"
    )
    return gone


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
    _run(db, CONVERSATIONS + SCHEMA)
    db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _run(db: sqlite3.Connection, statements: str) -> None:
    """One by one: `executescript` would commit."""
    for statement in statements.split(";\n"):
        if statement.strip():
            db.execute(statement)


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
        self.places = Places()

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
            connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_AT}")
            version = version_of(connection)
            if version > SCHEMA_VERSION:
                raise StoreError(
                    f"{self.path} was written by a newer RFSN (schema {version})", hint="Upgrade rfsn-core"
                )
            if 0 < version < SCHEMA_VERSION:
                hint = "Move it away to start with an empty file"
                raise StoreError(f"{self.path} was written by a version before 0.1 (schema {version})", hint=hint)
            connection.execute("BEGIN IMMEDIATE")
            if version == 0:
                create(connection)
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
        path = backups.new(self.backups, prefix, ".db")
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
        """Run jobs in order; writes next to each other share one transaction."""
        for writes, jobs in groupby(batch, key=lambda job: job[1]):
            if writes:
                self._write(connection, list(jobs))
                continue
            for job, _, loop, future in jobs:
                value, error = self._attempt(connection, job)
                _answer([(loop, future, value, error)])

    def _write(self, connection: sqlite3.Connection, jobs: list[Any]) -> None:
        """All of them in one commit; where one fails, each for itself."""
        values, error = self._attempt(connection, lambda db: [job(db) for job, *_ in jobs], "BEGIN IMMEDIATE")
        if error is None:
            _answer([(loop, future, value, None) for (_, _, loop, future), value in zip(jobs, values, strict=True)])
            return
        if len(jobs) == 1:
            _answer([(*jobs[0][2:], None, error)])
            return
        for job in jobs:
            self._write(connection, [job])

    def _attempt(
        self, connection: sqlite3.Connection, job: Callable[[sqlite3.Connection], Any], begin: str = ""
    ) -> tuple[Any, BaseException | None]:
        """What a job returns or raises; after an error nothing of it is there."""
        try:
            if begin:
                connection.execute(begin)
            value = job(connection)
            if begin:
                connection.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001  handed to whoever waits for the job
            self.places.forget()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            return None, error
        return value, None

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


def _answer(answers: list[tuple[Any, Any, Any, BaseException | None]]) -> None:
    """One call into the loop for all of them: each wakes it."""

    def deliver() -> None:
        for _, future, value, error in answers:
            if future.done():
                continue
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

    loop = answers[0][0]
    if not loop.is_closed():
        loop.call_soon_threadsafe(deliver)

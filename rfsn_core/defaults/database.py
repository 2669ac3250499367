"""The file of the embedded store: its tables, older versions of them, and the one thread that works in it.

WAL with synchronous=FULL: what a job returned from survives a crash and a power cut. Writes that wait
together share one commit. (docs/decisions/storage.md)
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from rfsn_core.contract.errors import StoreError, StoreInUse
from rfsn_core.contract.storage import GOVERNED, Scope, TurnRecord
from rfsn_core.kit import backups
from rfsn_core.kit.writer import Job, WriterThread, deliver

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


@dataclass(frozen=True)
class Operation:
    """What to do with the connection; one that `writes` runs in a transaction."""

    function: Callable[[sqlite3.Connection], Any]
    writes: bool


class Database(WriterThread[Operation]):
    """An opened file and the thread that owns its one connection."""

    def __init__(self, path: Path, synchronous: str) -> None:
        super().__init__("rfsn-sqlite", str(path))
        self.path = path
        self._synchronous = synchronous
        self._connection: sqlite3.Connection
        self.places = Places()

    @property
    def backups(self) -> Path:
        """Their folder."""
        return self.path.parent / "backups"

    # ── opening and closing ──────────────────────────────────────────────────────────────────────

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

    def _open(self) -> None:
        self._connection = self._connect()

    def _close(self) -> None:
        self._connection.close()

    def _run(self, batch: list[Job[Operation]]) -> None:
        """Run operations in order; writes next to each other share one transaction."""
        for writes, group in groupby(batch, key=lambda job: job.work.writes):
            jobs = list(group)
            if writes:
                self._write(jobs)
                continue
            for job in jobs:
                job.result, job.error = self._attempt(job.work.function)
                deliver([job])

    def _write(self, jobs: list[Job[Operation]]) -> None:
        """Run all of them in one transaction; when one fails, each in its own."""
        results, error = self._attempt(lambda db: [job.work.function(db) for job in jobs], "BEGIN IMMEDIATE")
        if error is not None and len(jobs) > 1:
            for job in jobs:
                self._write([job])
            return
        for number, job in enumerate(jobs):
            job.result, job.error = (None, error) if error is not None else (results[number], None)
        deliver(jobs)

    def _attempt(
        self, function: Callable[[sqlite3.Connection], Any], begin: str = ""
    ) -> tuple[Any, BaseException | None]:
        """Return what a function returns or raises; after an error nothing of it is in the file."""
        db = self._connection
        try:
            if begin:
                db.execute(begin)
            value = function(db)
            if begin:
                db.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001  raised by `do`
            self.places.forget()
            if db.in_transaction:
                db.execute("ROLLBACK")
            return None, error
        return value, None

    async def do(self, function: Callable[[sqlite3.Connection], T], *, writes: bool = False) -> T:
        """Run a function in the thread; one that `writes` is all or nothing, and done when it is on disk.

        Raises StoreError for SQLite's errors, and when too much waits.
        """
        try:
            return cast(T, await self.submit(Operation(function, writes)))
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error

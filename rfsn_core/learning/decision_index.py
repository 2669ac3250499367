"""An SQLite index of the decision log: where the decisions and rewards are in its files, and what was learned from.

The lines are the truth. The index may lag behind them after a crash; at the next start it catches up, or is deleted
and built again.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from rfsn_core.learning.log_files import FILES, Record, log_files, read_lines
from rfsn_core.learning.records import DecisionRecord, RewardRecord, UpdateRecord
from rfsn_core.telemetry.logs import logger

log = logger("decision_log")

Row = tuple[str, tuple[Any, ...]]
Place = tuple[str, int]
"""File, and offset of the line in it."""
SCHEMA = """
CREATE TABLE decisions (
    id TEXT PRIMARY KEY, npc TEXT, conversation TEXT, time REAL, file TEXT, place INTEGER
) WITHOUT ROWID;
CREATE INDEX by_npc ON decisions (npc, time);
CREATE INDEX by_conversation ON decisions (conversation, time);
CREATE INDEX by_time ON decisions (time);
CREATE TABLE rewards (id TEXT PRIMARY KEY, decision TEXT, file TEXT, place INTEGER) WITHOUT ROWID;
CREATE INDEX by_decision ON rewards (decision);
CREATE TABLE updated_decisions (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE processed_rewards (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE files (name TEXT PRIMARY KEY, size INTEGER) WITHOUT ROWID;
"""
SCHEMA_VERSION = 4
ROWS_WAITING = 500
"""Rows that may wait while nobody asks."""


class DecisionIndex:
    """The index of one folder, for the one thread that writes its files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "index.db"
        self._db: sqlite3.Connection
        self._rows: list[Row] = []
        """SQL and values. Not records: the garbage collector walks those again and again."""
        self._sizes: dict[str, int] = {}
        """File → up to where it is in the index and in `_rows`."""
        self._is_behind = False
        """Whether there are lines on disk that are neither in the index nor in `_rows`."""

    def open(self) -> None:
        """Open the index and bring it up to date; one that cannot be used is built again. Raises sqlite3.Error when
        another process has it, and OSError."""
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if "locked" in str(error):
                raise
            log.warning("decision_log.index_rebuilt", index=str(self._path), reason=str(error))
            self._delete()
            self._open()

    def close(self) -> None:
        """Write what waits, and close."""
        self.flush()
        self._db.close()

    def rebuild(self) -> None:
        """Build the index again from the lines."""
        self._db.close()
        self._rows.clear()
        self._sizes.clear()
        self._delete()
        self._open()

    # ── writing ──────────────────────────────────────────────────────────────────────────────────

    def add(self, record: Record, file: str, start: int, end: int) -> None:
        """Add a line. It is in the index after the next `flush`."""
        if rows := _rows(record, file, start):
            self._rows += rows
            self._sizes[file] = end

    @property
    def waiting(self) -> int:
        """Rows that wait for `flush`."""
        return len(self._rows)

    def flush(self) -> None:
        """Write what waits. After an error the index catches up at the next call."""
        if not (self._rows or self._is_behind):
            return
        rows, self._rows = self._rows, []
        sizes, self._sizes = self._sizes, {}
        try:
            self._db.execute("BEGIN")
            if self._is_behind:
                self._catch_up()
            else:
                for sql, values in rows:
                    self._db.execute(sql, values)
                self._db.executemany("INSERT OR REPLACE INTO files VALUES (?,?)", sizes.items())
            self._db.execute("COMMIT")
            self._is_behind = False
        except (sqlite3.Error, OSError) as error:
            self._is_behind = True
            log.error("decision_log.index_behind", index=str(self._path), error=repr(error))
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def rename(self, old: str, new: str) -> None:
        """Note that a file was renamed. Call `flush` before. Raises sqlite3.Error."""
        for table, column in (("decisions", "file"), ("rewards", "file"), ("files", "name")):
            self._db.execute(f"UPDATE {table} SET {column}=? WHERE {column}=?", (new, old))

    # ── reading ──────────────────────────────────────────────────────────────────────────────────

    def decision(self, decision_id: str) -> Place | None:
        """Return where a decision is."""
        row: Place | None = self._db.execute("SELECT file, place FROM decisions WHERE id=?", (decision_id,)).fetchone()
        return row

    def decisions(self, npc: str, conversation: str, since: float, limit: int) -> list[Place]:
        """Return where decisions are, newest first."""
        return self._db.execute(
            "SELECT file, place FROM decisions WHERE (?1='' OR npc=?1) AND (?2='' OR conversation=?2) AND time>=?3"
            " ORDER BY time DESC, place DESC LIMIT ?4",
            (npc, conversation, since, limit),
        ).fetchall()

    def rewards(self, decision_id: str) -> list[Place]:
        """Return where the rewards of a decision are, oldest first."""
        sql = "SELECT file, place FROM rewards WHERE decision=? ORDER BY file, place"
        return self._db.execute(sql, (decision_id,)).fetchall()

    def unprocessed_rewards(self, limit: int) -> list[Place]:
        """Return where the newest rewards are that no update was logged for, oldest first."""
        sql = (
            "SELECT file, place FROM rewards WHERE id NOT IN (SELECT id FROM processed_rewards)"
            " ORDER BY file='rewards.jsonl' DESC, file DESC, place DESC LIMIT ?"
        )
        return self._db.execute(sql, (limit,)).fetchall()[::-1]

    def has_reward(self, reward_id: str) -> bool:
        """Whether there is a reward of this id."""
        return self._exists("SELECT 1 FROM rewards WHERE id=?", reward_id)

    def has_update(self, decision_id: str) -> bool:
        """Whether a decision changed the weights."""
        return self._exists("SELECT 1 FROM updated_decisions WHERE id=?", decision_id)

    def _exists(self, sql: str, value: str) -> bool:
        return self._db.execute(sql, (value,)).fetchone() is not None

    # ── the file ─────────────────────────────────────────────────────────────────────────────────

    def _open(self) -> None:
        db = self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=1)
        try:
            db.execute("PRAGMA locking_mode=EXCLUSIVE")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=OFF")  # the lines are the truth
            db.execute("BEGIN IMMEDIATE")
            if db.execute("PRAGMA user_version").fetchone()[0] != SCHEMA_VERSION:
                if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise sqlite3.DatabaseError("it has another schema")
                for statement in SCHEMA.split(";\n"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            self._catch_up()
            db.execute("COMMIT")
        except BaseException:
            db.close()
            raise

    def _delete(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _catch_up(self) -> None:
        """Add the lines that are not indexed yet. Raises DatabaseError when indexed lines do not exist."""
        sizes: dict[str, int] = dict(self._db.execute("SELECT name, size FROM files").fetchall())
        for kind in (DecisionRecord, RewardRecord, UpdateRecord):
            current = f"{FILES[kind]}.jsonl"
            for path in log_files(self._folder, FILES[kind]):
                if path.name != current and path.name not in sizes and current in sizes:
                    # A process renamed it and died before it could tell the index, which has the offsets under the
                    # old name: that of another file now.
                    raise sqlite3.DatabaseError(f"{path.name} is not indexed")
                start = sizes.pop(path.name, 0)
                if start > path.stat().st_size:
                    raise sqlite3.DatabaseError(f"{path.name} is shorter than the index says")
                self._add_lines(path, kind, start)
        if any(name.startswith(("decisions.", "rewards.", "updates.")) for name in sizes):
            raise sqlite3.DatabaseError(f"missing files: {', '.join(sizes)}")

    def _add_lines(self, path: Path, kind: type[DecisionRecord | RewardRecord | UpdateRecord], start: int) -> None:
        end = start
        for line, record in read_lines(path, kind, start):
            for sql, values in _rows(record, path.name, line.start):
                self._db.execute(sql, values)
            end = line.end
        self._db.execute("INSERT OR REPLACE INTO files VALUES (?,?)", (path.name, end))


def _rows(record: Record, file: str, offset: int) -> list[Row]:
    """Return what to execute for a record: SQL and values."""
    if isinstance(record, DecisionRecord):
        decision = (record.decision_id, record.npc, record.conversation, record.time, file, offset)
        return [("INSERT OR IGNORE INTO decisions VALUES (?,?,?,?,?,?)", decision)]
    if isinstance(record, RewardRecord):
        reward = (record.reward_id, record.decision_id, file, offset)
        return [("INSERT OR IGNORE INTO rewards VALUES (?,?,?,?)", reward)]
    if not isinstance(record, UpdateRecord):
        return []
    rows: list[Row] = [("INSERT OR IGNORE INTO processed_rewards VALUES (?)", (record.reward_id,))]
    if not record.rejected:
        rows.append(("INSERT OR IGNORE INTO updated_decisions VALUES (?)", (record.decision_id,)))
    return rows

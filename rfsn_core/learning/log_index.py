"""An SQLite index of the turn log: where the decisions and rewards are in its files, and what was learned from.

The lines are the truth. The index may lag behind them after a crash; at the next start it catches up, or is deleted
and built again.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from rfsn_core.learning import log_lines
from rfsn_core.learning.log_files import LogFiles, Place
from rfsn_core.learning.records import DecisionRecord, LogRecord, Positions, RewardRecord, UpdateRecord
from rfsn_core.telemetry.logs import logger

log = logger("turn_log")

Row = tuple[str, tuple[Any, ...]]
SCHEMA = """
CREATE TABLE decisions (
    id TEXT PRIMARY KEY, npc TEXT, conversation TEXT, time REAL, file INTEGER, place INTEGER
) WITHOUT ROWID;
CREATE INDEX by_npc ON decisions (npc, time);
CREATE INDEX by_conversation ON decisions (conversation, time);
CREATE INDEX by_time ON decisions (time);
CREATE TABLE rewards (id TEXT PRIMARY KEY, decision TEXT, file INTEGER, place INTEGER) WITHOUT ROWID;
CREATE INDEX by_decision ON rewards (decision);
CREATE TABLE updated_decisions (id TEXT PRIMARY KEY, taught REAL) WITHOUT ROWID;
CREATE TABLE processed_rewards (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE log_end (file INTEGER, size INTEGER, seq INTEGER, hash TEXT, positions TEXT)
"""
SCHEMA_VERSION = 6
ROWS_WAITING = 500
"""Rows that may wait while nobody asks."""
_INDEXED: dict[str, type[DecisionRecord | RewardRecord | UpdateRecord | Positions]] = {
    "decision": DecisionRecord, "reward": RewardRecord, "update": UpdateRecord, "positions": Positions,
}  # fmt: skip


class LogEnd(msgspec.Struct):
    """The end of the log: where the next line goes, and what it names as the line before it."""

    file: int = 0
    size: int = 0
    seq: int = 0
    hash: str = log_lines.FIRST_HASH
    positions: dict[str, int] = {}
    """Follower → number of the last line that it has."""


class LogIndex:
    """The index of one folder, for the one thread that writes its files."""

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self._path = files.folder / "index.db"
        self._db: sqlite3.Connection
        self._rows: list[Row] = []
        """SQL and values. Not records: the garbage collector walks those again and again."""
        self.end = LogEnd()
        """Of the lines that are in the index and in `_rows`."""
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
            log.warning("turn_log.index_rebuilt", index=str(self._path), reason=str(error))
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
        self._delete()
        self._open()

    # ── writing ──────────────────────────────────────────────────────────────────────────────────

    def add(self, record: LogRecord, place: Place) -> None:
        """Add a line. It is in the index after the next `flush`."""
        self._rows += _rows(record, place)

    @property
    def waiting(self) -> int:
        """Rows that wait for `flush`."""
        return len(self._rows)

    def flush(self) -> None:
        """Write what waits. After an error the index catches up at the next call."""
        if not (self._rows or self._is_behind):
            return
        rows, self._rows = self._rows, []
        try:
            self._db.execute("BEGIN")
            if self._is_behind:
                self._catch_up()
            for sql, values in rows if not self._is_behind else ():
                self._db.execute(sql, values)
            self._save_end()
            self._db.execute("COMMIT")
            self._is_behind = False
        except (sqlite3.Error, OSError) as error:
            self._is_behind = True
            log.error("turn_log.index_behind", index=str(self._path), error=repr(error))
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    # ── reading ──────────────────────────────────────────────────────────────────────────────────

    def decision(self, decision_id: str) -> Place | None:
        """Return where a decision is."""
        row: Place | None = self._db.execute("SELECT file, place FROM decisions WHERE id=?", (decision_id,)).fetchone()
        return row

    def decisions(self, npc: str, conversation: str, since: float, limit: int) -> list[Place]:
        """Return where decisions are, newest first."""
        return self._db.execute(
            "SELECT file, place FROM decisions WHERE (?1='' OR npc=?1) AND (?2='' OR conversation=?2) AND time>=?3"
            " ORDER BY time DESC, file DESC, place DESC LIMIT ?4",
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
            " ORDER BY file DESC, place DESC LIMIT ?"
        )
        return self._db.execute(sql, (limit,)).fetchall()[::-1]

    def has_reward(self, reward_id: str) -> bool:
        """Whether there is a reward of this id."""
        return self._exists("SELECT 1 FROM rewards WHERE id=?", reward_id)

    def newest_rewards(self, limit: int) -> list[Place]:
        """Return where the newest rewards are, newest first."""
        sql = "SELECT file, place FROM rewards ORDER BY file DESC, place DESC LIMIT ?"
        return self._db.execute(sql, (limit,)).fetchall()

    def processed_rewards(self, decision_id: str) -> frozenset[str]:
        """Return the ids of a decision's rewards that an update was logged for."""
        sql = "SELECT id FROM rewards WHERE decision=? AND id IN (SELECT id FROM processed_rewards)"
        return frozenset(name for (name,) in self._db.execute(sql, (decision_id,)))

    def taught(self, decision_id: str) -> float | None:
        """Return the sum of the updates of a decision's action; None when there was none."""
        row = self._db.execute("SELECT taught FROM updated_decisions WHERE id=?", (decision_id,)).fetchone()
        return None if row is None else float(row[0])

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
            self._save_end()
            db.execute("COMMIT")
        except BaseException:
            db.close()
            raise

    def _delete(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _save_end(self) -> None:
        end = self.end
        self._db.execute("DELETE FROM log_end")
        values = (end.file, end.size, end.seq, end.hash, msgspec.json.encode(end.positions).decode())
        self._db.execute("INSERT INTO log_end VALUES (?,?,?,?,?)", values)

    def _saved_end(self) -> LogEnd:
        row = self._db.execute("SELECT file, size, seq, hash, positions FROM log_end").fetchone()
        if row is None:
            return LogEnd()
        file, size, seq, last_hash, positions = row
        return LogEnd(file, size, seq, last_hash, msgspec.json.decode(positions, type=dict[str, int]))

    def _catch_up(self) -> None:
        """Add the lines that are not indexed yet. Raises DatabaseError when indexed lines do not exist."""
        end, numbers = self._saved_end(), self._files.numbers
        if end.file and (end.file not in numbers or not self._exists_until(end)):
            raise sqlite3.DatabaseError(f"the log ends before line {end.seq}, which is indexed")
        for number in numbers:
            if number < end.file:
                continue
            start = end.size if number == end.file else 0
            end.file, end.size = number, start
            for offset, line in self._files.lines(number, start):
                self._add_line(end, line, (number, offset))
        self.end = end

    def _exists_until(self, end: LogEnd) -> bool:
        if end.file != self._files.current:
            return True  # it may be compressed by now
        return self._files.size_of(end.file) >= end.size

    def _add_line(self, end: LogEnd, line: bytes, place: Place) -> None:
        end.size, end.seq = place[1] + len(line), end.seq + 1
        end.hash = log_lines.hash_of(line)
        try:
            head = log_lines.header(line)
            end.seq, end.hash = head.seq, head.hash or end.hash
            if (kind := _INDEXED.get(head.kind)) is None:
                return
            record = msgspec.json.decode(line, type=kind)
        except msgspec.MsgspecError as error:
            log.warning("turn_log.line_skipped", file=place[0], offset=place[1], error=str(error))
            return
        if isinstance(record, Positions):
            end.positions |= record.positions
        for sql, values in _rows(record, place):
            self._db.execute(sql, values)


def _rows(record: LogRecord, place: Place) -> list[Row]:
    """Return what to execute for a record: SQL and values."""
    if isinstance(record, DecisionRecord):
        decision = (record.decision_id, record.npc, record.conversation, record.time, *place)
        return [("INSERT OR IGNORE INTO decisions VALUES (?,?,?,?,?,?)", decision)]
    if isinstance(record, RewardRecord):
        return [("INSERT OR IGNORE INTO rewards VALUES (?,?,?,?)", (record.reward_id, record.decision_id, *place))]
    if not isinstance(record, UpdateRecord):
        return []
    rows: list[Row] = [("INSERT OR IGNORE INTO processed_rewards VALUES (?)", (record.reward_id,))]
    if not record.rejected and record.slot == "action":
        sql = "INSERT INTO updated_decisions VALUES (?,?) ON CONFLICT (id) DO UPDATE SET taught=taught+excluded.taught"
        rows.append((sql, (record.decision_id, record.reward)))
    return rows

"""The gate's book, one SQLite file: stopped texts, texts that wait for approval, switches, and the audit log.

Workers and commands of one machine share the file. Nothing is written before something is stopped or decided.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

Status = Literal["blocked", "suspicious", "passed", "waiting", "approved", "rejected", "rewritten", "expired"]
MOST_ENTRIES = 10_000
"""Entries that are kept; the oldest go first."""
_TABLES = """
CREATE TABLE IF NOT EXISTS entries (
    id TEXT PRIMARY KEY, time REAL, expires REAL, status TEXT, side TEXT, npc TEXT, player TEXT, body TEXT,
    operator TEXT, answer TEXT);
CREATE INDEX IF NOT EXISTS entries_time ON entries (time);
CREATE TABLE IF NOT EXISTS audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT, time REAL, operator TEXT, what TEXT, detail TEXT);
CREATE TABLE IF NOT EXISTS switches (name TEXT PRIMARY KEY, value TEXT);
"""


class Entry(msgspec.Struct, kw_only=True):
    """A text that the gate stopped, found suspicious, or holds for approval."""

    id: str = ""
    time: float = 0.0
    side: str
    npc: str
    player: str = ""
    """A keyed digest of the player's name: the same player has the same one, and nobody can compute the name."""
    text: str
    verdict: str
    reasons: list[str]
    risk: float = 0.0
    evidence: list[str] = []
    status: Status = "blocked"
    operator: str = ""
    """Who decided."""
    answer: str = ""
    """What the operator wants said instead."""
    expires: float = 0.0
    """When it no longer waits, in seconds since the epoch."""


class Book:
    """The file. All methods are quick and may be called from any thread. They raise OSError or sqlite3.Error.

    :param folder: the data folder that all workers share.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "gate.sqlite"
        self._key_path = folder / "gate" / "key"
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._key = b""

    @property
    def key(self) -> bytes:
        """The secret of this data folder, made when it is first needed; `RFSN_GATE_KEY` takes its place."""
        if own := os.environ.get("RFSN_GATE_KEY"):
            return own.encode()
        with self._lock:
            if not self._key:
                self._key = self._load_key()
            return self._key

    def _load_key(self) -> bytes:
        self._key_path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(self._key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            for _ in range(50):  # another worker is writing it
                if key := self._key_path.read_bytes():
                    return key
                time.sleep(0.01)
            raise OSError(f"{self._key_path} is empty") from None
        with os.fdopen(descriptor, "wb") as file:
            file.write(key := os.urandom(32).hex().encode())
        return key

    def digest(self, name: str) -> str:
        """Return a keyed digest of a player's name."""
        return hmac.new(self.key, name.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:16]

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the file's write lock, also against other processes, while the block runs."""
        with self._lock:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise

    def _rows(self, query: str, *values: Any) -> list[Any]:
        """Return the rows of a query; no other process keeps it waiting."""
        if not self.path.exists():
            return []
        with self._lock:
            return self._open().execute(query, values).fetchall()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=5, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute("PRAGMA secure_delete=ON")
            self._connection.executescript(_TABLES)
        return self._connection

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # ── texts ────────────────────────────────────────────────────────────────────────────────────

    def add(self, entry: Entry, days: float) -> Entry:
        """Add an entry, and delete those that are older than some days."""
        entry.id, entry.time = entry.id or uuid.uuid4().hex[:12], entry.time or time.time()
        body = json.dumps([entry.text, entry.verdict, entry.reasons, entry.risk, entry.evidence], ensure_ascii=True)
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO entries VALUES (?,?,?,?,?,?,?,?,?,?)",
                (entry.id, entry.time, entry.expires, entry.status, entry.side, entry.npc, entry.player, body, "", ""),
            )
            connection.execute("DELETE FROM entries WHERE time < ?", (time.time() - days * 86400,))
            connection.execute(
                "DELETE FROM entries WHERE id IN (SELECT id FROM entries ORDER BY time DESC LIMIT -1 OFFSET ?)",
                (MOST_ENTRIES,),
            )
        return entry

    def entries(self, status: str = "", limit: int = 100, since: float = 0.0) -> list[Entry]:
        """Return entries, the newest first."""
        query = "SELECT * FROM entries WHERE (? = '' OR status = ?) AND time >= ? ORDER BY time DESC LIMIT ?"
        return [_entry(row) for row in self._rows(query, status, status, since, limit)]

    def entry(self, entry_id: str) -> Entry | None:
        """Return an entry; None when there is none, or no more."""
        rows = self._rows("SELECT * FROM entries WHERE id = ?", entry_id)
        return _entry(rows[0]) if rows else None

    def decide(self, entry_id: str, status: Status, operator: str, answer: str = "") -> bool:
        """Decide about an entry; returns False when somebody else decided before."""
        with self.transaction() as connection:
            changed = connection.execute(
                "UPDATE entries SET status = ?, operator = ?, answer = ? WHERE id = ? AND status NOT IN"
                " ('approved', 'rejected', 'rewritten', 'expired')",
                (status, operator, answer, entry_id),
            ).rowcount
        return changed > 0

    def forget(self, player: str) -> int:
        """Delete the entries of a player, by name; returns how many."""
        if not self.path.exists():
            return 0
        with self.transaction() as connection:
            return connection.execute("DELETE FROM entries WHERE player = ?", (self.digest(player),)).rowcount

    # ── switches and the audit log ───────────────────────────────────────────────────────────────

    def switch(self, name: str) -> str:
        """Return a switch's value; empty when it was never set."""
        rows = self._rows("SELECT value FROM switches WHERE name = ?", name)
        return str(rows[0][0]) if rows else ""

    def set_switch(self, name: str, value: str) -> None:
        """Set a switch."""
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO switches VALUES (?, ?)", (name, value))

    def note(self, operator: str, what: str, **detail: Any) -> None:
        """Append to the audit log. Texts of players do not belong there."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO audit (time, operator, what, detail) VALUES (?,?,?,?)",
                (time.time(), operator, what, json.dumps(detail, ensure_ascii=True)),
            )

    def audit(self, limit: int = 100) -> Sequence[dict[str, Any]]:
        """Return the audit log, the newest first."""
        return [
            {"number": number, "time": moment, "operator": operator, "what": what, **json.loads(detail)}
            for number, moment, operator, what, detail in self._rows(
                "SELECT * FROM audit ORDER BY number DESC LIMIT ?", limit
            )
        ]

    def count(self, operator: str, what: str, since: float) -> int:
        """Return how often an operator did something since a time."""
        query = "SELECT count(*) FROM audit WHERE operator = ? AND what = ? AND time >= ?"
        rows = self._rows(query, operator, what, since)
        return int(rows[0][0]) if rows else 0


def _entry(row: Sequence[Any]) -> Entry:
    entry_id, moment, expires, status, side, npc, player, body, operator, answer = row
    text, verdict, reasons, risk, evidence = json.loads(body)
    return Entry(
        id=entry_id, time=moment, expires=expires, status=status, side=side, npc=npc, player=player, text=text,
        verdict=verdict, reasons=reasons, risk=risk, evidence=evidence, operator=operator, answer=answer,
    )  # fmt: skip

"""The tables of the SQLite store, and how turns are written to them."""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from rfsn_core.contract.storage import GOVERNED, MemoryRecord, Scope, TurnRecord
from rfsn_core.defaults.storage import word_index

SCHEMA_VERSION = 6
SCHEMA = """
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, npc TEXT NOT NULL, player TEXT NOT NULL, save TEXT NOT NULL,
    UNIQUE (npc, player, save)
) STRICT;
CREATE TABLE turns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    turn_id TEXT NOT NULL, epoch INTEGER NOT NULL,
    conversation INTEGER NOT NULL, position INTEGER NOT NULL, live INTEGER NOT NULL DEFAULT 1,
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
"""
"""Turns are found by their conversation. An index of all turns by NPC would add a page to every commit."""
FIELDS = "turn_id, save, npc, player, time, player_text, npc_text, outcome, decision_id, state, memories, card"
"""The columns that hold a turn record, in the order of `values_of`."""
_MAX_CACHED = 10_000
_memories = msgspec.json.Decoder(tuple[MemoryRecord, ...])


def create(db: sqlite3.Connection) -> None:
    """Create the tables in an empty file, within a transaction."""
    for statement in (SCHEMA + word_index.SCHEMA).split(";\n"):  # `executescript` would commit
        if statement.strip():
            db.execute(statement)
    db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def version_of(db: sqlite3.Connection) -> int:
    """Return the schema version of a file; 0 for an empty one."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def values_of(turn: TurnRecord) -> tuple[Any, ...]:
    """Return a turn as the values of `FIELDS`."""
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


def turn_of(values: Sequence[Any]) -> TurnRecord:
    """Return the turn of the values of `FIELDS`."""
    return TurnRecord(
        turn_id=values[0],
        scope=Scope(*values[1:4]),
        time=values[4],
        player_text=values[5],
        npc_text=values[6],
        outcome=values[7],
        decision_id=values[8],
        state=msgspec.json.decode(values[9]),
        memories=_memories.decode(values[10]) if values[10] else (),
        card=msgspec.json.decode(values[11]) if values[11] else None,
    )


def checksum(values: Sequence[Any]) -> int:
    """Return a checksum of the values of `FIELDS`; SQLite itself does not notice a text that was changed on disk."""
    return zlib.crc32(msgspec.json.encode(tuple(values)))


class Positions:
    """A cache of each conversation's number and last position, and of each save's epoch, for the writer thread.

    Anything other than `insert` that changes turns has to call `clear`.
    """

    def __init__(self) -> None:
        self._positions: dict[Scope, tuple[int, int]] = {}
        self._epochs: dict[str, int] = {}

    def last(self, db: sqlite3.Connection, scope: Scope) -> tuple[int, int]:
        """Return a conversation's number and the position of its last turn; a new conversation gets a number."""
        if scope not in self._positions:
            if len(self._positions) >= _MAX_CACHED:
                self._positions.clear()
            names = (scope.npc, scope.player, scope.save)
            db.execute("INSERT OR IGNORE INTO conversations (npc, player, save) VALUES (?,?,?)", names)
            sql = "SELECT id FROM conversations WHERE npc=? AND player=? AND save=?"
            (conversation,) = db.execute(sql, names).fetchone()
            sql = "SELECT max(position) FROM turns WHERE conversation=? AND live=1"
            (last,) = db.execute(sql, (conversation,)).fetchone()
            self._positions[scope] = conversation, last or 0
        return self._positions[scope]

    def set_last(self, scope: Scope, conversation: int, position: int) -> None:
        """Note the position of a turn that was inserted."""
        self._positions[scope] = conversation, position

    def epoch(self, db: sqlite3.Connection, save: str) -> int:
        """Return how often the save was rolled back. Turn ids may occur again in a new epoch."""
        if save not in self._epochs:
            row = db.execute("SELECT epoch FROM saves WHERE save=?", (save,)).fetchone()
            self._epochs[save] = row[0] if row else 0
        return self._epochs[save]

    def clear(self) -> None:
        """Forget everything, after any other change of the file or a transaction that was rolled back."""
        self._positions.clear()
        self._epochs.clear()


def insert(db: sqlite3.Connection, values: tuple[Any, ...], positions: Positions) -> None:
    """Insert a turn, unless it is there already."""
    scope = Scope(*values[1:4])
    conversation, last = positions.last(db, scope)
    position = last + (values[7] != GOVERNED)  # a turn that only carries a change of memories has none of its own
    inserted = db.execute(
        f"INSERT INTO turns ({FIELDS}, conversation, position, epoch, checksum)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
        " ON CONFLICT DO NOTHING",
        (*values, conversation, position, positions.epoch(db, scope.save), checksum(values)),
    )
    if inserted.rowcount:
        assert inserted.lastrowid is not None
        positions.set_last(scope, conversation, position)
        word_index.add_turn(db, inserted.lastrowid, conversation, values[5], values[6])


def delete(db: sqlite3.Connection, where: str, values: Sequence[Any]) -> int:
    """Delete turns and their words, and return how many turns there were."""
    word_index.remove(db, f"live=1 AND {where}", values)
    deleted = db.execute(f"DELETE FROM turns WHERE {where}", values).rowcount
    db.execute(
        "DELETE FROM conversations WHERE NOT EXISTS (SELECT 1 FROM turns WHERE turns.conversation = conversations.id)"
    )
    return deleted


def set_live(db: sqlite3.Connection, save: str, spans: Sequence[Sequence[int]]) -> None:
    """Make exactly the turns in some spans of row numbers live, first and last included."""
    db.execute("CREATE TEMP TABLE IF NOT EXISTS wanted (id INTEGER PRIMARY KEY)")
    db.execute("DELETE FROM wanted")
    for first, last in spans:
        db.execute("INSERT INTO wanted SELECT id FROM turns WHERE save=? AND id BETWEEN ? AND ?", (save, first, last))
    undone = "save=? AND live=1 AND id NOT IN (SELECT id FROM wanted)"
    redone = "save=? AND live=0 AND id IN (SELECT id FROM wanted)"
    word_index.remove(db, undone, (save,))
    db.execute(f"UPDATE turns SET live=0 WHERE {undone}", (save,))
    word_index.add(db, redone, (save,))
    db.execute(f"UPDATE turns SET live=1 WHERE {redone}", (save,))
    db.execute("DELETE FROM wanted")


def shrink(db: sqlite3.Connection) -> None:
    """Remove every trace of deleted turns from the index, the free pages and the log. Not within a transaction."""
    db.execute("INSERT INTO words (words) VALUES ('optimize')")
    db.execute("VACUUM")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def add_to_audit(db: sqlite3.Connection, what: str) -> None:
    """Note what an operator did; `stats` shows it."""
    db.execute("INSERT INTO audit (time, what) VALUES (?,?)", (time.time(), what))

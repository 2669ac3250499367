"""The `sqlite` store: turns in one file. State, memories and cards are read from the turns that changed them."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from rfsn_core.contract.errors import NotFound, StoreError
from rfsn_core.contract.storage import (
    GOVERNED,
    Backup,
    MemoryRecord,
    MemoryStatus,
    Past,
    Scope,
    SearchHit,
    Snapshot,
    TurnRecord,
    latest,
)
from rfsn_core.defaults.storage import Settings, tables, word_index
from rfsn_core.defaults.storage.database import Database
from rfsn_core.defaults.storage.tables import FIELDS, add_to_audit, checksum
from rfsn_core.kit.backups import describe_backup, find_backup, list_backups, prune_backups
from rfsn_core.kit.search import add_neighbours, terms
from rfsn_core.memory.beliefs import working_set
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("storage")

EXPORT_PAGE = 500
"""Turns that an export reads at once."""
MOST_CHANGES = 1000
"""Turns with changes of memories that are read for a turn, the newest."""
HITS = 16
"""Turns from the index that a search ranks together with their neighbours; more when more are wanted."""


class Sqlite:
    """A store in one SQLite file."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self._keep = settings.keep_backups
        self._file = Database(path, settings.synchronous)
        self._do = self._file.do
        self.start, self.close = self._file.start, self._file.close

    # ── turns ────────────────────────────────────────────────────────────────────────────────────

    async def load(self, scope: Scope, turns: int, memories: int | None = None) -> Past:
        """Load by four reads in one job. A damaged row is left out and logged."""
        key = _key(scope)

        def job(db: sqlite3.Connection) -> Past:
            newest = self._turns(db, f"{_CONVERSATION} ORDER BY position DESC, id DESC LIMIT ?", (*key, max(1, turns)))
            last = newest[:1]  # before the turns without words are left out: they carry the state, too
            if not turns or not all(turn.spoken for turn in newest):
                newest = self._turns(
                    db, f"{_CONVERSATION} AND {_SPOKEN} ORDER BY position DESC, id DESC LIMIT ?", (*key, turns)
                )
            cards = self._turns(db, f"{_CONVERSATION} AND card != '' ORDER BY position DESC, id DESC LIMIT 1", key)
            return Past(
                state=last[0].state if last else None,
                turns=newest[::-1],
                memories=self._memories(db, key) if memories is None else self._newest_memories(db, key, memories),
                card=cards[0].card if cards else None,
            )

        return await self._do(job)

    async def append(self, turn: TurnRecord) -> None:
        values = tables.values_of(turn)
        await self._do(lambda db: tables.insert(db, values, self._file.positions), writes=True)

    async def append_all(self, turns: Sequence[TurnRecord]) -> None:
        rows = [tables.values_of(turn) for turn in turns]

        def job(db: sqlite3.Connection) -> None:
            for values in rows:
                tables.insert(db, values, self._file.positions)

        await self._do(job, writes=True)

    async def search(self, scope: Scope, query: str, limit: int) -> Sequence[SearchHit]:
        """Search the words of the index; a hit also raises the score of the turns around it."""
        words = terms(query)
        if not words or limit < 1:
            return ()
        key = _key(scope)

        def job(db: sqlite3.Connection) -> Sequence[SearchHit]:
            conversation = _conversation(db, scope)
            if conversation is None:
                return ()
            scores = word_index.search(db, conversation, words)
            rows = sorted(scores, key=lambda row: (-scores[row], -row))[: max(HITS, limit)]
            sql = f"SELECT id, position, length(player_text) + length(npc_text) FROM turns WHERE id IN ({_marks(rows)})"
            matches = db.execute(sql, rows).fetchall()
            average = sum(length for _, _, length in matches) / (len(matches) or 1)
            by_position = add_neighbours(
                {position: scores[row] * _length_weight(length / average) for row, position, length in matches}
            )
            best = sorted(by_position, key=lambda position: -by_position[position])[:limit]
            sql = f"{_CONVERSATION} AND {_SPOKEN} AND position IN ({_marks(best)})"
            cursor = db.execute(f"SELECT position, checksum, {FIELDS} FROM turns WHERE {sql}", (*key, *best))
            turns = [(position, self._turn(stored, values)) for position, stored, *values in cursor]
            hits = [SearchHit(turn, by_position[position]) for position, turn in turns if turn is not None]
            return sorted(hits, key=lambda hit: -hit.relevance)

        return await self._do(job)

    def _memories(self, db: sqlite3.Connection, key: tuple[str, str, str]) -> list[MemoryRecord]:
        changes = self._turns(db, f"{_CONVERSATION} AND memories != '' ORDER BY position, id", key)
        return latest(memory for turn in changes for memory in turn.memories)

    def _newest_memories(self, db: sqlite3.Connection, key: tuple[str, str, str], most: int) -> list[MemoryRecord]:
        """Return the newest memories that are not superseded. Reads backwards, so that it does not read all of them."""
        newest = f"{_CONVERSATION} AND memories != '' ORDER BY position DESC, id DESC LIMIT ?"
        versions: dict[str, MemoryRecord] = {}
        live = 0
        for turn in self._turns_lazily(db, newest, (*key, MOST_CHANGES)):
            for memory in reversed(turn.memories):
                if memory.memory_id not in versions:
                    versions[memory.memory_id] = memory
                    live += memory.status is not MemoryStatus.SUPERSEDED
            if live >= most:
                break
        return working_set(list(versions.values())[::-1], most)

    def _turns(self, db: sqlite3.Connection, where: str, values: tuple[Any, ...]) -> list[TurnRecord]:
        return list(self._turns_lazily(db, where, values))

    def _turns_lazily(self, db: sqlite3.Connection, where: str, values: tuple[Any, ...]) -> Iterator[TurnRecord]:
        for stored, *fields in db.execute(f"SELECT checksum, {FIELDS} FROM turns WHERE {where}", values):
            if (turn := self._turn(stored, fields)) is not None:
                yield turn

    def _turn(self, stored: int, values: Sequence[Any]) -> TurnRecord | None:
        """Return the turn in a row; None, with a line in the log, when its checksum is not the stored one."""
        if checksum(values) != stored:
            METRICS.errors.labels("storage").inc()
            hint = "`rfsn memory check` finds all damaged turns"
            log.error("turn.damaged", turn_id=str(values[0])[:100], file=str(self._file.path), hint=hint)
            return None
        return tables.turn_of(values)

    # ── saves ────────────────────────────────────────────────────────────────────────────────────

    async def snapshot(self, save: str, tag: str) -> Snapshot:
        """Store the spans of row numbers that are live now."""

        def job(db: sqlite3.Connection) -> Snapshot:
            rows = db.execute(f"SELECT id, live, {_SPOKEN} FROM turns WHERE save=? ORDER BY id", (save,)).fetchall()
            spans: list[tuple[int, int]] = []
            for live, run in groupby(rows, key=lambda row: row[1]):
                ids = [row[0] for row in run]
                if live:
                    spans.append((ids[0], ids[-1]))
            snapshot = Snapshot(save, tag, time.time(), sum(live * spoken for _, live, spoken in rows))
            db.execute(
                "INSERT OR REPLACE INTO snapshots VALUES (?,?,?,?,?)",
                (save, tag, snapshot.time, snapshot.turns, msgspec.json.encode(spans).decode()),
            )
            return snapshot

        return await self._do(job, writes=True)

    async def snapshots(self, save: str) -> Sequence[Snapshot]:
        def job(db: sqlite3.Connection) -> Sequence[Snapshot]:
            rows = db.execute(
                "SELECT save, tag, time, turns FROM snapshots WHERE ? IN ('', save) ORDER BY time DESC", (save,)
            )
            return [Snapshot(*row) for row in rows]

        return await self._do(job)

    async def rollback(self, save: str, tag: str) -> int:
        """Change which turns are live; nothing is deleted, so that a later snapshot can be rolled back to as well."""

        def job(db: sqlite3.Connection) -> int:
            row = db.execute("SELECT spans FROM snapshots WHERE save=? AND tag=?", (save, tag)).fetchone()
            if row is None:
                tags = ", ".join(row[0] for row in db.execute("SELECT tag FROM snapshots WHERE save=?", (save,)))
                raise NotFound(f"save '{save}' has no snapshot '{tag}'", hint=f"It has: {tags or 'none'}")
            tables.set_live(db, save, msgspec.json.decode(row[0]))
            count = f"SELECT count(*) FROM turns WHERE save=? AND live=1 AND {_SPOKEN}"
            live = int(db.execute(count, (save,)).fetchone()[0])
            # A new epoch: the turn ids that came after the snapshot may come again, with other turns.
            db.execute("INSERT INTO saves VALUES (?, 1) ON CONFLICT (save) DO UPDATE SET epoch = epoch + 1", (save,))
            self._file.positions.clear()
            add_to_audit(db, f"save {save} was rolled back to snapshot {tag}, {live} turns")
            return live

        return await self._do(job, writes=True)

    async def undo(self, scope: Scope, turn_id: str) -> bool:
        """Undo the last turn with words; its row stays, for snapshots that have it."""

        def job(db: sqlite3.Connection) -> bool:
            newest = f"SELECT id, position, turn_id FROM turns WHERE {_CONVERSATION} AND {_SPOKEN}"
            row = db.execute(f"{newest} ORDER BY position DESC, id DESC LIMIT 1", _key(scope)).fetchone()
            if row is None or row[2] != turn_id:
                return False
            undone = f"{_CONVERSATION} AND (id = ? OR position >= ? AND NOT {_SPOKEN})"
            values = (*_key(scope), row[0], row[1])
            word_index.remove(db, undone, values)
            db.execute(f"UPDATE turns SET live=0 WHERE {undone}", values)
            self._file.positions.clear()
            return True

        return await self._do(job, writes=True)

    # ── what an operator does ────────────────────────────────────────────────────────────────────

    async def stats(self, npc: str) -> Mapping[str, Any]:
        def job(db: sqlite3.Connection) -> Mapping[str, Any]:
            turns, live, players, first, last = db.execute(
                "SELECT count(*), sum(live), count(DISTINCT conversation), min(time), max(time) FROM turns"
                f" WHERE conversation IN (SELECT id FROM conversations WHERE npc=?) AND {_SPOKEN}",
                (npc,),
            ).fetchone()
            return {
                "npc": npc,
                "turns": live or 0,
                "undone": turns - (live or 0),
                "conversations": players,
                "first": first,
                "last": last,
                "bytes": self._file.path.stat().st_size,
                "done": [
                    {"time": moment, "what": what}
                    for moment, what in db.execute("SELECT time, what FROM audit ORDER BY id DESC LIMIT 20")
                ],
            }

        return await self._do(job)

    async def export(self, save: str, npc: str, player: str) -> AsyncIterator[TurnRecord]:
        """Read page by page, so that turns are not held up."""
        after = 0
        where = f"live=1 AND {_SELECTED} AND id > ?4 ORDER BY id LIMIT {EXPORT_PAGE}"
        while True:

            def job(db: sqlite3.Connection, after: int = after) -> tuple[int, list[TurnRecord]]:
                values = (save, npc, player, after)
                ids = [row[0] for row in db.execute(f"SELECT id FROM turns WHERE {where}", values)]
                return ids[-1] if ids else 0, self._turns(db, where, values)

            after, turns = await self._do(job)
            for turn in turns:
                yield turn
            if not after:
                return

    async def erase(self, save: str, npc: str, player: str, *, backups: bool) -> int:
        which = (save, npc, player)

        def erased(db: sqlite3.Connection) -> int:
            db.execute("BEGIN IMMEDIATE")
            count = int(db.execute(f"SELECT count(*) FROM turns WHERE {_SELECTED} AND {_SPOKEN}", which).fetchone()[0])
            tables.delete(db, _SELECTED, which)
            for name in filter(None, (save, npc)):
                db.execute("DELETE FROM audit WHERE instr(what, ?)", (name,))
            if save and not npc and not player:
                db.execute("DELETE FROM snapshots WHERE save=?", (save,))
                db.execute("DELETE FROM saves WHERE save=?", (save,))
            add_to_audit(db, f"{count} turns were erased")  # without names: they would be a trace
            db.execute("COMMIT")
            tables.shrink(db)
            return count

        def job(db: sqlite3.Connection) -> int:
            if backups:
                for path in sorted(self._file.backups.glob("*.db")):
                    with closing(sqlite3.connect(path, isolation_level=None)) as copy:
                        copy.execute("PRAGMA secure_delete=ON")
                        word_index.register(copy)
                        if tables.version_of(copy) == tables.SCHEMA_VERSION:
                            erased(copy)
                        else:
                            path.unlink()  # of another version: what it holds cannot be selected
            self._file.positions.clear()
            return erased(db)

        return await self._do(job)

    async def check(self) -> Sequence[str]:
        def job(db: sqlite3.Connection) -> Sequence[str]:
            damage = [f"{self._file.path}: {row[0]}" for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
            for stored, *values in db.execute(f"SELECT checksum, {FIELDS} FROM turns"):
                if checksum(values) != stored:
                    stamp = time.strftime("%Y-%m-%d %H:%M", time.gmtime(values[4]))
                    damage.append(f"turn {values[0]} of {values[2]} with {values[3]}, {stamp}: the checksum is wrong")
            return damage

        return await self._do(job)

    async def backup(self) -> Backup:
        def job(db: sqlite3.Connection) -> Backup:
            path = self._file.copy(db)
            prune_backups(self._file.backups, "*.db", self._keep)
            return describe_backup(path)

        return await self._do(job)

    async def backups(self) -> Sequence[Backup]:
        return await asyncio.to_thread(list_backups, self._file.backups, "*.db")

    async def restore(self, name: str) -> None:
        path = find_backup(self._file.backups, name)
        await asyncio.to_thread(_check_backup, path)
        await self.backup()

        def job(db: sqlite3.Connection) -> None:
            with closing(sqlite3.connect(path)) as source:
                source.backup(db)
            self._file.positions.clear()
            db.execute("BEGIN IMMEDIATE")
            add_to_audit(db, f"restored from {name}")
            db.execute("COMMIT")

        await self._do(job)

    async def reset(self, npc: str) -> Backup:
        saved = await self.backup()

        def job(db: sqlite3.Connection) -> None:
            deleted = tables.delete(db, "npc=?", (npc,))
            self._file.positions.clear()
            add_to_audit(db, f"{npc} was reset, {deleted} turns; backup: {saved.name}")

        await self._do(job, writes=True)
        return saved


_SPOKEN = f"(outcome != '{GOVERNED}')"
"""Turns that have words; the others only carry a change of memories."""
_CONVERSATION = "live=1 AND conversation=(SELECT id FROM conversations WHERE npc=? AND player=? AND save=?)"
_SELECTED = "?1 IN ('', save) AND ?2 IN ('', npc) AND ?3 IN ('', player)"


def _key(scope: Scope) -> tuple[str, str, str]:
    """Return the values for `_CONVERSATION`."""
    return scope.npc, scope.player, scope.save


def _conversation(db: sqlite3.Connection, scope: Scope) -> word_index.Conversation | None:
    """Return where a conversation's turns are; None when it has none."""
    sql = f"SELECT conversation, id, position FROM turns WHERE {_CONVERSATION} ORDER BY position"
    first = db.execute(f"{sql} LIMIT 1", _key(scope)).fetchone()
    if first is None:
        return None
    number, last, count = db.execute(f"{sql} DESC, id DESC LIMIT 1", _key(scope)).fetchone()
    return word_index.Conversation(number, first[1], last, count)


def _length_weight(length: float) -> float:
    """Return BM25's weight of a turn by its length, as a multiple of the average (k1 = 1.2, b = 0.75)."""
    return 2.2 / (1 + 1.2 * (0.25 + 0.75 * length))


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _check_backup(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        try:
            version = tables.version_of(db)
            whole = db.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
        except sqlite3.Error as error:
            raise StoreError(f"{path} is damaged: {error}") from error
        if not whole:
            raise StoreError(f"{path} is damaged")
        if version != tables.SCHEMA_VERSION:
            raise StoreError(f"{path} is of another version (schema {version})")

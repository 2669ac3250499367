"""`sqlite`: turns in one file, and all that is read off them: state, memories, cards, saves."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel, Field

from rfsn_core.contract.errors import NotFound, StoreError
from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import Host, Provider
from rfsn_core.contract.storage import (
    GOVERNED,
    Backup,
    MemoryRecord,
    Past,
    Scope,
    SearchHit,
    Snapshot,
    Store,
    TurnRecord,
)
from rfsn_core.defaults import database
from rfsn_core.defaults.database import FIELDS, Database, checksum, conversation_token, note
from rfsn_core.kit import backups
from rfsn_core.memory.beliefs import latest
from rfsn_core.memory.retrieval import add_neighbours, terms
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("storage")

PAGE = 500
"""Turns that an export reads at once."""
HITS = 64
"""Turns that the index gives a search before they are ranked."""
_memories = msgspec.json.Decoder(tuple[MemoryRecord, ...])


class Settings(BaseModel, extra="forbid"):
    """`[storage.sqlite]`."""

    file: str = Field("memory.db", min_length=1, description="File name, in the data folder.")
    keep_backups: int = Field(10, ge=1, description="Older automatic backups are deleted.")
    synchronous: str = Field("FULL", pattern="^(FULL|NORMAL)$", description="NORMAL may lose turns in a power cut.")


class Sqlite:
    """The opened provider."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self._keep = settings.keep_backups
        self._file = Database(path, settings.synchronous)
        self._do = self._file.do
        self.start, self.stop = self._file.start, self._file.stop

    # ── turns ────────────────────────────────────────────────────────────────────────────────────

    async def load(self, scope: Scope, turns: int) -> Past:
        """One job, four reads by index. A row that is damaged is left out, and told."""
        key = _key(scope)

        def job(db: sqlite3.Connection) -> Past:
            newest = self._turns(db, f"{_CONVERSATION} ORDER BY position DESC, id DESC LIMIT ?", (*key, max(1, turns)))
            last = newest[:1]
            if not turns or not all(turn.spoken for turn in newest):
                newest = self._turns(
                    db, f"{_CONVERSATION} AND {_SPOKEN} ORDER BY position DESC, id DESC LIMIT ?", (*key, turns)
                )
            changes = self._turns(db, f"{_CONVERSATION} AND memories != '' ORDER BY position, id", key)
            cards = self._turns(db, f"{_CONVERSATION} AND card != '' ORDER BY position DESC, id DESC LIMIT 1", key)
            return Past(
                state=last[0].state if last else None,
                turns=newest[::-1],
                memories=latest(memory for turn in changes for memory in turn.memories),
                card=cards[0].card if cards else None,
            )

        return await self._do(job)

    async def append(self, turn: TurnRecord) -> None:
        """Durable when it returns."""
        values = database.row(turn)
        await self._do(lambda db: database.insert(db, values, self._file.places), writes=True)

    async def search(self, scope: Scope, query: str, limit: int) -> Sequence[SearchHit]:
        """By bm25 within the conversation, whose id is a word of the index; a hit lifts the turns around it."""
        words = terms(query)
        if not words or limit < 1:
            return ()
        key = _key(scope)
        wanted = " OR ".join(f'"{word}"' for word in words)
        match = f'conversation : "{key[0]}" AND ({wanted})'

        def job(db: sqlite3.Connection) -> Sequence[SearchHit]:
            hits = db.execute(
                "SELECT turns.position, -bm25(words, 0.0, 1.0, 1.0) AS score"
                " FROM words JOIN turns ON turns.id = words.rowid WHERE words MATCH ?"
                f" AND {_CONVERSATION} ORDER BY score DESC LIMIT {HITS}",
                (match, *key),
            ).fetchall()
            scores = add_neighbours(dict(hits))
            best = sorted(scores, key=lambda position: -scores[position])[:limit]
            places = ",".join("?" * len(best))
            rows = db.execute(
                f"SELECT position, checksum, {FIELDS} FROM turns WHERE {_CONVERSATION} AND {_SPOKEN}"
                f" AND position IN ({places})",
                (*key, *best),
            ).fetchall()
            whole = ((position, self._turn(given, values)) for position, given, *values in rows)
            found = [SearchHit(turn, scores[position]) for position, turn in whole if turn is not None]
            return sorted(found, key=lambda each: -each.relevance)

        return await self._do(job)

    def _turns(self, db: sqlite3.Connection, where: str, values: tuple[Any, ...]) -> list[TurnRecord]:
        rows = db.execute(f"SELECT checksum, {FIELDS} FROM turns WHERE {where}", values)
        return [turn for given, *fields in rows if (turn := self._turn(given, fields)) is not None]

    def _turn(self, given: int, values: Sequence[Any]) -> TurnRecord | None:
        if checksum(tuple(values)) != given:
            METRICS.errors.labels("storage").inc()
            log.error("a stored turn is damaged and left out: rfsn memory check", turn=str(values[0])[:100])
            return None
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

    # ── saves ────────────────────────────────────────────────────────────────────────────────────

    async def snapshot(self, save: str, tag: str) -> Snapshot:
        """The spans of row numbers that are live now."""

        def job(db: sqlite3.Connection) -> Snapshot:
            rows = db.execute(f"SELECT id, live, {_SPOKEN} FROM turns WHERE save=? ORDER BY id", (save,)).fetchall()
            spans: list[tuple[int, int]] = []
            for live, run in groupby(rows, key=lambda row: row[1]):
                ids = [row[0] for row in run]
                if live:
                    spans.append((ids[0], ids[-1]))
            made = Snapshot(save, tag, time.time(), sum(live * spoken for _, live, spoken in rows))
            db.execute(
                "INSERT OR REPLACE INTO snapshots VALUES (?,?,?,?,?)",
                (save, tag, made.time, made.turns, msgspec.json.encode(spans).decode()),
            )
            return made

        return await self._do(job, writes=True)

    async def snapshots(self, save: str) -> Sequence[Snapshot]:
        def job(db: sqlite3.Connection) -> Sequence[Snapshot]:
            rows = db.execute(
                "SELECT save, tag, time, turns FROM snapshots WHERE ? IN ('', save) ORDER BY time DESC", (save,)
            )
            return [Snapshot(*row) for row in rows]

        return await self._do(job)

    async def rollback(self, save: str, tag: str) -> int:
        """What is live changes, nothing is deleted: a later save can be loaded again."""

        def job(db: sqlite3.Connection) -> int:
            found = db.execute("SELECT spans FROM snapshots WHERE save=? AND tag=?", (save, tag)).fetchone()
            if found is None:
                tags = ", ".join(row[0] for row in db.execute("SELECT tag FROM snapshots WHERE save=?", (save,)))
                raise NotFound(f"save '{save}' has no save '{tag}'", hint=f"It has: {tags or 'none'}")
            db.execute("UPDATE turns SET live=0 WHERE save=? AND live=1", (save,))
            for span in msgspec.json.decode(found[0]):
                db.execute("UPDATE turns SET live=1 WHERE save=? AND id BETWEEN ? AND ?", (save, *span))
            count = f"SELECT count(*) FROM turns WHERE save=? AND live=1 AND {_SPOKEN}"
            live = int(db.execute(count, (save,)).fetchone()[0])
            # Ids that came after may come again: a game that is played anew is no repetition.
            db.execute("INSERT INTO saves VALUES (?, 1) ON CONFLICT (save) DO UPDATE SET epoch = epoch + 1", (save,))
            self._file.places.forget()
            note(db, f"save {save} went back to save {tag}, {live} turns")
            return live

        return await self._do(job, writes=True)

    # ── what an operator does ────────────────────────────────────────────────────────────────────

    async def stats(self, npc: str) -> Mapping[str, Any]:
        def job(db: sqlite3.Connection) -> Mapping[str, Any]:
            turns, live, players, first, last = db.execute(
                "SELECT count(*), sum(live), count(DISTINCT conversation), min(time), max(time) FROM turns"
                f" WHERE conversation IN (SELECT conversation FROM conversations WHERE npc=?) AND {_SPOKEN}",
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
        """Page by page, so that turns go on meanwhile."""
        after = 0
        where = f"live=1 AND {_SELECTED} AND id > ?4 ORDER BY id LIMIT {PAGE}"
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
            database.remove(db, _SELECTED, which)
            for name in filter(None, (save, npc)):
                db.execute("DELETE FROM audit WHERE instr(what, ?)", (name,))
            if save and not npc and not player:
                db.execute("DELETE FROM snapshots WHERE save=?", (save,))
                db.execute("DELETE FROM saves WHERE save=?", (save,))
            note(db, f"{count} turns were erased")  # not whose: that would be a trace
            db.execute("COMMIT")
            database.scrub(db)
            return count

        def job(db: sqlite3.Connection) -> int:
            if backups:
                for path in sorted(self._file.backups.glob("*.db")):
                    with closing(sqlite3.connect(path, isolation_level=None)) as copy:
                        copy.execute("PRAGMA secure_delete=ON")
                        if database.version_of(copy) == database.SCHEMA_VERSION:
                            erased(copy)
                        else:
                            path.unlink()  # of another version: it cannot be searched
            self._file.places.forget()
            return erased(db)

        return await self._do(job)

    async def check(self) -> Sequence[str]:
        def job(db: sqlite3.Connection) -> Sequence[str]:
            found = [f"{self._file.path}: {row[0]}" for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
            for given, *values in db.execute(f"SELECT checksum, {FIELDS} FROM turns"):
                if checksum(tuple(values)) != given:
                    stamp = time.strftime("%Y-%m-%d %H:%M", time.gmtime(values[4]))
                    found.append(f"turn {values[0]} of {values[2]} with {values[3]}, {stamp}: not what was written")
            return found

        return await self._do(job)

    async def backup(self) -> Backup:
        def job(db: sqlite3.Connection) -> Backup:
            path = self._file.copy(db)
            for old in sorted(self._file.backups.glob("2*.db"), reverse=True)[self._keep :]:
                old.unlink()
            return backups.described(path)

        return await self._do(job)

    async def backups(self) -> Sequence[Backup]:
        return await asyncio.to_thread(backups.listed, self._file.backups, "*.db")

    async def restore(self, name: str) -> None:
        path = backups.find(self._file.backups, name)
        await asyncio.to_thread(_check_backup, path)
        await self.backup()

        def job(db: sqlite3.Connection) -> None:
            with closing(sqlite3.connect(path)) as source:
                source.backup(db)
            self._file.places.forget()
            db.execute("BEGIN IMMEDIATE")
            note(db, f"restored from {name}")
            db.execute("COMMIT")

        await self._do(job)

    async def reset(self, npc: str) -> Backup:
        saved = await self.backup()

        def job(db: sqlite3.Connection) -> None:
            forgot = database.remove(db, "npc=?", (npc,))
            self._file.places.forget()
            note(db, f"{npc} forgot {forgot} turns; before that: {saved.name}")

        await self._do(job, writes=True)
        return saved


_SPOKEN = f"(outcome != '{GOVERNED}')"
"""Turns as people count them: without those that only carry a change of memories."""
_CONVERSATION = "turns.conversation=? AND live=1 AND +save=? AND +npc=? AND +player=?"
"""By the index of conversations, and no other; the names are compared all the same."""
_SELECTED = "?1 IN ('', save) AND ?2 IN ('', npc) AND ?3 IN ('', player)"


def _key(scope: Scope) -> tuple[str, str, str, str]:
    return conversation_token(scope), scope.save, scope.npc, scope.player


def _check_backup(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        try:
            version = database.version_of(db)
            whole = db.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
        except sqlite3.Error as error:
            raise StoreError(f"{path} is damaged: {error}") from error
        if not whole:
            raise StoreError(f"{path} is damaged")
        if version != database.SCHEMA_VERSION:
            raise StoreError(f"{path} is of another version (schema {version})")


@asynccontextmanager
async def _open(settings: Settings, host: Host) -> AsyncIterator[Store]:
    store = Sqlite(host.data_dir / settings.file, settings)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


@hookimpl
def rfsn_storage() -> Iterable[Provider[Store]]:
    """The embedded default."""
    yield Provider("sqlite", Settings, _open, "one file, one writer thread, full-text search, saves")

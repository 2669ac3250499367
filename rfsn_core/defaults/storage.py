"""`sqlite`: turns and state in one file, written by one thread.

WAL with synchronous=FULL: what `append` returned from survives a crash and a power cut. Writes that wait
together share one commit. (docs/decisions/storage.md)
"""

from __future__ import annotations

import asyncio
import os
import queue
import re
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, Field

from rfsn_core.errors import StoreError, StoreInUse
from rfsn_core.hookspecs import hookimpl
from rfsn_core.providers import Backup, Host, Provider, Scope, Store, TurnRecord

T = TypeVar("T")
SCHEMA_VERSION = 2
SCHEMA = """
CREATE TABLE turns (
    id INTEGER PRIMARY KEY, turn_id TEXT NOT NULL UNIQUE,
    world TEXT NOT NULL, npc TEXT NOT NULL, player TEXT NOT NULL, time REAL NOT NULL,
    player_text TEXT NOT NULL, npc_text TEXT NOT NULL, outcome TEXT NOT NULL,
    decision_id TEXT NOT NULL, state TEXT NOT NULL
) STRICT;
CREATE INDEX turns_scope ON turns (npc, player, world, id);
CREATE UNIQUE INDEX turns_decision ON turns (decision_id) WHERE decision_id != '';
CREATE VIRTUAL TABLE words USING fts5(player_text, npc_text, content='turns', content_rowid='id',
    tokenize="porter unicode61 remove_diacritics 2");
"""
_COLUMNS = "turn_id, world, npc, player, time, player_text, npc_text, outcome, decision_id, state"
_QUERY_WORD = re.compile(r"\w+")
_MOST_WAITING = 10_000


class Settings(BaseModel, extra="forbid"):
    """`[storage.sqlite]`."""

    file: str = Field("memory.db", min_length=1, description="File name, in the data folder.")
    keep_backups: int = Field(10, ge=1, description="Older automatic backups are deleted.")
    synchronous: str = Field("FULL", pattern="^(FULL|NORMAL)$", description="NORMAL may lose turns in a power cut.")


class Sqlite:
    """The opened provider: a connection and the thread that owns it."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self._settings = settings
        self._jobs: queue.Queue[tuple[Callable[[sqlite3.Connection], Any], bool, Any, Any] | None] = queue.Queue(
            _MOST_WAITING
        )
        self._thread = threading.Thread(target=self._work, name="rfsn-sqlite", daemon=True)
        self._opened: queue.Queue[BaseException | None] = queue.Queue()

    # ── opening and closing ──────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Open or create the file, in the store's own thread."""
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
            connection.execute(f"PRAGMA synchronous={self._settings.synchronous}")
            connection.execute("PRAGMA secure_delete=ON")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            connection.execute("BEGIN IMMEDIATE")
            if version == 0:
                for statement in SCHEMA.split(";\n"):
                    if statement.strip():
                        connection.execute(statement)
                connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            connection.execute("COMMIT")
            if 0 < version < SCHEMA_VERSION:
                hint = "Move it away to start anew"
                raise StoreError(f"{self.path} was written by an early version (schema {version})", hint=hint)
            if version > SCHEMA_VERSION:
                raise StoreError(
                    f"{self.path} was written by a newer RFSN (schema {version})", hint="Upgrade rfsn-core"
                )
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
                hint=f"Move it away to start anew, or put back a copy from {self.path.parent / 'backups'}",
            ) from error
        except StoreError:
            connection.close()
            raise
        return connection

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
                if writes and connection.in_transaction:
                    try:
                        connection.execute("ROLLBACK TO job")
                        connection.execute("RELEASE job")
                    except sqlite3.Error:
                        connection.execute("ROLLBACK")
            done.append((loop, future, value, own))
        commit()

    async def _do(self, job: Callable[[sqlite3.Connection], T], *, writes: bool = False) -> T:
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

    # ── the protocol ─────────────────────────────────────────────────────────────────────────────

    async def load(self, scope: Scope) -> Mapping[str, Any] | None:
        def job(db: sqlite3.Connection) -> Mapping[str, Any] | None:
            row = db.execute(
                "SELECT state FROM turns WHERE npc=? AND player=? AND world=? ORDER BY id DESC LIMIT 1", _key(scope)
            ).fetchone()
            return msgspec.json.decode(row[0], type=dict[str, Any]) if row else None

        return await self._do(job)

    async def append(self, turn: TurnRecord) -> None:
        scope = turn.scope
        values = (
            turn.turn_id,
            scope.world,
            scope.npc,
            scope.player,
            turn.time,
            turn.player_text,
            turn.npc_text,
            turn.outcome,
            turn.decision_id,
            msgspec.json.encode(turn.state).decode(),
        )

        def job(db: sqlite3.Connection) -> None:
            added = db.execute(
                f"INSERT INTO turns ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING", values
            )
            if added.rowcount:
                db.execute(
                    "INSERT INTO words (rowid, player_text, npc_text) VALUES (?,?,?)",
                    (added.lastrowid, turn.player_text, turn.npc_text),
                )

        await self._do(job, writes=True)

    async def recent(self, scope: Scope, limit: int) -> Sequence[TurnRecord]:
        return await self._select(
            f"SELECT {_COLUMNS} FROM turns WHERE npc=? AND player=? AND world=? ORDER BY id DESC LIMIT ?",
            (*_key(scope), limit),
            reverse=True,
        )

    async def search(self, scope: Scope, query: str, limit: int) -> Sequence[TurnRecord]:
        words = _QUERY_WORD.findall(query)[:32]
        if not words:
            return ()
        match = " OR ".join(f'"{word}"' for word in words)
        columns = ", ".join(f"turns.{name.strip()}" for name in _COLUMNS.split(","))
        return await self._select(
            f"SELECT {columns} FROM words JOIN turns ON turns.id = words.rowid WHERE words MATCH ?"
            " AND npc=? AND player=? AND world=? ORDER BY bm25(words) LIMIT ?",
            (match, *_key(scope), limit),
        )

    async def stats(self, npc: str) -> Mapping[str, Any]:
        def job(db: sqlite3.Connection) -> Mapping[str, Any]:
            turns, players, first, last = db.execute(
                "SELECT count(*), count(DISTINCT player || char(0) || world), min(time), max(time)"
                " FROM turns WHERE npc=?",
                (npc,),
            ).fetchone()
            return {
                "npc": npc,
                "turns": turns,
                "sessions": players,
                "first": first,
                "last": last,
                "bytes": self.path.stat().st_size,
            }

        return await self._do(job)

    async def backup(self) -> Backup:
        def job(db: sqlite3.Connection) -> Backup:
            folder = self._backups()
            folder.mkdir(exist_ok=True)
            stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
            path = next(
                candidate
                for n in range(10_000)
                if not (candidate := folder / f"{stamp}{f'-{n}' if n else ''}.db").exists()
            )
            partial = path.with_suffix(".partial")
            partial.unlink(missing_ok=True)
            db.execute("VACUUM INTO ?", (str(partial),))
            os.replace(partial, path)
            for old in sorted(folder.glob("*.db"), reverse=True)[self._settings.keep_backups :]:
                old.unlink()
            return _describe(path)

        return await self._do(job)

    async def backups(self) -> Sequence[Backup]:
        return await asyncio.to_thread(
            lambda: [_describe(path) for path in sorted(self._backups().glob("*.db"), reverse=True)]
        )

    async def restore(self, name: str) -> None:
        path = self._backups() / name
        if path.parent != self._backups() or not path.is_file():
            raise StoreError(f"no backup '{name}'", hint=f"See {self._backups()}")
        await self._do(lambda db: _check_backup(path))
        await self.backup()

        def job(db: sqlite3.Connection) -> None:
            with closing(sqlite3.connect(path)) as source:
                source.backup(db)

        await self._do(job)

    async def reset(self, npc: str) -> Backup:
        saved = await self.backup()

        def job(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM turns WHERE npc=?", (npc,))
            db.execute("INSERT INTO words(words) VALUES ('rebuild')")

        await self._do(job, writes=True)
        return saved

    def _backups(self) -> Path:
        return self.path.parent / "backups"

    async def _select(self, sql: str, values: Iterable[Any], *, reverse: bool = False) -> list[TurnRecord]:
        rows = await self._do(lambda db: db.execute(sql, tuple(values)).fetchall())
        turns = [
            TurnRecord(
                turn_id=row[0], scope=Scope(*row[1:4]), time=row[4], player_text=row[5], npc_text=row[6],
                outcome=row[7], decision_id=row[8],
                state=msgspec.json.decode(row[9]),
            )
            for row in rows
        ]  # fmt: skip
        return turns[::-1] if reverse else turns


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


def _key(scope: Scope) -> tuple[str, str, str]:
    return scope.npc, scope.player, scope.world


def _describe(path: Path) -> Backup:
    stat = path.stat()
    return Backup(path.name, stat.st_mtime, stat.st_size)


def _check_backup(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION or db.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
            raise StoreError(f"{path} is damaged or of another version (schema {version})")


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
    yield Provider("sqlite", Settings, _open, "one file, one writer thread, full-text search")

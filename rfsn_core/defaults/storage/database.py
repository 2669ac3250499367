"""The SQLite file of the store, and the one thread that works on it.

WAL with synchronous=FULL: what a write has returned from survives a crash and a power cut. Writes that wait at the same
time share one commit. (docs/decisions/storage.md)
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar, cast

from rfsn_core.contract.errors import StoreError, StoreInUse
from rfsn_core.defaults.storage import tables, word_index
from rfsn_core.kit.backups import new_backup
from rfsn_core.kit.writer import Job, WriterThread, deliver

T = TypeVar("T")
CHECKPOINT_PAGES = 4000
"""Pages of the log, 16 MB, after which it is moved into the file: a page that many turns changed is moved once."""


@dataclass(frozen=True)
class Operation:
    """What to do with the connection; one that `writes` runs in a transaction."""

    function: Callable[[sqlite3.Connection], Any]
    writes: bool


class Database(WriterThread[Operation]):
    """One file, and the thread that owns the only connection to it."""

    def __init__(self, path: Path, synchronous: str) -> None:
        super().__init__("rfsn-sqlite", str(path))
        self.path = path
        self._synchronous = synchronous
        self._connection: sqlite3.Connection
        self.positions = tables.Positions()

    @property
    def backups(self) -> Path:
        """The folder of the backups."""
        return self.path.parent / "backups"

    # ── opening and closing ──────────────────────────────────────────────────────────────────────

    def _connect(self) -> sqlite3.Connection:
        """Open the file, create its tables when it is empty, and check it. Raises StoreError with what to do."""
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self.path, isolation_level=None, timeout=2, check_same_thread=False)
            try:
                self._configure(db)
                self._check_version(db)
                db.execute("BEGIN IMMEDIATE")
                if tables.version_of(db) == 0:
                    tables.create(db)
                db.execute("COMMIT")
                result = db.execute("PRAGMA quick_check(1)").fetchone()[0]
                if result != "ok":
                    raise sqlite3.DatabaseError(result)
            except BaseException:
                db.close()
                raise
            return db

    def _configure(self, db: sqlite3.Connection) -> None:
        # Exclusive: a second server on this file is refused, since neither would see what the other one writes.
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={self._synchronous}")
        db.execute("PRAGMA secure_delete=ON")
        db.execute("PRAGMA temp_store=MEMORY")
        db.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        word_index.register(db)

    def _check_version(self, db: sqlite3.Connection) -> None:
        version = tables.version_of(db)
        if version > tables.SCHEMA_VERSION:
            raise StoreError(f"{self.path} was written by a newer RFSN (schema {version})", hint="Upgrade rfsn-core")
        if 0 < version < tables.SCHEMA_VERSION:
            hint = "Move it away to start with an empty file"
            raise StoreError(f"{self.path} was written by a version before 0.1 (schema {version})", hint=hint)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn SQLite's errors while opening into a StoreError that says what to do."""
        writable = "Is the folder writable? `data_dir` in the settings moves it"
        try:
            yield
        except OSError as error:
            raise StoreError(f"cannot open {self.path}: {error}", hint=writable) from error
        except sqlite3.Error as error:
            text = str(error)
            if "locked" in text:
                hint = "Stop the other server, or set another data_dir"
                raise StoreInUse(f"{self.path} is in use by another process", hint=hint) from error
            if "readonly" in text or "unable to open" in text:
                raise StoreError(f"cannot write {self.path}: {text}", hint=writable) from error
            hint = f"Move it away to start with an empty file, or put a copy from {self.backups} in its place"
            raise StoreError(f"{self.path} is damaged: {text}", hint=hint) from error

    def copy(self, db: sqlite3.Connection) -> Path:
        """Write a backup of the whole file and return its path. Called in the thread."""
        path = new_backup(self.backups, "", ".db")
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
            self.positions.clear()
            if db.in_transaction:
                db.execute("ROLLBACK")
            return None, error
        return value, None

    async def do(self, function: Callable[[sqlite3.Connection], T], *, writes: bool = False) -> T:
        """Run a function in the thread and return its result. One that `writes` runs in a transaction; its result
        comes after the commit.

        Raises StoreError for SQLite's errors, and when too many operations wait.
        """
        try:
            return cast(T, await self.submit(Operation(function, writes)))
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error

"""No acknowledged turn is lost in a power cut, although unsynced writes may be lost, incomplete or torn.

SQLite runs on a file system that records every write and sync. From this recording the tests make the files that
a power cut at any moment may leave, and open them with the store.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rfsn_core.contract.errors import StoreError
from rfsn_core.defaults.storage import Settings
from rfsn_core.defaults.storage.store import Sqlite
from rfsn_core.testing.suites import exported, record

pytestmark = pytest.mark.engines
CUTS = int(os.environ.get("RFSN_POWER_CUTS", "150"))
SECTOR = 512


@dataclass
class Op:
    """A recorded operation: `write`, `truncate`, `sync`, `delete`, or `acknowledged` for a turn."""

    kind: str
    file: str
    at: int = 0
    data: bytes = b""


def recording(operations: list[Op]) -> Any:
    """Register a file system that records its operations, as the default one."""
    import apsw

    class File(apsw.VFSFile):
        def __init__(self, name: Any, flags: Any) -> None:
            super().__init__("", name, flags)
            filename = name.filename() if isinstance(name, apsw.URIFilename) else name
            self._name = Path(str(filename)).name

        def xWrite(self, data: bytes, offset: int) -> None:
            operations.append(Op("write", self._name, offset, bytes(data)))
            super().xWrite(data, offset)

        def xTruncate(self, size: int) -> None:
            operations.append(Op("truncate", self._name, size))
            super().xTruncate(size)

        def xSync(self, flags: int) -> None:
            operations.append(Op("sync", self._name))
            super().xSync(flags)

    class System(apsw.VFS):
        def __init__(self) -> None:
            super().__init__("recording", "")

        def xOpen(self, name: Any, flags: Any) -> File:
            return File(name, flags)

        def xDelete(self, name: str, sync: bool) -> None:
            operations.append(Op("delete", Path(name).name))
            super().xDelete(name, sync)

    return System()


class Cursor:
    """apsw's cursor with the interface of sqlite3."""

    def __init__(self, connection: Any, cursor: Any) -> None:
        self.rowcount, self.lastrowid = connection.changes(), connection.last_insert_rowid()
        self.fetchone, self.fetchall, self.__iter = cursor.fetchone, cursor.fetchall, cursor

    def __iter__(self) -> Any:
        return iter(self.__iter)


class Connection:
    """apsw's connection with the interface of sqlite3."""

    def __init__(self, path: Path) -> None:
        import apsw

        self._connection = apsw.Connection(str(path), vfs="recording")
        self.close = self._connection.close

    @property
    def in_transaction(self) -> bool:
        return bool(self._connection.in_transaction)

    def create_function(self, name: str, count: int, function: Any, *, deterministic: bool) -> None:
        self._connection.create_scalar_function(name, function, count, deterministic=deterministic)

    def execute(self, sql: str, values: Any = ()) -> Cursor:
        return Cursor(self._connection, self._connection.execute(sql, values))


async def record_operations(folder: Path, synchronous: str, monkeypatch: pytest.MonkeyPatch) -> list[Op]:
    """Record what happens on disk while turns are appended, several at once."""
    operations: list[Op] = []
    system = recording(operations)
    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", lambda path, **_: Connection(path))
        store = Sqlite(folder / "memory.db", Settings(synchronous=synchronous))
        await store.start()

        async def append(number: int) -> None:
            turn = record(number, text=f"Turn {number} " + "word " * (number % 40))
            await store.append(turn)
            operations.append(Op("acknowledged", turn.turn_id))

        for start in range(0, 120, 6):
            await asyncio.gather(*(append(number) for number in range(start, start + 1 + start // 6 % 6)))
        await store.close()
    system.unregister()
    return operations


def disk(operations: list[Op], draw: random.Random) -> dict[str, bytes]:
    """Return the files after a power cut: all writes up to a file's last sync, and any part of the later ones."""
    synced = {op.file: n for n, op in enumerate(operations) if op.kind == "sync"}
    files: dict[str, bytearray] = {}
    for n, op in enumerate(operations):
        if op.kind == "delete":
            files.pop(op.file, None)
        if op.kind not in ("write", "truncate"):
            continue
        content = files.setdefault(op.file, bytearray())
        lost = n > synced.get(op.file, -1)
        if lost and draw.random() < 0.5:
            continue
        if op.kind == "truncate":
            del content[op.at :]
            continue
        data = op.data
        if lost and len(data) > SECTOR and draw.random() < 0.3:
            data = data[: SECTOR * draw.randrange(1, len(data) // SECTOR + 1)]  # torn
        content.extend(bytes(max(0, op.at + len(data) - len(content))))
        content[op.at : op.at + len(data)] = data
    return {name: bytes(content) for name, content in files.items()}


async def lost(operations: list[Op], folder: Path, draw: random.Random) -> list[set[str]]:
    """Return, for each power cut, the acknowledged turns that are missing."""
    missing: list[set[str]] = []
    for number in range(CUTS):
        before = operations[: draw.randrange(len(operations))]
        place = folder / str(number)
        place.mkdir(parents=True)
        for name, content in disk(before, draw).items():
            (place / name).write_bytes(content)
        acknowledged = {op.file for op in before if op.kind == "acknowledged"}
        store = Sqlite(place / "memory.db", Settings())
        try:
            await store.start()
        except StoreError:
            assert not acknowledged, "a file with acknowledged turns does not open"
            missing.append(set())
            continue
        stored = [turn.turn_id for turn in await exported(store)]
        assert len(stored) == len(set(stored))
        assert list(await store.check()) == []
        await store.append(record(1000))
        await store.close()
        missing.append(acknowledged - set(stored))
    return missing


async def test_no_acknowledged_turn_is_lost_when_the_power_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations = await record_operations(tmp_path / "full", "FULL", monkeypatch)
    assert sum(op.kind == "acknowledged" for op in operations) > 50
    assert [turns for turns in await lost(operations, tmp_path / "cuts", random.Random(os.urandom(8))) if turns] == []


async def test_the_method_finds_the_turns_that_normal_loses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    operations = await record_operations(tmp_path / "normal", "NORMAL", monkeypatch)
    assert any(await lost(operations, tmp_path / "cuts", random.Random(1)))

"""The power fails at any moment: what was not synced is gone, in part, or torn; what was acknowledged is there.

SQLite runs on a file system of ours that writes down every write and every sync. From that story disks are made as they
may be found after a power cut at some point of it, and opened by the store as its users do.
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
from rfsn_core.defaults.storage import Settings, Sqlite
from rfsn_core.testing.suites import exported, record

pytestmark = pytest.mark.engines
CUTS = int(os.environ.get("RFSN_POWER_CUTS", "150"))
SECTOR = 512


@dataclass
class Op:
    """Of the story: `write`, `truncate`, `sync`, `delete`, or `told` for a turn that was acknowledged."""

    kind: str
    file: str
    at: int = 0
    data: bytes = b""


def recording(story: list[Op]) -> Any:
    """A file system that tells."""
    import apsw

    class File(apsw.VFSFile):
        def __init__(self, name: Any, flags: Any) -> None:
            super().__init__("", name, flags)
            filename = name.filename() if isinstance(name, apsw.URIFilename) else name
            self._name = Path(str(filename)).name

        def xWrite(self, data: bytes, offset: int) -> None:
            story.append(Op("write", self._name, offset, bytes(data)))
            super().xWrite(data, offset)

        def xTruncate(self, size: int) -> None:
            story.append(Op("truncate", self._name, size))
            super().xTruncate(size)

        def xSync(self, flags: int) -> None:
            story.append(Op("sync", self._name))
            super().xSync(flags)

    class System(apsw.VFS):
        def __init__(self) -> None:
            super().__init__("recording", "")

        def xOpen(self, name: Any, flags: Any) -> File:
            return File(name, flags)

        def xDelete(self, name: str, sync: bool) -> None:
            story.append(Op("delete", Path(name).name))
            super().xDelete(name, sync)

    return System()


class Cursor:
    """apsw's cursor, as package sqlite3 has it."""

    def __init__(self, connection: Any, cursor: Any) -> None:
        self.rowcount, self.lastrowid = connection.changes(), connection.last_insert_rowid()
        self.fetchone, self.fetchall, self.__iter = cursor.fetchone, cursor.fetchall, cursor

    def __iter__(self) -> Any:
        return iter(self.__iter)


class Connection:
    """The same for its connection."""

    def __init__(self, path: Path) -> None:
        import apsw

        self._connection = apsw.Connection(str(path), vfs="recording")
        self.close = self._connection.close

    @property
    def in_transaction(self) -> bool:
        return bool(self._connection.in_transaction)

    def execute(self, sql: str, values: Any = ()) -> Cursor:
        return Cursor(self._connection, self._connection.execute(sql, values))


async def story_of(folder: Path, synchronous: str, monkeypatch: pytest.MonkeyPatch) -> list[Op]:
    """Turns are appended, by several at once; a save is kept and loaded in between."""
    story: list[Op] = []
    system = recording(story)
    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", lambda path, **_: Connection(path))
        store = Sqlite(folder / "memory.db", Settings(synchronous=synchronous))
        await store.start()

        async def tell(number: int) -> None:
            turn = record(number, text=f"Turn {number} " + "word " * (number % 40))
            await store.append(turn)
            story.append(Op("told", turn.turn_id))

        for start in range(0, 120, 6):
            await asyncio.gather(*(tell(number) for number in range(start, start + 1 + start // 6 % 6)))
        await store.stop()
    system.unregister()
    return story


def disk(story: list[Op], draw: random.Random) -> dict[str, bytes]:
    """Files as they may be found: all up to a file's last sync, and of what came after any part of it."""
    synced = {op.file: n for n, op in enumerate(story) if op.kind == "sync"}
    files: dict[str, bytearray] = {}
    for n, op in enumerate(story):
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


async def lost(story: list[Op], folder: Path, draw: random.Random) -> list[set[str]]:
    """For each power cut: the turns that were acknowledged and are not there."""
    found: list[set[str]] = []
    for number in range(CUTS):
        before = story[: draw.randrange(len(story))]
        place = folder / str(number)
        place.mkdir(parents=True)
        for name, content in disk(before, draw).items():
            (place / name).write_bytes(content)
        told = {op.file for op in before if op.kind == "told"}
        store = Sqlite(place / "memory.db", Settings())
        try:
            await store.start()
        except StoreError:
            assert not told, "a file with acknowledged turns does not open"
            found.append(set())
            continue
        kept = [turn.turn_id for turn in await exported(store)]
        assert len(kept) == len(set(kept))
        assert list(await store.check()) == []
        await store.append(record(1000))
        await store.stop()
        found.append(told - set(kept))
    return found


async def test_no_acknowledged_turn_is_lost_when_the_power_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = await story_of(tmp_path / "full", "FULL", monkeypatch)
    assert sum(op.kind == "told" for op in story) > 50
    assert [turns for turns in await lost(story, tmp_path / "cuts", random.Random(os.urandom(8))) if turns] == []


async def test_the_test_sees_what_normal_loses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = await story_of(tmp_path / "normal", "NORMAL", monkeypatch)
    assert any(await lost(story, tmp_path / "cuts", random.Random(1)))

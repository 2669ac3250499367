"""Turns on their way to an archive: all of them, in order, once, whatever the archive does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rfsn_core.admin import archive_queue as archive
from rfsn_core.admin.archive_queue import ArchiveQueue
from rfsn_core.contract.storage import Scope, TurnRecord
from rfsn_core.kit.jsonl import Line
from rfsn_core.testing.suites import record


class Shelf:
    """An archive in memory, which may be away."""

    def __init__(self) -> None:
        self.turns: dict[str, TurnRecord] = {}
        self.away = False

    async def archive(self, turns: Sequence[TurnRecord]) -> None:
        if self.away:
            raise OSError("away, as told to")
        for turn in turns:
            self.turns.setdefault(turn.turn_id, turn)

    async def erase(self, save: str, npc: str, player: str) -> int:
        if self.away:
            raise OSError("away, as told to")
        gone = [key for key, turn in self.turns.items() if turn.scope.within(save, npc, player)]
        for key in gone:
            del self.turns[key]
        return len(gone)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "WINDOW", 0.001)
    monkeypatch.setattr(archive, "PAUSES", (0.01,))


@asynccontextmanager
async def running(outbox: ArchiveQueue) -> AsyncIterator[None]:
    task = asyncio.create_task(outbox.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        outbox.close()


async def arrived(shelf: Shelf, count: int) -> None:
    async with asyncio.timeout(5):
        while len(shelf.turns) < count:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.005)


async def test_a_turn_that_is_noted_while_the_last_batch_ends_is_not_forgotten(tmp_path: Path) -> None:
    shelf = Shelf()

    class Late(ArchiveQueue):
        told = False

        def _lines(self, start: int, limit: int | None = None) -> list[Line]:
            lines = super()._lines(start, limit)
            if not lines and not self.told:  # it was seen empty; now, before anyone is told, a turn comes
                self.told = True
                self.note(record(2))
            return lines

    outbox = Late(tmp_path / "archive.jsonl", lambda: (shelf,), lambda: 10**6)
    outbox.note(record(1))
    async with running(outbox):
        await arrived(shelf, 2)
        await outbox.flush()
        assert outbox.waiting == 0


async def test_what_waits_while_the_archive_is_away_follows_in_order(tmp_path: Path) -> None:
    shelf = Shelf()
    shelf.away = True
    outbox = ArchiveQueue(tmp_path / "archive.jsonl", lambda: (shelf,), lambda: 10**6)
    async with running(outbox):
        for number in range(250):
            outbox.note(record(number))
        await asyncio.sleep(0.05)
        assert shelf.turns == {}
        shelf.away = False
        await arrived(shelf, 250)
    assert list(shelf.turns.values()) == [record(number) for number in range(250)]


async def test_what_is_erased_is_erased_where_it_waits_too(tmp_path: Path) -> None:
    shelf = Shelf()
    outbox = ArchiveQueue(tmp_path / "archive.jsonl", lambda: (shelf,), lambda: 10**6)
    other = Scope("default", "smith", "Zanzibarella")
    outbox.note(record(1))
    outbox.note(record(2, other))
    shelf.away = True
    with pytest.raises(OSError, match="away"):
        await outbox.erase("", "", "Zanzibarella")
    assert b"Zanzibarella" in outbox.path.read_bytes()
    shelf.away = False
    await outbox.erase("", "", "Zanzibarella")
    assert b"Zanzibarella" not in outbox.path.read_bytes()
    async with running(outbox):
        await arrived(shelf, 1)
    assert list(shelf.turns.values()) == [record(1)]


def test_no_archive_no_file(tmp_path: Path) -> None:
    outbox = ArchiveQueue(tmp_path / "archive.jsonl", lambda: (), lambda: 10**6)
    outbox.note(record(1))
    assert list(tmp_path.iterdir()) == []


def test_the_bound_is_that_of_the_settings_in_force(tmp_path: Path) -> None:
    bound = 1
    queue = ArchiveQueue(tmp_path / "archive.jsonl", lambda: (Shelf(),), lambda: bound)
    queue.note(record(1))
    assert queue.waiting == 0
    bound = 10**6
    queue.note(record(2))
    assert queue.waiting > 0
    queue.close()

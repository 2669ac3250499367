"""The queue of an archive: every turn arrives, in order and once, also after the archive was unavailable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rfsn_core.admin import archive_queue
from rfsn_core.admin.archive_queue import ArchiveQueue
from rfsn_core.contract.storage import Scope, TurnRecord
from rfsn_core.kit.jsonl import Line
from rfsn_core.testing.suites import record


class Shelf:
    """An archive in memory, which can be made unavailable."""

    def __init__(self) -> None:
        self.turns: dict[str, TurnRecord] = {}
        self.unavailable = False

    async def archive(self, turns: Sequence[TurnRecord]) -> None:
        if self.unavailable:
            raise OSError("unavailable, for the test")
        for turn in turns:
            self.turns.setdefault(turn.turn_id, turn)

    async def erase(self, save: str, npc: str, player: str) -> int:
        if self.unavailable:
            raise OSError("unavailable, for the test")
        gone = [key for key, turn in self.turns.items() if turn.scope.within(save, npc, player)]
        for key in gone:
            del self.turns[key]
        return len(gone)


@dataclass(frozen=True)
class Archives:
    archives: tuple[Shelf, ...]
    archive_limit: int


class Runtimes:
    def __init__(self, *archives: Shelf, limit: int = 10**6) -> None:
        self.current = Archives(archives, limit)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_queue, "BATCH_SECONDS", 0.001)
    monkeypatch.setattr(archive_queue, "RETRY_SECONDS", (0.01,))


@asynccontextmanager
async def running(queue: ArchiveQueue) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        queue.close()


async def arrived(shelf: Shelf, count: int) -> None:
    async with asyncio.timeout(5):
        while len(shelf.turns) < count:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.005)


async def test_a_turn_that_is_added_while_the_last_batch_ends_is_sent(tmp_path: Path) -> None:
    shelf = Shelf()

    class Late(ArchiveQueue):
        added = False

        def _lines(self, start: int, limit: int | None = None) -> list[Line]:
            lines = super()._lines(start, limit)
            if not lines and not self.added:  # the queue was read as empty; a turn comes before `run` acts on that
                self.added = True
                self.put(record(2))
            return lines

    queue = Late(tmp_path / "archive.jsonl", Runtimes(shelf))
    queue.put(record(1))
    async with running(queue):
        await arrived(shelf, 2)
        await queue.flush()
        assert queue.waiting == 0


async def test_turns_that_waited_for_an_archive_arrive_in_order(tmp_path: Path) -> None:
    shelf = Shelf()
    shelf.unavailable = True
    queue = ArchiveQueue(tmp_path / "archive.jsonl", Runtimes(shelf))
    async with running(queue):
        for number in range(250):
            queue.put(record(number))
        await asyncio.sleep(0.05)
        assert shelf.turns == {}
        shelf.unavailable = False
        await arrived(shelf, 250)
    assert list(shelf.turns.values()) == [record(number) for number in range(250)]


async def test_erasing_also_erases_turns_in_the_queue(tmp_path: Path) -> None:
    shelf = Shelf()
    queue = ArchiveQueue(tmp_path / "archive.jsonl", Runtimes(shelf))
    other = Scope("default", "smith", "Zanzibarella")
    queue.put(record(1))
    queue.put(record(2, other))
    shelf.unavailable = True
    with pytest.raises(OSError, match="unavailable"):
        await queue.erase("", "", "Zanzibarella")
    assert b"Zanzibarella" in queue.path.read_bytes()
    shelf.unavailable = False
    await queue.erase("", "", "Zanzibarella")
    assert b"Zanzibarella" not in queue.path.read_bytes()
    async with running(queue):
        await arrived(shelf, 1)
    assert list(shelf.turns.values()) == [record(1)]


def test_without_an_archive_there_is_no_queue_file(tmp_path: Path) -> None:
    queue = ArchiveQueue(tmp_path / "archive.jsonl", Runtimes())
    queue.put(record(1))
    assert list(tmp_path.iterdir()) == []


def test_the_bound_is_that_of_the_settings_in_force(tmp_path: Path) -> None:
    runtimes = Runtimes(Shelf(), limit=1)
    queue = ArchiveQueue(tmp_path / "archive.jsonl", runtimes)
    queue.put(record(1))
    assert queue.waiting == 0
    runtimes.current = Archives((Shelf(),), 10**6)
    queue.put(record(2))
    assert queue.waiting > 0
    queue.close()

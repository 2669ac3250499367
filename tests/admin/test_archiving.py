"""Archives: every turn arrives, in order and once, also after an archive was unavailable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rfsn_core.admin import archiving
from rfsn_core.admin.archiving import Archiving
from rfsn_core.contract.errors import StoreError
from rfsn_core.contract.storage import Scope, Scopes, TurnRecord
from rfsn_core.learning.records import LoggedTurn
from rfsn_core.learning.turn_log import TurnLog
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


class Runtimes:
    def __init__(self, *archives: Shelf) -> None:
        self.current = Archives(archives)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "BATCH_SECONDS", 0.001)
    monkeypatch.setattr(archiving, "RETRY_SECONDS", (0.01,))


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


@asynccontextmanager
async def running(folder: Path, shelf: Shelf) -> AsyncIterator[tuple[TurnLog, Archiving]]:
    turn_log = TurnLog(folder)
    archives = Archiving(turn_log, Runtimes(shelf))
    await turn_log.open()
    await archives.follower.open()
    task = asyncio.create_task(archives.follower.run())
    try:
        yield turn_log, archives
    finally:
        task.cancel()
        await asyncio.wait([task])
        await turn_log.close()


async def test_turns_that_waited_for_an_archive_arrive_in_order(tmp_path: Path) -> None:
    shelf = Shelf()
    shelf.unavailable = True
    async with running(tmp_path, shelf) as (turn_log, archives):
        for number in range(250):
            await turn_log.append(LoggedTurn(turn=record(number)))
        await archives.follower.tried()
        assert shelf.turns == {}
    shelf.unavailable = False
    async with running(tmp_path, shelf) as (turn_log, archives):  # and after a restart
        await turn_log.append(LoggedTurn(turn=record(250)))
        await archives.follower.caught_up(5)
        assert archives.follower.waiting == 0
    assert list(shelf.turns.values()) == [record(number) for number in range(251)]


async def test_erasing_also_erases_turns_that_wait(tmp_path: Path) -> None:
    shelf = Shelf()
    shelf.unavailable = True
    name = "Zanzibarella"
    async with running(tmp_path, shelf) as (turn_log, archives):
        await turn_log.append(LoggedTurn(turn=record(1)))
        await turn_log.append(LoggedTurn(turn=record(2, Scope("default", "smith", name))))
        await archives.follower.tried()
        with pytest.raises(StoreError, match="unavailable"):
            async with archives.erased("", "", name):
                raise AssertionError("the archive refused, so nothing else may be erased")
        shelf.unavailable = False
        async with archives.erased("", "", name):
            await turn_log.erase(Scopes(player=name))
        await archives.follower.caught_up(5)
    assert list(shelf.turns.values()) == [record(1)]
    assert name.encode() not in contents(tmp_path)

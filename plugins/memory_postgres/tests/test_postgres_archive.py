"""PostgreSQL as an archive: a real one, started here, or the one that RFSN_TEST_POSTGRES_URL names."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import rfsn_memory_postgres
from rfsn_memory_postgres import Settings
from rfsn_memory_postgres.archive import PostgresArchive

from rfsn_core import ConfigError, EngineError, RfsnError, Scope, TurnFinished
from rfsn_core.testing import Kernel, kernel, plugin, turn
from rfsn_core.testing.databases import PostgresServer
from rfsn_core.testing.scripted import Tokens
from rfsn_core.testing.suites import ODD_TEXTS, ArchiveSuite, memory_of, record

pytestmark = pytest.mark.engines
AWAY = float(os.environ.get("RFSN_AWAY_SECONDS", "0"))
"""How long the database is away in a test, at least; also a minute, when there is time."""
POSTGRES = ("memory_postgres", rfsn_memory_postgres)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if url := os.environ.get("RFSN_TEST_POSTGRES_URL"):
        yield url
        return
    running = PostgresServer(tmp_path_factory.mktemp("postgres"))
    yield running.url
    running.stop()


@pytest.fixture(autouse=True)
def empty(database: str) -> None:
    asyncio.run(rows(database, "DROP TABLE IF EXISTS rfsn_turns"))


async def rows(url: str, sql: str = "SELECT * FROM rfsn_turns ORDER BY id") -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(sql))
    finally:
        await connection.close()


@asynccontextmanager
async def opened(url: str, **settings: Any) -> AsyncIterator[PostgresArchive]:
    archive = PostgresArchive(Settings(url=url, **settings))
    try:
        yield archive
    finally:
        await archive.close()


@asynccontextmanager
async def server(folder: Path, url: str, **archive: Any) -> AsyncIterator[Kernel]:
    settings = {"archive": {"provider": "postgres", "postgres": {"url": url}} | archive}
    async with kernel(folder, POSTGRES, plugin(rendering={"t": Tokens()}), settings=settings) as it:
        yield it


async def archived(it: Kernel) -> None:
    async with asyncio.timeout(15 + AWAY):
        await it._archiving.follower.caught_up(10 + AWAY)


def finished(items: list[Any]) -> TurnFinished:
    return next(item for item in items if isinstance(item, TurnFinished))


async def test_turns_arrive_whole_once_and_in_order(database: str) -> None:
    odd = [
        replace(record(n, text=text, answer=text))
        for n, text in enumerate((*ODD_TEXTS, "nul\x00inside", "x" * 1_000_000))
    ]
    whole = replace(record(90), memories=(memory_of("t", "It rained."),), card={"gifts": 1})
    async with opened(database) as archive:
        await archive.archive([])
        await archive.archive([*odd, whole])
        await archive.archive([whole, *odd])  # not known to be taken: sent again
        found = await rows(database)
        assert [row["turn_id"] for row in found] == [turn.turn_id for turn in (*odd, whole)]
        assert found[0]["player_text"] == odd[0].player_text
        assert '"It rained."' in found[-1]["memories"]
        assert "turns in rfsn_turns" in await archive.health()


async def test_erased_turns_are_deleted(database: str) -> None:
    async with opened(database) as archive:
        scopes = [
            Scope("default", "smith", "player"),
            Scope("default", "smith", "player2"),
            Scope("w", "miller", "player"),
        ]
        await archive.archive([record(1, scope) for scope in scopes])
        assert await archive.erase("", "", "player") == 2
        assert [row["player"] for row in await rows(database)] == ["player2"]


async def test_every_turn_is_archived_and_no_turn_waits_for_it(tmp_path: Path, database: str) -> None:
    async with server(tmp_path, database) as it:
        for number in range(20):
            assert finished(await turn(it, f"turn {number}")).durable
        await archived(it)
        assert [row["player_text"] for row in await rows(database)] == [f"turn {number}" for number in range(20)]
        assert it._archiving.follower.waiting == 0
        await it.maintenance.erase("", "", "player", backups=False)
        assert await rows(database) == []


@pytest.mark.timeout(60 + 3 * AWAY)
async def test_a_database_that_stops_and_comes_back_gets_all_of_it_once(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    database = PostgresServer(tmp_path / "db")
    said = [f"turn {number}" for number in range(60)]
    try:
        async with server(tmp_path / "world", database.url) as it:
            for number, text in enumerate(said):
                if number == 10:
                    await asyncio.to_thread(database.stop)
                if number == 40:
                    await asyncio.to_thread(database.start)
                    assert it._archiving.follower.waiting > 0
                if 10 <= number < 40:
                    await asyncio.sleep(AWAY / 30)
                assert finished(await turn(it, text)).durable
                if number == 30:
                    with pytest.raises(RfsnError, match="PostgreSQL"):
                        await it.maintenance.erase("", "", "player", backups=False)
                    shown = await it.memory.show("smith", "player", "default", 5)
                    assert shown["turns"][-1]["player_text"] == text  # nothing was erased
            await archived(it)
        assert [row["player_text"] for row in await rows(database.url)] == said
    finally:
        await asyncio.to_thread(database.stop)


async def test_turns_that_wait_are_sent_after_a_restart(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rfsn_core.admin.archiving.FLUSH_SECONDS", 0.1)
    nowhere = "postgresql://postgres@127.0.0.1:1/postgres"
    async with server(tmp_path, nowhere) as it:  # an archive that is away is no reason not to start
        for text in ("one", "two"):
            assert finished(await turn(it, text)).durable
    (file,) = (tmp_path / ".rfsn" / "log").glob("*.jsonl")
    file.write_bytes(file.read_bytes() + b'{"seq":9,"turn_id": "cut off by a cra')
    async with server(tmp_path, database) as it:
        await turn(it, "three")
        await archived(it)
    assert [row["player_text"] for row in await rows(database)] == ["one", "two", "three"]


async def test_a_store_is_refused_as_an_archive_and_the_reverse(tmp_path: Path, database: str) -> None:
    for name in ("sqlite", "other"):
        with pytest.raises(ConfigError, match=f"no archive provider '{name}'"):
            async with server(tmp_path, database, provider=["postgres", name]):
                pass
    with pytest.raises(ConfigError, match=r"storage\.provider: 'postgres' is not installed"):
        async with kernel(tmp_path, POSTGRES, settings={"storage": {"provider": "postgres"}}):
            pass


async def test_a_wrong_password_or_address_is_reported(database: str) -> None:
    for url in ("postgresql://127.0.0.1:1/x", "postgresql://nobody@127.0.0.1:1/nothing"):
        async with opened(url, timeout=2) as archive:
            with pytest.raises(EngineError, match="Is it running"):
                await archive.archive([record(1)])


class TestPostgres(ArchiveSuite):
    provider = "postgres"

    @pytest.fixture(autouse=True)
    def connect(self, database: str, empty: None) -> None:
        type(self).settings = {"url": database}

"""The archive in PostgreSQL: the turns of a log archived per second.

uv run --group engines benchmarks/archive.py
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from redis_store import turn
from rfsn_memory_postgres import Settings
from rfsn_memory_postgres.archive import PostgresArchive

from rfsn_core.admin.archiving import Archiving
from rfsn_core.learning.records import LoggedTurn
from rfsn_core.learning.turn_log import TurnLog
from rfsn_core.testing.databases import PostgresServer

TURNS = 20_000


@dataclass(frozen=True)
class Archives:
    archives: tuple[PostgresArchive, ...]


@dataclass(frozen=True)
class Runtimes:
    current: Archives


async def measure(url: str, folder: Path) -> None:
    archive = PostgresArchive(Settings(url=url))
    await archive.archive([turn(-1)])  # connect and create the table
    turns = [turn(number) for number in range(TURNS)]
    turn_log = TurnLog(folder / "log")
    archiving = Archiving(turn_log, Runtimes(Archives((archive,))))
    await turn_log.open()
    await turn_log.append(*(LoggedTurn(turn=each) for each in turns))
    begun = time.perf_counter()
    await archiving.follower.open()
    sending = asyncio.create_task(archiving.follower.run())
    await archiving.follower.caught_up(600)
    took = time.perf_counter() - begun
    sending.cancel()
    await archive.close()
    await turn_log.close()
    print(f"{TURNS} turns archived: {TURNS / took:.0f} a second (target: 20,000)")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "db").mkdir()
        server = PostgresServer(Path(folder) / "db")
        try:
            asyncio.run(measure(server.url, Path(folder)))
        finally:
            server.stop()


if __name__ == "__main__":
    main()

"""The archive in PostgreSQL: the time to queue a turn, and the turns archived per second.

uv run --group engines benchmarks/archive.py
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from redis_store import turn
from rfsn_memory_postgres import Settings
from rfsn_memory_postgres.archive import PostgresArchive

from rfsn_core.admin.archive_queue import ArchiveQueue
from rfsn_core.testing.databases import PostgresServer

TURNS = 20_000


@dataclass(frozen=True)
class Archives:
    archives: tuple[PostgresArchive, ...]
    archive_limit: int = 10**10


@dataclass(frozen=True)
class Runtimes:
    current: Archives


async def measure(url: str, folder: Path) -> None:
    archive = PostgresArchive(Settings(url=url))
    await archive.archive([turn(-1)])  # connect and create the table
    queue = ArchiveQueue(folder / "archive.jsonl", Runtimes(Archives((archive,))))
    with (folder / "floor").open("wb", buffering=0) as file:
        floor = []
        for _ in range(2000):
            begun = time.perf_counter()
            os.write(file.fileno(), b"x" * 700)
            floor.append(time.perf_counter() - begun)
    noting = []
    turns = [turn(number) for number in range(TURNS)]
    for each in turns:
        begun = time.perf_counter()
        queue.put(each)
        noting.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    sending = asyncio.create_task(queue.run())
    await queue._idle.wait()
    took = time.perf_counter() - begun
    sending.cancel()
    await archive.close()
    queue.close()
    p50, raw = statistics.median(noting), statistics.median(floor)
    print(f"queueing a turn: p50 {p50 * 1e6:.0f} µs, {p50 / raw:.1f} × a bare write to a file")
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

"""pytest fixtures. Import them in a `conftest.py`: `from rfsn_core.testing.fixtures import anyio_backend, serve`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rfsn_core.testing.databases import RedisServer
from rfsn_core.testing.process import Server


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio."""
    return "asyncio"


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers, all on one data folder, and stop them at the end."""
    servers: list[Server] = []

    def start(*arguments: str, **options: Any) -> Server:
        servers.append(Server(tmp_path, *arguments, **options))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """Start a Redis for one test."""
    (tmp_path / "redis").mkdir()
    database = RedisServer(tmp_path / "redis")
    yield database
    database.stop(signal.SIGKILL)

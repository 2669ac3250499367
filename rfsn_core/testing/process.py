"""`rfsn serve` as its users run it: a process of its own, on a port that the system picks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path


class Server:
    """A running `rfsn serve`, of the example world if no other is named."""

    def __init__(self, data: Path, *arguments: str, world: Path | None = None, **settings: str) -> None:
        self.log = data / "server.log"
        environment = {**os.environ, "RFSN_DATA_DIR": str(data / "data"), "PYTHONUNBUFFERED": "1", **settings}
        named = ["--world", str(world)] if world else []
        port = [] if "--port" in arguments else ["--port", "0"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rfsn_core.cli", "serve", *named, *port, *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                env=environment,
            )
        self.said: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if match := re.search(r"ws://(\S+?):(\d+)/v1/ws", line):
                self.port = int(match[2])
                return
        self.stop()
        raise AssertionError(f"the server ended with {self.process.returncode}: {self.said} {self.log.read_text()}")

    @property
    def ws(self) -> str:
        """Where games connect."""
        return f"ws://127.0.0.1:{self.port}/v1/ws"

    @property
    def http(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> int:
        """Ask it to stop, and wait; returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.wait()

    def kill(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        """Wait until it has ended; return its exit code."""
        try:
            code = self.process.wait(15)
        finally:
            self.process.kill()
            if self.process.stdout:
                self.process.stdout.close()
        return code

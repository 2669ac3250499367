"""What 100 clients on the live metrics cost the server: its processor time with them, and without any.

uv run benchmarks/live_pages.py
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from rfsn_core.testing.process import Server

CLIENTS = 100
SECONDS = 10


def used(process: int) -> float:
    """Return the processor time of a process, in seconds; Linux only."""
    fields = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def share(process: int) -> float:
    """Return the share of a core that a process takes, in per cent."""
    before, begun = used(process), time.monotonic()
    await asyncio.sleep(SECONDS)
    return 100 * (used(process) - before) / (time.monotonic() - begun)


async def drain(socket: ClientConnection) -> None:
    async for _ in socket:
        pass


async def main(server: Server) -> None:
    idle = await share(server.process.pid)
    sockets = [await connect(f"ws://127.0.0.1:{server.port}/ws/metrics") for _ in range(CLIENTS)]
    tasks = [asyncio.create_task(drain(socket)) for socket in sockets]
    await asyncio.sleep(1)
    watched = await share(server.process.pid)
    await asyncio.gather(*(socket.close() for socket in sockets))
    await asyncio.gather(*tasks)
    print(f"nobody looks on: {idle:.1f} % of a core; {CLIENTS} clients: {watched:.1f} % of a core")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), RFSN_SPEECH__PROVIDER="silent")
        try:
            asyncio.run(main(server))
        finally:
            server.stop()

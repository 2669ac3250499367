from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from websockets.asyncio.client import connect

WORLD = Path(__file__).parents[2] / "examples" / "lantern_ford"


@pytest.mark.parametrize("voice", ["silent", "espeak"])
def test_a_turn_over_the_socket(tmp_path: Path, voice: str) -> None:
    environment = {**os.environ, "RFSN_DATA_DIR": str(tmp_path), "RFSN_SPEECH__PROVIDER": voice}
    server = subprocess.Popen(
        [sys.executable, "-m", "rfsn_core.cli", "serve", "--port", "0", "--world", str(WORLD)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert server.stdout is not None
    try:
        address = ""
        for line in server.stdout:
            if match := re.search(r"ws://\S+", line):
                address = match.group()
                break
        events = asyncio.run(_turn(address))
    finally:
        server.terminate()
        server.wait(10)
        server.stdout.close()
    kinds = [event if isinstance(event, str) else "audio" for event in events]
    assert kinds.index("decision") < kinds.index("sentence")
    assert kinds[-1] == "turn.finished"
    assert ("audio" in kinds) == (voice == "espeak")


async def _turn(address: str) -> list[str | bytes]:
    got: list[str | bytes] = []
    async with connect(address, subprotocols=["rfsn.v1"]) as socket:  # type: ignore[list-item]
        await socket.send('{"type":"turn","npc":"innkeeper","text":"Good evening!"}')
        async for message in socket:
            if isinstance(message, bytes):
                got.append(message)
                continue
            got.append(msgspec.json.decode(message)["type"])
            if got[-1] == "turn.finished":
                break
    return got

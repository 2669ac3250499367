"""After kill -9 under load, every turn that was acknowledged is stored exactly once."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from rfsn_core import protocol
from rfsn_core.testing import make_world
from rfsn_core.testing.client import connected
from rfsn_core.testing.process import Server
from rfsn_core.testing.waiting import until_grown

ROUNDS = int(os.environ.get("RFSN_FAULT_ROUNDS", "4"))
"""How often the server is killed; a round takes three seconds."""


@pytest.mark.attack
@pytest.mark.timeout(60 + 10 * ROUNDS)
@pytest.mark.parametrize("store", ["sqlite", pytest.param("redis", marks=pytest.mark.engines)])
async def test_no_acknowledged_turn_is_lost_or_stored_twice_after_kill_9(
    serve: Callable[..., Server], tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    settings = "server.messages_per_second = 100000\n"
    if store == "redis":
        settings += f'[storage]\nprovider = "redis"\nredis.url = "{request.getfixturevalue("redis").url}"\n'
    world = make_world(tmp_path / "world", settings)
    draw = random.Random(os.urandom(8))
    acknowledged: set[str] = set()

    async def play(server: Server, player: int) -> None:
        with suppress(ConnectionClosed, OSError, TimeoutError, EOFError):
            async with connected(server.ws) as client:
                while True:
                    await client.send("event", npc="smith", kind="gift", player=f"p{player}")
                    for item in await client.turn("smith", "I love plums.", player=f"p{player}"):
                        if isinstance(item, protocol.TurnFinished):
                            acknowledged.add(item.decision_id)

    for _ in range(ROUNDS):
        server = await asyncio.to_thread(serve, world=world, RFSN_DATA_DIR=str(world / ".rfsn"))
        players = [asyncio.create_task(play(server, player)) for player in range(8)]
        await until_grown(acknowledged, 12)
        await asyncio.sleep(draw.uniform(0, 1))
        await asyncio.to_thread(server.kill)
        await asyncio.wait(players, timeout=10)
    server = await asyncio.to_thread(serve, world=world, RFSN_DATA_DIR=str(world / ".rfsn"))
    async with httpx.AsyncClient(base_url=server.http) as http:
        lines = (await http.get("/api/memory/export")).text.splitlines()
        assert (await http.get("/api/memory/check")).json() == {"damaged": []}
    stored = Counter(turn["decision_id"] for turn in map(json.loads, lines) if turn["outcome"] != "event")
    assert len(acknowledged) > 10 * ROUNDS
    assert acknowledged - set(stored) == set()
    assert max(stored.values()) == 1

"""Several workers on one Redis: no turn is lost when one of them is killed in the middle of turns."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from websockets.exceptions import WebSocketException

from rfsn_core import protocol
from rfsn_core.cli import main
from rfsn_core.server import supervisor as workers
from rfsn_core.testing import make_world
from rfsn_core.testing.client import connected
from rfsn_core.testing.databases import RedisServer
from rfsn_core.testing.process import Server

pytestmark = pytest.mark.engines


def world(folder: Path, url: str, *more: str) -> Path:
    storage = f'[storage]\nprovider = "redis"\nredis.url = "{url}"\n'
    return make_world(folder, "".join(more) + f"{storage}[server]\nmessages_per_second = 100000\n")


def pids(server: Server) -> list[int]:
    """Of the workers."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


async def answering(server: Server) -> set[str]:
    """Which are up: any of them has the metrics of all."""
    with suppress(httpx.HTTPError):
        async with httpx.AsyncClient() as http:
            text = (await http.get(server.http + "/metrics")).text
            return set(re.findall(r'rfsn_conversations\{worker="worker-(\d+)"\}', text))
    return set()


async def both_answer(server: Server) -> None:
    async with asyncio.timeout(20):
        while await answering(server) != {"0", "1"}:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.1)


async def test_a_worker_that_is_killed_in_the_middle_of_turns_costs_none(
    serve: Callable[..., Server], redis: RedisServer, tmp_path: Path
) -> None:
    server = await asyncio.to_thread(serve, "--workers", "2", world=world(tmp_path / "world", redis.url))
    await both_answer(server)
    told: set[str] = set()
    until = asyncio.get_running_loop().time() + 6
    cut = 0

    async def play(player: int) -> None:
        nonlocal cut
        while asyncio.get_running_loop().time() < until:
            try:
                async with connected(server.ws) as client:
                    while asyncio.get_running_loop().time() < until:
                        for item in await client.turn("smith", "I love plums.", player=f"p{player % 4}"):
                            if isinstance(item, protocol.TurnFinished):
                                told.add(item.decision_id)
            except (WebSocketException, OSError, EOFError, TimeoutError):
                cut += 1
                await asyncio.sleep(0.05)

    async def kill() -> None:
        for _ in range(3):
            await asyncio.sleep(1.5)
            os.kill(pids(server)[0], signal.SIGKILL)

    await asyncio.gather(kill(), *(play(player) for player in range(12)))
    assert cut > 0
    await both_answer(server)
    async with httpx.AsyncClient(base_url=server.http) as http:
        lines = (await http.get("/api/memory/export")).text.splitlines()
    stored = Counter(turn["decision_id"] for turn in map(json.loads, lines) if turn["outcome"] != "governed")
    assert len(told) > 50
    assert told - set(stored) == set()
    assert max(stored.values()) == 1
    assert await asyncio.to_thread(server.stop) == 0
    assert not (tmp_path / "data" / "address").exists()


async def test_workers_end_when_their_parent_is_killed(
    serve: Callable[..., Server], redis: RedisServer, tmp_path: Path
) -> None:
    server = await asyncio.to_thread(serve, "--workers", "2", world=world(tmp_path / "world", redis.url))
    await both_answer(server)
    left = pids(server)
    await asyncio.to_thread(server.kill)
    async with asyncio.timeout(15):
        while any(Path(f"/proc/{pid}").exists() for pid in left):  # noqa: ASYNC110, ASYNC240  nobody tells
            await asyncio.sleep(0.1)
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient() as http:
            await http.get(server.http + "/health")


async def test_what_is_changed_in_the_settings_reaches_all_of_them(
    serve: Callable[..., Server], redis: RedisServer, tmp_path: Path
) -> None:
    place = world(tmp_path / "world", redis.url)
    server = await asyncio.to_thread(serve, "--workers", "2", world=place)
    await both_answer(server)
    (place / "npcs" / "newcomer.toml").write_text('name = "Newcomer"\n', "utf-8")
    async with asyncio.timeout(20):
        while True:
            seen = []
            for _ in range(12):
                async with httpx.AsyncClient() as http:
                    seen.append("newcomer" in (await http.get(server.http + "/api/health")).json()["npcs"])
            if all(seen):
                break


async def test_they_learn_as_one_whoever_is_rewarded(
    serve: Callable[..., Server], redis: RedisServer, tmp_path: Path
) -> None:
    learned = "[learning]\ncooldown = 0\ncredit_steps = 0\ndetect = false\nholdout = 0\n"
    place = world(tmp_path / "world", redis.url, 'selection.provider = "linucb"\n', learned)
    server = await asyncio.to_thread(serve, "--workers", "2", world=place)
    await both_answer(server)
    for number in range(20):
        async with connected(server.ws) as client:
            items = await client.turn("smith", "Good day.", player=f"p{number}")
            decision = next(item.decision_id for item in items if isinstance(item, protocol.TurnFinished))
        async with httpx.AsyncClient() as http:
            told = await http.post(server.http + "/api/rewards", json={"decision_id": decision, "value": 0.5})
            assert told.json()["quarantined"] == ""
    async with asyncio.timeout(20):
        while True:
            seen = set()
            for _ in range(12):
                async with httpx.AsyncClient() as http:
                    seen.add((await http.get(server.http + "/api/learning")).json()["updates"])
            if seen == {40}:
                break
    async with asyncio.timeout(10):
        while True:
            async with httpx.AsyncClient() as http:
                text = (await http.get(server.http + "/metrics")).text
            counted = {who: float(n) for who, n in re.findall(r'rfsn_rewards_total{.*worker="(.*)"} (.*)', text)}
            if sum(counted.values()) == 20:  # some with each; one of them is told a moment later
                break
            await asyncio.sleep(0.2)
    assert set(counted) <= {"worker-0", "worker-1"}
    assert await asyncio.to_thread(server.stop) == 0
    ran = CliRunner().invoke(main, ["evaluate", str(tmp_path / "data")])
    assert "20 decisions in 20 conversations" in ran.output
    assert re.search(r" 20 +\+0\.500 ", ran.output)


def test_the_first_worker_begins_with_what_one_server_learned(tmp_path: Path) -> None:
    workers.begin_with_what_one_learned(tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "learning" / "checkpoints").mkdir(parents=True)
    (tmp_path / "learning" / "checkpoints" / "linucb-1.bin").write_bytes(b"learned")
    for _ in range(2):
        workers.begin_with_what_one_learned(tmp_path)
        assert (tmp_path / "worker-0" / "learning" / "checkpoints" / "linucb-1.bin").read_bytes() == b"learned"


def test_a_store_for_one_is_refused(tmp_path: Path) -> None:
    place = make_world(tmp_path / "world")
    ran = CliRunner().invoke(main, ["serve", "--workers", "2", "--port", "0", "--world", str(place)])
    assert ran.exit_code == 2
    assert "need a store that they share, and sqlite serves one" in ran.output

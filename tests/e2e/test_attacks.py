"""Killed servers, full disks, second servers, signals, garbage: nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from rfsn_core import protocol
from rfsn_core.testing.client import connected, kind
from rfsn_core.testing.process import Server
from rfsn_core.testing.waiting import until_grown

Serve = Callable[..., Server]
posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and limits")


async def talk_until_cut(address: str, player: str, finished: list[str]) -> None:
    """Play turns until the connection breaks; append each that the server reported as finished and durable."""
    try:
        async with connected(address) as client:
            number = 0
            while True:
                number += 1
                (*_, last) = await client.turn("innkeeper", f"{player} says {number}", player=player)
                assert isinstance(last, protocol.TurnFinished), last
                assert last.durable
                finished.append(last.decision_id)
    except (ConnectionClosed, OSError, EOFError):  # EOFError: during the handshake
        return


@pytest.mark.attack
async def test_kill_9_under_load_loses_no_finished_turn(serve: Serve) -> None:
    finished: list[str] = []
    for round_ in range(3):
        server = serve(RFSN_SPEECH__PROVIDER="silent")
        talking = [asyncio.create_task(talk_until_cut(server.ws, f"p{n}", finished)) for n in range(20)]
        await until_grown(finished, 20)
        await asyncio.sleep(0.4 * random.Random(round_).random())
        await asyncio.to_thread(server.kill)
        await asyncio.gather(*talking)
    assert len(finished) > 50
    server = serve(RFSN_SERVER__MESSAGES_PER_SECOND="1000000")
    async with connected(server.ws) as client:
        for decision_id in finished:  # a reward is only taken for a decision that is stored
            await client.send("reward", decision_id=decision_id, value=0.5)
            (answer,) = await client.until("reward.accepted", "error")
            assert isinstance(answer, protocol.RewardAccepted)
            assert answer.quarantined == "", decision_id


@posix
async def test_a_full_disk_acknowledges_nothing_and_recovers(serve: Serve, tmp_path: Path) -> None:
    server = serve(RFSN_SPEECH__PROVIDER="silent")
    async with connected(server.ws) as client:
        assert kind((await client.turn("innkeeper"))[-1]) == "turn.finished"
        limit(server, 1)
        (*_, last) = await client.turn("innkeeper", "Is anybody there?")
        assert isinstance(last, protocol.TurnFailed)
        assert last.code == "store_failed"
        assert (await asyncio.to_thread(httpx.get, server.http + "/health")).status_code == 200
        limit(server, -1)
        (*_, last) = await client.turn("innkeeper", "And now?")
        assert isinstance(last, protocol.TurnFinished)
    async with httpx.AsyncClient() as http:
        stats = (await http.get(server.http + "/api/memory/innkeeper/stats")).json()
    assert stats["turns"] == 2


def limit(server: Server, size: int) -> None:
    """No file of the server's may grow beyond this; -1: any may."""
    import resource

    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, -1))


@pytest.mark.attack
async def test_a_second_server_on_one_world_is_refused_and_the_first_goes_on(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    async with connected(server.ws) as client:
        second = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "rfsn_core.cli", "serve", "--port", "0"],
            env={**os.environ, "RFSN_DATA_DIR": str(tmp_path / "data")},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert second.returncode == 2
        assert "is in use by another process. Stop the other server" in second.stderr
        assert kind((await client.turn("innkeeper"))[-1]) == "turn.finished"


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.attack
async def test_a_signal_ends_turns_in_order_and_keeps_what_was_said(serve: Serve, number: signal.Signals) -> None:
    slow = {"RFSN_RENDERING__SCRIPTED__WORDS_PER_SECOND": "6", "RFSN_SERVER__SHUTDOWN_SECONDS": "0.2"}
    server = serve(**slow)
    async with connected(server.ws) as client:
        await client.send("turn", npc="innkeeper", text="When does the ferry run?")
        await client.until("sentence")
        server.process.send_signal(number)
        (*_, last) = await client.until("turn.cancelled")
        assert isinstance(last, protocol.TurnCancelled)
        assert last.reason == "shutdown"
        assert last.text.startswith("The ferry has not run for nine days")
        with pytest.raises(ConnectionClosed):
            await client.until("never")
    assert await asyncio.to_thread(server.wait) == 0
    server = serve()
    async with httpx.AsyncClient() as http:
        assert (await http.get(server.http + "/api/memory/innkeeper/stats")).json()["turns"] == 1


@pytest.mark.attack
async def test_clients_that_come_and_go_leave_nothing_behind(serve: Serve) -> None:
    server = serve(RFSN_SPEECH__PROVIDER="espeak")

    async def come_and_go(number: int) -> None:
        async with connected(server.ws) as client:
            await client.send("turn", npc="innkeeper", text="Hello", player=f"p{number}")
            if number % 3 == 0:
                await client.until("audio")
            if number % 2 == 0:
                client.socket.transport.abort()

    before = descriptors(server)
    for batch in range(10):
        await asyncio.gather(*(come_and_go(batch * 30 + n) for n in range(30)))
    async with httpx.AsyncClient() as http, asyncio.timeout(10):
        while True:
            text = (await http.get(server.http + "/metrics")).text
            if "rfsn_connections 0.0" in text and "rfsn_active_turns 0.0" in text:
                break
            await asyncio.sleep(0.05)
    assert descriptors(server) < before + 30  # files that were opened meanwhile; a leak would be hundreds
    async with connected(server.ws) as client:
        assert kind((await client.turn("innkeeper"))[-1]) == "turn.finished"


def descriptors(server: Server) -> int:
    folder = Path(f"/proc/{server.process.pid}/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


async def test_garbage_on_the_port_harms_nobody(serve: Serve) -> None:
    server = serve()
    generator = random.Random(4)

    async def throw(data: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(data)
            await writer.drain()
            async with asyncio.timeout(0.2):
                await reader.read()
        except (OSError, TimeoutError):
            pass
        finally:
            writer.close()

    upgrade = (
        b"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Sec-WebSocket-Protocol: rfsn.v1\r\n\r\n"
    )
    shots = [
        b"",
        b"\x00" * 1000,
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000,
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\n{",
        b"POST /chat HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n",
        upgrade.replace(b"13", b"99"),
        *(upgrade + generator.randbytes(generator.randrange(200)) for _ in range(100)),
        *(generator.randbytes(generator.randrange(2000)) for _ in range(50)),
    ]
    async with connected(server.ws) as client:
        await asyncio.gather(*(throw(shot) for shot in shots))
        assert kind((await client.turn("innkeeper"))[-1]) == "turn.finished"
    assert "Traceback" not in server.log.read_text("utf-8")


async def test_a_world_that_disappears_is_refused_and_comes_back(serve: Serve, tmp_path: Path) -> None:
    import shutil

    from rfsn_core.testing import make_world

    world = make_world(tmp_path / "world", '[speech]\nprovider = "silent"\n')
    server = serve(world=world)
    async with connected(server.ws) as client:
        shutil.move(world / "npcs", tmp_path / "away")
        (*_, rejected) = await client.until("config.rejected")
        assert isinstance(rejected, protocol.ConfigRejected)
        assert "no folder 'npcs'" in rejected.problems[0]
        assert kind((await client.turn("smith"))[-1]) == "turn.finished"
        shutil.move(tmp_path / "away", world / "npcs")
        await client.until("config.changed")
        assert kind((await client.turn("smith"))[-1]) == "turn.finished"


@pytest.mark.attack
async def test_everything_at_once(serve: Serve, tmp_path: Path) -> None:
    """Turns, barge-in, events, rewards, reloads, tuning and resets, side by side, for two seconds."""
    from rfsn_core.testing import make_world

    npcs = {f"n{n}": f'name = "N{n}"' for n in range(5)}
    world = make_world(tmp_path / "world", "", npcs)
    server = serve(world=world, RFSN_SPEECH__PROVIDER="espeak")
    until = asyncio.get_running_loop().time() + 2
    ends: dict[str, int] = {}
    odd: list[Any] = []

    async def player(number: int) -> None:
        generator = random.Random(number)
        async with connected(server.ws) as client:
            while asyncio.get_running_loop().time() < until:
                await client.send("turn", npc=f"n{generator.randrange(5)}", player=f"p{number % 7}", text="Tell me all")
                if generator.random() < 0.3:
                    await client.send("event", npc=f"n{generator.randrange(5)}", kind="gift", player=f"p{number % 7}")
                got = await client.until("turn.finished", "turn.cancelled", "turn.failed", "error")
                name = kind(got[-1])
                ends[name] = ends.get(name, 0) + 1
                if name in ("turn.failed", "error"):
                    odd.append(got[-1])

    async def operator() -> None:
        async with httpx.AsyncClient(base_url=server.http) as http:
            for step in range(1000):
                if asyncio.get_running_loop().time() > until:
                    return
                (world / "rfsn.toml").write_text(f"[memory]\nrecent = {step % 9}\n")
                (await http.post("/api/tune-performance", json={"max_queue_size": 1 + step % 50})).raise_for_status()
                (await http.post(f"/api/memory/n{step % 5}/safe_reset")).raise_for_status()
                await asyncio.sleep(0.1)

    await asyncio.gather(operator(), *(player(number) for number in range(20)))
    assert odd == []
    assert ends["turn.finished"] > 20
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text("utf-8")


@pytest.mark.attack
async def test_memory_is_put_in_order_while_everyone_talks(serve: Serve, tmp_path: Path) -> None:
    """Saves kept and loaded, erasing, judging, telling, exports, imports, backups and reloads, for four seconds."""
    from rfsn_core.testing import make_world

    world = make_world(tmp_path / "world", "", {f"n{n}": f'name = "N{n}"' for n in range(3)})
    server = serve(world=world)
    until = asyncio.get_running_loop().time() + 4
    ends: dict[str, int] = {}
    odd: list[Any] = []

    async def player(number: int) -> None:
        draw = random.Random(number)
        async with connected(server.ws) as client:
            while asyncio.get_running_loop().time() < until:
                npc, who, save = f"n{draw.randrange(3)}", f"p{number % 4}", draw.choice(("default", "other"))
                await client.send(
                    "remember", npc=npc, player=who, save=save, text=f"It rained {draw.randrange(9)} days."
                )
                await client.send("event", npc=npc, player=who, save=save, kind="gift", data={"what": "a plum"})
                await client.send("turn", npc=npc, player=who, save=save, text=f"My name is Aldric{draw.randrange(5)}.")
                got = await client.until("turn.finished", "turn.cancelled", "turn.failed", "error")
                ends[kind(got[-1])] = ends.get(kind(got[-1]), 0) + 1
                odd.extend(item for item in got if kind(item) in ("turn.failed", "error"))

    async def operator(number: int) -> None:
        draw = random.Random(100 + number)
        async with httpx.AsyncClient(base_url=server.http, timeout=30) as http:
            exported = b""
            while asyncio.get_running_loop().time() < until:
                save, tag = draw.choice(("default", "other")), f"slot{draw.randrange(3)}"
                shown = (await http.get("/api/memory/n0", params={"player": "p0", "save": save})).json()
                what, answer = draw.randrange(9), None
                if what == 0:
                    answer = await http.post(f"/api/saves/{save}/snapshots", json={"tag": tag})
                elif what == 1:
                    answer = await http.post(f"/api/saves/{save}/rollback", json={"tag": tag})
                elif what == 2:
                    answer = await http.post("/api/memory/erase", json={"player": "p3", "backups": draw.random() < 0.5})
                elif what == 3 and shown["memories"]:
                    path = f"/api/memory/n0/records/{draw.choice(shown['memories'])['memory_id']}"
                    body = {
                        "status": draw.choice(("active", "quarantined", "forgotten")),
                        "player": "p0",
                        "save": save,
                    }
                    answer = await http.post(path, json=body)
                elif what == 4:
                    exported = (await http.get("/api/memory/export", params={"npc": "n1"})).content
                elif what == 5:
                    answer = await http.post("/api/memory/import", content=exported)
                elif what == 6:
                    answer = await http.post("/api/memory/backups")
                elif what == 7 and number == 0:
                    names = [backup["name"] for backup in (await http.get("/api/memory/backups")).json()["backups"]]
                    if names:
                        answer = await http.post("/api/memory/restore", json={"name": draw.choice(names)})
                else:
                    (world / "rfsn.toml").write_text(
                        f"[memory]\nknown = {draw.randrange(9)}\nrecent = {draw.randrange(5)}\n"
                    )
                if answer is not None and answer.status_code not in (200, 404):  # a save that is not there, or no more
                    odd.append(answer.text)

    await asyncio.gather(operator(0), operator(1), *(player(number) for number in range(8)))
    assert odd == []
    assert ends["turn.finished"] > 20
    async with httpx.AsyncClient(base_url=server.http) as http:
        assert (await http.get("/api/memory/check")).json() == {"damaged": []}
        assert (await http.get("/api/health")).status_code == 200
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text("utf-8")

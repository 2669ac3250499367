"""Clients that hold connections without using them, and signals that arrive at a server in trouble."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from rfsn_core.testing import make_world
from rfsn_core.testing.client import connected, kind
from rfsn_core.testing.process import Server

Serve = Callable[..., Server]
posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and limits")
HALF_A_HEADER = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"
HALF_A_BODY = b"POST /chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{"


def occupy(server: Server, count: int, stack: ExitStack, data: bytes = b"", source: str = "") -> list[socket.socket]:
    """Open connections and send the beginning of a request on each."""
    sockets = []
    for _ in range(count):
        client = stack.enter_context(
            closing(socket.create_connection(("127.0.0.1", server.port), 5, (source, 0) if source else None))
        )
        client.sendall(data)
        sockets.append(client)
    return sockets


def end_of(client: socket.socket) -> bytes:
    """Return what the server sends until it closes the connection; fails when it leaves it open."""
    received = b""
    try:
        while data := client.recv(4096):
            received += data
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize("data", [b"", HALF_A_HEADER, HALF_A_BODY])
async def test_a_request_that_does_not_arrive_is_given_up(serve: Serve, data: bytes) -> None:
    server = serve(RFSN_SERVER__REQUEST_SECONDS="0.3")
    with ExitStack() as stack:
        silent = occupy(server, 50, stack, data)
        async with connected(server.ws) as client:
            assert kind((await client.turn("innkeeper"))[-1]) == "turn.finished"
            for connection in silent:
                assert await asyncio.to_thread(end_of, connection) == b""


async def test_one_address_cannot_take_all_places(serve: Serve) -> None:
    server = serve(RFSN_SERVER__MAX_CONNECTIONS_PER_ADDRESS="20")
    with ExitStack() as stack:
        refused = occupy(server, 30, stack, source="127.0.0.2")[20:]
        for connection in refused:
            answer = await asyncio.to_thread(end_of, connection)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert answer.endswith(b"too many connections from your address")
        async with connected(server.ws) as client:
            assert kind((await client.turn("innkeeper"))[-1]) == "turn.finished"
    with ExitStack() as stack:  # the places are free again
        again = occupy(server, 1, stack, HALF_A_HEADER + b"\r\n", source="127.0.0.2")
        assert again[0].recv(12) == b"HTTP/1.1 200"


@posix
@pytest.mark.attack
async def test_without_file_descriptors_the_log_stays_small_and_the_server_ends(serve: Serve) -> None:
    import resource

    server = serve()
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (48, 48))
    with ExitStack() as stack:
        occupy(server, 100, stack, HALF_A_HEADER)
        await asyncio.sleep(5)
    assert server.log.stat().st_size < 20_000
    async with connected(server.ws) as client:
        assert kind((await client.turn("innkeeper"))[-1]) == "turn.finished"
    with ExitStack() as stack:
        occupy(server, 100, stack, HALF_A_HEADER)
        await asyncio.sleep(1)
        await asyncio.to_thread(server.stop)  # fails when it takes too long


@posix
@pytest.mark.attack
async def test_a_server_whose_loop_is_stuck_ends(serve: Serve, tmp_path: Path) -> None:
    world = make_world(tmp_path / "world")
    (world / "plugins").mkdir()
    hook = "@hookimpl\ndef rfsn_event(event, npc, player):\n    while True:\n        pass\n"
    (world / "plugins" / "stuck.py").write_text(f"from rfsn_core import hookimpl\n\n{hook}")
    server = serve(world=world, RFSN_SERVER__SHUTDOWN_SECONDS="0")
    async with connected(server.ws) as client:
        await client.send("turn", npc="smith", text="Hello")
        await asyncio.sleep(1)
        server.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(server.wait) == 1
    assert "stuck.py" in server.log.read_text("utf-8")

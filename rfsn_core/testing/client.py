"""A game client for tests: it speaks `rfsn.v1` over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from rfsn_core import protocol

Received = protocol.Message | protocol.AudioFrame


class Client:
    """A connection. `socket` is for tests that send invalid messages."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.welcome: protocol.Welcome

    async def send(self, type: str, **fields: Any) -> None:
        """Send a message: `send("turn", npc="smith", text="Hello")`."""
        await self.socket.send(msgspec.json.encode({"type": type, **fields}).decode())

    async def receive(self) -> Received:
        """Return the next message or audio frame. Raises websockets.ConnectionClosed."""
        data = await self.socket.recv()
        if isinstance(data, bytes):
            return protocol.read_audio_frame(data)
        return cast(protocol.Message, protocol.decode_server(data))

    async def until(self, *types: str, turn_id: str = "") -> list[Received]:
        """Return all that comes up to the first message of one of these types, and of this turn if one is named."""
        got: list[Received] = []
        while True:
            got.append(item := await self.receive())
            if kind(item) in types and (not turn_id or getattr(item, "turn_id", "") == turn_id):
                return got

    async def turn(self, npc: str, text: str = "Good evening!", **fields: Any) -> list[Received]:
        """Say something, and wait for the end of the turn."""
        await self.send("turn", npc=npc, text=text, **fields)
        return await self.until("turn.finished", "turn.failed", "turn.cancelled", "error")


def kind(item: Received) -> str:
    """Return a message's type; `audio` for a binary frame."""
    return "audio" if isinstance(item, protocol.AudioFrame) else str(item.__struct_config__.tag)


@asynccontextmanager
async def connected(address: str, **options: Any) -> AsyncIterator[Client]:
    """Open a connection and wait for `welcome`. `options` go to `websockets.connect`."""
    # A client with messages unread stops reading, and would wait 10 s for the answer to its close.
    options = {"close_timeout": 0.5, **options}
    async with connect(address, subprotocols=[Subprotocol(protocol.PROTOCOL)], **options) as socket:
        client = Client(socket)
        client.welcome = cast(protocol.Welcome, await client.receive())
        yield client

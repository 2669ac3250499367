"""The running server of a world, for commands: whether there is one, and a turn on it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, cast

from rfsn_core.cli.ask_server import answers
from rfsn_core.contract.errors import UserError

if TYPE_CHECKING:
    from rfsn_core import protocol
    from rfsn_core.runtime.builder import Runtimes
    from rfsn_core.turn.outbox import Item


async def address_of(runtimes: Runtimes) -> tuple[str, str]:
    """Return the address of the server that serves this world now, and the key for it; empty when there is none."""
    from rfsn_core.server.address import read

    address, secret = read(runtimes.data_dir)
    return (address, secret) if address and await answers(address) else ("", "")


async def turn_on(address: str, key: str, turn: protocol.PlayerTurn, wants: protocol.Hello) -> AsyncGenerator[Item]:
    """Yield all that a turn on a running server sends, its end included. Raises UserError."""
    import msgspec
    from websockets.asyncio.client import connect
    from websockets.exceptions import WebSocketException
    from websockets.typing import Subprotocol

    from rfsn_core import protocol
    from rfsn_core.turn.outbox import Audio

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = address.replace("http", "ws", 1) + "/v1/ws"
    turn = msgspec.structs.replace(turn, turn_id="rfsn-say")
    ends = (protocol.TurnFinished, protocol.TurnCancelled, protocol.TurnFailed)
    try:
        async with connect(
            url, subprotocols=[Subprotocol(protocol.PROTOCOL)], additional_headers=headers, proxy=None
        ) as socket:
            await socket.send(protocol.encode(wants).decode())
            await socket.send(protocol.encode(turn).decode())
            async for data in socket:
                if isinstance(data, bytes):
                    frame = protocol.read_audio_frame(data)
                    yield Audio(frame.turn_no, data)
                    continue
                message = cast("protocol.ServerMessage", protocol.decode_server(data))
                if isinstance(message, protocol.Error):
                    raise UserError(message.message)
                if getattr(message, "turn_id", "") == turn.turn_id:
                    yield message
                if isinstance(message, ends):
                    return
    except (OSError, WebSocketException) as error:
        raise UserError(f"the server does not answer: {error}", hint="Is it still running?") from error

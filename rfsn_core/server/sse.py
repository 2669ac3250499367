"""`POST /api/dialogue/stream` and `POST /chat`: one turn as server-sent events, for clients without websockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from rfsn_core import protocol
from rfsn_core.contract.errors import BadMessage, RfsnError, TooLong, UnknownNpc
from rfsn_core.kernel import Kernel
from rfsn_core.turn.outbox import Outbox
from rfsn_core.turn.turns import RunningTurn

T = TypeVar("T")


class Dialogue(msgspec.Struct, forbid_unknown_fields=True):
    """Body of the request."""

    npc_name: str
    user_input: str
    player: str = "player"
    save: str = "default"
    stream: bool = True
    """False: one JSON object at the end, for clients that cannot read a stream."""
    state: dict[str, object] = {}


class Line(msgspec.Struct):
    """Data of an event: one for each sentence, and one with `is_final` at the end."""

    sentence: str
    is_final: bool
    latency_ms: float


def endpoint(kernel: Kernel):  # type: ignore[no-untyped-def]
    """Return the endpoint for a kernel."""

    async def stream(request: Request) -> Response:
        try:
            asked = await read_json(request, kernel.runtimes.current.settings.server.max_message, Dialogue)
            message = msgspec.convert(
                {
                    "npc": asked.npc_name,
                    "text": asked.user_input,
                    "player": asked.player,
                    "save": asked.save,
                    "state": asked.state,
                },
                protocol.PlayerTurn,
            )
            outbox = Outbox()
            turn = kernel.begin(message, outbox, protocol.Hello(audio=False))
        except msgspec.ValidationError as error:  # a text that is too long, or an empty name
            return problem(400, "bad_message", str(error))
        except RfsnError as error:
            return problem(404 if isinstance(error, UnknownNpc) else 400, error.code, error.public)
        if not asked.stream:
            return await _whole(turn, outbox)
        return StreamingResponse(
            _lines(turn, outbox), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    return stream


class Whole(msgspec.Struct, kw_only=True):
    """A turn as one object."""

    text: str
    sentences: list[str]
    decision_id: str
    action: str
    style: str
    target: str
    arguments: dict[str, Any]
    reason: str
    """`complete`, `cancelled`, or why the answer is shorter than intended."""


async def _whole(turn: RunningTurn, outbox: Outbox) -> Response:
    """Return a turn as one JSON object when it has ended."""
    sentences: list[str] = []
    decision: protocol.Decision | None = None
    while True:
        event = await outbox.get()
        match event:
            case protocol.Decision():
                decision = event
            case protocol.Sentence():
                sentences.append(event.text)
            case protocol.TurnFailed():
                return problem(500, event.code, event.message)
            case protocol.TurnFinished() | protocol.TurnCancelled() if decision is not None:
                reason = event.reason if isinstance(event, protocol.TurnFinished) else "cancelled"
                return as_json(
                    Whole(
                        text=event.text, sentences=sentences, decision_id=decision.decision_id, action=decision.action,
                        style=decision.style, target=decision.target, arguments=decision.arguments, reason=reason,
                    )
                )  # fmt: skip
            case protocol.TurnCancelled():
                return problem(503, "cancelled", "the turn was interrupted before it was decided")


async def _lines(turn: RunningTurn, outbox: Outbox) -> AsyncIterator[bytes]:
    started = time.perf_counter()

    def line(sentence: str, final: bool) -> bytes:
        elapsed = round((time.perf_counter() - started) * 1000, 3)
        return b"data: " + msgspec.json.encode(Line(sentence, final, elapsed)) + b"\n\n"

    try:
        while True:
            try:
                event = await outbox.get()
            except EOFError:  # the client stopped reading
                return
            match event:
                case protocol.Sentence():
                    yield line(event.text, False)
                case protocol.TurnFinished() | protocol.TurnCancelled():
                    yield line("", True)
                    return
                case protocol.TurnFailed():
                    yield b"event: error\ndata: " + protocol.encode(event) + b"\n\n"
                    return
    finally:
        if not turn.task.done():
            turn.cancel("disconnected")
            await asyncio.wait([turn.task])


async def read_json(request: Request, most: int, kind: type[T]) -> T:
    """Read a request's body. Raises TooLong as soon as it is over the limit, BadMessage when it is not of the kind."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise TooLong(f"more than {most} bytes")
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ClientDisconnect) as error:
        raise BadMessage(str(error) or "the client went away") from error


def problem(status: int, code: str, message: str) -> JSONResponse:
    """Return an error as every HTTP route answers it."""
    return JSONResponse({"error": {"code": code, "message": message}}, status)


def as_json(value: Any) -> Response:
    """Return a value as a JSON response."""
    return Response(msgspec.json.encode(value), media_type="application/json")

"""`/v1/ws`: the connections of games. One connection carries turns with any number of NPCs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from rfsn_core import protocol
from rfsn_core.contract.errors import BadMessage, ConversationBusy, RfsnError, UnknownTurn
from rfsn_core.contract.storage import MemorySource
from rfsn_core.contract.version import version
from rfsn_core.kernel import Kernel
from rfsn_core.kit import resample
from rfsn_core.server.auth import CLIENT
from rfsn_core.server.authenticator import Client
from rfsn_core.server.limits import ABORT, SEND_ALL
from rfsn_core.server.redaction import redacted
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn import audio_frames as frames
from rfsn_core.turn.outbox import Audio, Item, Outbox
from rfsn_core.turn.turns import RunningTurn

log = logger("websocket")

Split = Callable[[Any], tuple[protocol.Message | None, protocol.PlayerTurn | None]]
CLOSE_SLOW = 4008
SENT_AT_ONCE = 20
"""Messages and audio frames that are given to the socket with one write, at most."""
CLOSE_PATIENCE = 1.0
"""Seconds for a close frame to find room in the client's receive window."""


class Connections:
    """All open connections of the server."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self._open: set[Connection] = set()

    async def serve(self, socket: WebSocket) -> None:
        """Handle a connection from handshake to close."""
        if protocol.PROTOCOL not in socket.scope.get("subprotocols", []):
            await socket.send_denial_response(_denial(400, f"the subprotocol is {protocol.PROTOCOL}"))
            return
        connection = Connection(socket, self.kernel)
        self._open.add(connection)
        METRICS.connections.inc()
        try:
            await socket.accept(protocol.PROTOCOL)
            await connection.run()
        finally:
            self._open.discard(connection)
            METRICS.connections.dec()

    def broadcast(self, message: protocol.Message) -> None:
        """Send a message to every client."""
        for connection in self._open:
            connection.send(message)

    async def close(self) -> None:
        """Close all connections because the server stops; clients that read get their last messages first."""
        leaving = [asyncio.create_task(connection.leave(1001, "server stops")) for connection in self._open]
        if leaving:
            await asyncio.wait(leaving, timeout=CLOSE_PATIENCE)


def _denial(status: int, reason: str) -> Any:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(reason, status)


class Connection:
    """The connection of one client: a reader, a writer, and its running turns."""

    def __init__(self, socket: WebSocket, kernel: Kernel) -> None:
        self._socket, self._kernel = socket, kernel
        self._client: Client = socket.scope[CLIENT]
        settings = kernel.runtimes.current.settings.server
        self._settings = settings
        self.outbox = Outbox(
            messages=settings.outbox_messages,
            audio=settings.outbox_audio,
            policy=settings.audio_policy,
            patience=settings.audio_patience,
        )
        self._wants = protocol.Hello()
        self._farewell = (1000, "")
        self._ended = asyncio.Event()
        self._turns: dict[str, RunningTurn] = {}
        self._answers: set[asyncio.Task[Any]] = set()
        self._tokens = settings.messages_per_second * 4
        self._refilled = time.monotonic()

    def send(self, message: protocol.Message) -> None:
        """Queue a message."""
        self.outbox.put(message)

    async def run(self) -> None:
        """Serve the client until either side closes."""
        world = self._kernel.runtimes.current.world
        self.send(
            protocol.Welcome(
                server=f"rfsn {version()}",
                npcs=[protocol.NpcInfo(id=npc.id, name=npc.name, title=npc.file.title) for npc in world.npcs.values()],
            )
        )
        writer = asyncio.create_task(self._write())
        reader = asyncio.create_task(self._read())
        overflow = asyncio.create_task(self.outbox.overflow())
        try:
            await asyncio.wait([writer, reader, overflow], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if overflow.done():
                log.warning("connection.too_slow", queued_messages=self._settings.outbox_messages)
                self._farewell = (CLOSE_SLOW, "too slow")
            self.outbox.close()
            for turn in list(self._turns.values()):
                turn.cancel("disconnected")
            for task in (reader, writer, overflow):
                task.cancel()
            for failure in await asyncio.gather(reader, writer, overflow, return_exceptions=True):
                if isinstance(failure, Exception):
                    log.error("connection.failed", exc_info=failure)
                    self._farewell = (1011, "internal error")
            await self._shut()
            self._ended.set()

    async def leave(self, code: int, reason: str) -> None:
        """Send the queued messages, then close the connection."""
        self._farewell = (code, reason)
        self.outbox.close()
        await self._ended.wait()

    async def _shut(self) -> None:
        """Close the socket if it is still open, without waiting long for a client that does not read."""
        if self._socket.application_state is WebSocketState.CONNECTED:
            try:
                async with asyncio.timeout(CLOSE_PATIENCE):
                    await self._socket.close(*self._farewell)
            except TimeoutError:
                self._socket.scope["extensions"][ABORT]()
            except (RuntimeError, OSError, WebSocketDisconnect):
                pass  # it was closed already

    async def _write(self) -> None:
        send_all = self._socket.scope["extensions"][SEND_ALL]
        try:
            while True:
                items = await self.outbox.get_all(SENT_AT_ONCE)
                await send_all([_content(item) for item in items])
        except (EOFError, WebSocketDisconnect, RuntimeError, OSError):
            return

    async def _read(self) -> None:
        while True:
            received = await self._socket.receive()
            if received["type"] == "websocket.disconnect":
                return
            data: str | bytes = received.get("text") or received.get("bytes") or ""
            if not self._within_rate():
                self.send(protocol.Error(code="rate_limited", message="too many messages: slow down"))
                await asyncio.sleep(0.2)
            while wait := self._client.wait():
                self.send(protocol.Error(code="rate_limited", message="this key may not send so much: slow down"))
                await asyncio.sleep(wait)
            if len(data) > self._settings.max_message:
                self.send(
                    protocol.Error(
                        code="too_long",
                        message=f"a message of {len(data)} characters; {self._settings.max_message} at most",
                    )
                )
                continue
            try:
                self._handle(decode(data))
            except RfsnError as error:
                self.send(_error(error))

    def _within_rate(self) -> bool:
        rate, now = self._settings.messages_per_second, time.monotonic()
        self._tokens = min(rate * 4, self._tokens + (now - self._refilled) * rate)
        self._refilled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _handle(self, message: protocol.Message) -> None:
        HANDLERS[type(message)](self, message)

    def _hello(self, message: protocol.Hello) -> None:
        """Check the wishes of the client and apply them from the next turn. Raises BadMessage or UserError."""
        if message.sample_rate:
            if message.sample_rate < 8000:
                raise BadMessage("speech has 8,000 samples a second at least", field="sample_rate")
            resample.available()
        if message.audio_format == "opus":
            resample.available()  # few voices have one of the rates of Opus
            frames.available(message.audio_format)
            if message.sample_rate and message.sample_rate not in frames.OPUS_RATES:
                known = ", ".join(map(str, frames.OPUS_RATES))
                raise BadMessage(f"Opus has the rates {known}", field="sample_rate")
        self._wants = message

    def _ping(self, message: protocol.Ping) -> None:
        self.send(protocol.Pong(id=message.id))

    def _begin(self, message: protocol.PlayerTurn) -> None:
        try:
            if message.turn_id and message.turn_id in self._turns:
                raise BadMessage(f"turn '{message.turn_id}' is still running", field="turn_id")
            if len(self._turns) >= self._settings.max_turns:
                raise ConversationBusy(f"{self._settings.max_turns} turns run on this connection already")
            turn = self._kernel.begin(message, self.outbox, self._wants)
        except RfsnError as error:
            event = _error(error)
            if message.turn_id:
                event.turn_id = message.turn_id
            self.send(event)
            return
        self._turns[turn.turn_id] = turn
        turn.task.add_done_callback(lambda _: self._turns.pop(turn.turn_id, None))

    def _cancel(self, message: protocol.Cancel) -> None:
        if (turn := self._turns.get(message.turn_id)) is None:
            raise UnknownTurn(f"no turn '{message.turn_id[:100]}' is running")
        turn.cancel("cancelled")

    def _played(self, message: protocol.Played) -> None:
        if (turn := self._turns.get(message.turn_id)) is not None:
            turn.played(message.sentence, message.ms)

    def _event(self, message: protocol.GameEvent) -> None:
        task = self._kernel.event(message)
        self._answer_later(task, lambda state: (state, self._kernel.reaction(message)))

    def _result(self, message: protocol.ActionResult) -> None:
        self._answer_later(asyncio.create_task(self._kernel.result(message)), lambda answer: answer)

    def _introduce(self, message: protocol.Introduce) -> None:
        self.send(self._kernel.introduce(message))

    def _end(self, message: protocol.EndConversation) -> None:
        self._answer_later(self._kernel.end(message))

    def _reward(self, message: protocol.Reward) -> None:
        self._answer_later(asyncio.create_task(self._kernel.reward(message)))

    def _remember(self, message: protocol.Remember) -> None:
        self._answer_later(self._kernel.memory.remember(message, MemorySource.GAME))

    def _prefetch(self, message: protocol.Prefetch) -> None:
        for task in self._kernel.prefetch(message):
            self._answer_later(task)

    def _snapshot(self, message: protocol.TakeSnapshot) -> None:
        async def take() -> protocol.SnapshotTaken:
            snapshot = await self._kernel.saves.snapshot(message.save, message.tag)
            return protocol.SnapshotTaken(save=snapshot.save, tag=snapshot.tag, turns=snapshot.turns)

        self._answer_later(asyncio.create_task(take()))

    def _rollback(self, message: protocol.Rollback) -> None:
        async def roll_back() -> None:  # the answer is the message that all clients get
            await self._kernel.saves.rollback(message.save, message.tag)

        self._answer_later(asyncio.create_task(roll_back()))

    def _undo(self, message: protocol.Undo) -> None:
        self._answer_later(self._kernel.undo(message))

    def _answer_later(self, task: asyncio.Task[Any], split: Split | None = None) -> None:
        """Send the result of a task when it is done, without delaying the messages behind it.

        :param split: returns the answer in the result, and the turn that follows it, if any.
        """

        def done(task: asyncio.Task[Any]) -> None:
            self._answers.discard(task)
            if task.cancelled():
                return
            error = task.exception()
            if error is None:
                answer, turn = split(task.result()) if split else (task.result(), None)
                if answer is not None:
                    self.send(answer)
                if turn is not None and not self.outbox.closed:
                    self._begin(turn)
            elif isinstance(error, RfsnError):
                self.send(_error(error))
            else:
                log.error("message.failed", exc_info=error)
                self.send(protocol.Error(code="internal", message=f"{type(error).__name__}: see the server's log"))

        self._answers.add(task)
        task.add_done_callback(done)


HANDLERS: dict[type[protocol.Message], Callable[[Connection, Any], None]] = {
    protocol.Hello: Connection._hello,
    protocol.Ping: Connection._ping,
    protocol.PlayerTurn: Connection._begin,
    protocol.Cancel: Connection._cancel,
    protocol.Played: Connection._played,
    protocol.GameEvent: Connection._event,
    protocol.EndConversation: Connection._end,
    protocol.ActionResult: Connection._result,
    protocol.Introduce: Connection._introduce,
    protocol.Reward: Connection._reward,
    protocol.Remember: Connection._remember,
    protocol.Prefetch: Connection._prefetch,
    protocol.TakeSnapshot: Connection._snapshot,
    protocol.Rollback: Connection._rollback,
    protocol.Undo: Connection._undo,
}
"""What each message of a client does. A handler returns at once; slow work is answered later."""


def _content(item: Item) -> str | bytes:
    """Return what is sent for an item of the outbox."""
    return item.frame if isinstance(item, Audio) else redacted(protocol.encode(item).decode())


def decode(data: str | bytes) -> Any:
    """Decode a client's message. Raises BadMessage that names the field."""
    try:
        return protocol.decode_client(data)
    except msgspec.ValidationError as error:
        text = str(error)
        reason, _, path = text.partition(" - at `$")
        raise BadMessage(reason, field=path.rstrip("`").lstrip(".")) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, UnicodeEncodeError) as error:
        raise BadMessage(f"not JSON: {error}") from error


def _error(error: RfsnError) -> protocol.Error:
    event = protocol.Error(code=error.code, message=error.public)
    if isinstance(error, BadMessage) and error.field:
        event.field = error.field
    return event

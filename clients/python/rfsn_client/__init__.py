"""NPCs with a mind and a voice: a client for RFSN.

`Game` is for asyncio; `GameThread` is for a game loop, which calls `poll` in each frame.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import queue
import struct
import threading
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

__all__ = ["Game", "GameThread"]

PROTOCOL = "rfsn.v1"
LONGEST_WAIT = 10.0
_HEADER = struct.Struct("<BBHII")


class Game:
    """A connection to the server, which is made again when it is lost, and the turns that run on it.

    Callbacks: `ready(npcs)`, `decision(turn, decision)`, `sentence(turn, index, text)`,
    `audio(turn, sentence, sample_rate, pcm)`, `visemes(turn, sentence, visemes)`, `spoken(turn, sentence)`,
    `state(state)`, `finished(turn, text)`, `error(message)`, `lost(reason, seconds)`, `message(message)`.
    """

    def __init__(
        self, url: str, player: str = "player", save: str = "default", key: str = "", audio: bool = True,
        visemes: bool = False, wait: float = 0.5,
    ) -> None:  # fmt: skip
        self.url, self.player, self.save, self.key = url, player, save, key
        self.audio, self.visemes, self.wait = audio, visemes, wait
        self.npcs: list[dict[str, str]] = []
        self._callbacks: dict[str, Callable[..., None]] = {}
        self._turns: dict[str, tuple[int, dict[int, int]]] = {}
        self._numbers: dict[int, str] = {}
        self._made = itertools.count(1)
        self._outgoing: asyncio.Queue[str] = asyncio.Queue()
        self._connected = self._welcomed = False

    def on(self, event: str, callback: Callable[..., None]) -> Game:
        """Set the callback of an event; a second one replaces the first."""
        self._callbacks[event] = callback
        return self

    async def run(self) -> None:
        """Connect, and connect again whenever the connection is lost, until cancelled."""
        wait = self.wait
        while True:
            reason = "the server cannot be reached"
            self._welcomed = False
            try:
                headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
                async with connect(
                    self.url,
                    subprotocols=[PROTOCOL],  # type: ignore[list-item]
                    additional_headers=headers,
                    close_timeout=0.5,
                ) as socket:
                    self._connected = True
                    await self._talk(socket)
                    reason = "the connection ended"
            except (TimeoutError, OSError, WebSocketException) as error:
                reason = str(error) or reason
            finally:
                self._connected = False
                for turn in list(self._turns):
                    self._end(turn, "")
            if self._welcomed:
                wait = self.wait
            self._call("lost", reason, wait)
            await asyncio.sleep(wait)
            wait = min(LONGEST_WAIT, wait * 2)

    async def _talk(self, socket: ClientConnection) -> None:
        self._outgoing = asyncio.Queue()
        sending = asyncio.ensure_future(self._send_all(socket))
        try:
            async for data in socket:
                self._hear(data) if isinstance(data, bytes) else self._take(json.loads(data))
        finally:
            sending.cancel()

    async def _send_all(self, socket: ClientConnection) -> None:
        while True:
            await socket.send(await self._outgoing.get())

    # ── what the game says ───────────────────────────────────────────────────────────────────────

    def say(self, npc: str, text: str, state: dict[str, Any] | None = None, signal: str = "") -> str:
        """Say something to an NPC; return the turn's id."""
        return self._begin({"npc": npc, "text": text, "state": state or {}, "signal": signal})

    def greet(self, npc: str, cause: str = "approach") -> str:
        """Let an NPC speak first; return the turn's id."""
        return self._begin({"npc": npc, "text": "", "cause": cause})

    def interrupt(self, turn: str, sentence: int = 0, ms: int = 0) -> None:
        """Stop an NPC, which remembers what the player heard: up to `ms` of a sentence."""
        self.send({"type": "played", "turn_id": turn, "sentence": sentence, "ms": ms})
        self.send({"type": "cancel", "turn_id": turn})

    def approach(self, *npcs: str) -> None:
        """Tell the server that the player comes near these NPCs."""
        self.send({"type": "prefetch", "npcs": list(npcs), "player": self.player, "save": self.save})

    def event(self, npc: str, kind: str, data: dict[str, Any] | None = None, speak: bool = False) -> None:
        """Tell an NPC that something happened in the game."""
        self.send(
            {"type": "event", "npc": npc, "kind": kind, "player": self.player, "save": self.save, "data": data or {},
             "speak": speak}
        )  # fmt: skip

    def result(self, decision: str, outcome: str, reason: str = "", speak: bool = False) -> None:
        """Tell what became of an NPC's action: `done`, `failed` or `refused`."""
        self.send({"type": "result", "decision_id": decision, "outcome": outcome, "reason": reason, "speak": speak})

    def saved(self, tag: str) -> None:
        """Tell that the game was saved."""
        self.send({"type": "snapshot", "tag": tag, "save": self.save})

    def loaded(self, tag: str) -> None:
        """Tell that the game was loaded."""
        self.send({"type": "rollback", "tag": tag, "save": self.save})

    def send(self, message: dict[str, Any]) -> None:
        """Send any message of the protocol."""
        if self._connected:
            self._outgoing.put_nowait(json.dumps(message))
        else:
            self._call("error", "There is no connection to the server.")

    def _begin(self, fields: dict[str, Any]) -> str:
        turn = f"{PROTOCOL}-{next(self._made)}"
        self._turns[turn] = (0, {})
        self.send({"type": "turn", "player": self.player, "save": self.save, "turn_id": turn, **fields})
        return turn

    # ── what the server says ─────────────────────────────────────────────────────────────────────

    def _call(self, event: str, *values: Any) -> None:
        callback = self._callbacks.get(event)
        if callback is not None:
            callback(*values)

    def _take(self, message: dict[str, Any]) -> None:
        kind, turn = message["type"], message.get("turn_id", "")
        if kind == "welcome":
            self.npcs, self._welcomed = message["npcs"], True
            self.send({"type": "hello", "client": "rfsn-client py", "audio": self.audio, "visemes": self.visemes})
            self._call("ready", self.npcs)
        elif kind == "turn.started":
            rates = self._turns.get(turn, (0, {}))[1]
            self._turns[turn] = (message["turn_no"], rates)
            self._numbers[message["turn_no"]] = turn
        elif kind == "decision":
            self._call("decision", turn, message)
        elif kind == "sentence":
            self._call("sentence", turn, message["index"], message["text"])
        elif kind == "speech.started":
            if turn in self._turns:
                self._turns[turn][1][message["sentence"]] = message["sample_rate"]
        elif kind == "visemes":
            self._call("visemes", turn, message["sentence"], message["visemes"])
        elif kind == "speech.finished":
            self._call("spoken", turn, message["sentence"])
        elif kind == "state":
            self._call("state", message)
        elif kind in ("turn.finished", "turn.cancelled"):
            self._end(turn, message["text"])
        elif kind in ("turn.failed", "error"):
            self._call("error", message["message"])
            self._end(turn, "")
        else:
            self._call("message", message)

    def _hear(self, frame: bytes) -> None:
        if len(frame) <= _HEADER.size or frame[0] != 1:
            return
        _, _, sentence, number, _ = _HEADER.unpack_from(frame)
        turn = self._numbers.get(number)
        if turn is not None:
            rate = self._turns[turn][1].get(sentence, 0)
            self._call("audio", turn, sentence, rate, frame[_HEADER.size :])

    def _end(self, turn: str, text: str) -> None:
        known = self._turns.pop(turn, None)
        if known is not None:
            self._numbers.pop(known[0], None)
            self._call("finished", turn, text)


class GameThread:
    """A `Game` in a thread of its own, for a game loop: `poll` runs the callbacks in the caller's thread.

    It has the methods of `Game`; those that begin a turn return its id at once.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._ready: queue.Queue[tuple[Callable[..., None], tuple[Any, ...]]] = queue.Queue()
        self._callbacks: dict[str, Callable[..., None]] = {}
        self._url, self._options = url, options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._game: Game | None = None
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None

    def on(self, event: str, callback: Callable[..., None]) -> GameThread:
        """Set the callback of an event."""
        self._callbacks[event] = callback
        return self

    def start(self) -> None:
        """Connect, in the background."""
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="rfsn", daemon=True)
        self._thread.start()
        started.wait()

    def stop(self) -> None:
        """Close the connection for good."""
        if self._loop is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
        if self._thread is not None:
            self._thread.join(5)

    def poll(self) -> None:
        """Run the callbacks of all that came since the last call."""
        while True:
            try:
                callback, values = self._ready.get_nowait()
            except queue.Empty:
                return
            callback(*values)

    def _run(self, started: threading.Event) -> None:
        async def main() -> None:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            self._game = game = Game(self._url, **self._options)
            for event in self._callbacks:
                game.on(event, self._later(event))
            started.set()
            await game.run()

        try:
            asyncio.run(main())
        except asyncio.CancelledError:
            pass

    def _later(self, event: str) -> Callable[..., None]:
        return lambda *values: self._ready.put((self._callbacks[event], values))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        method = getattr(self._game, name)

        def call(*values: Any, **named: Any) -> Any:
            assert self._loop is not None
            done: queue.Queue[Any] = queue.Queue()
            self._loop.call_soon_threadsafe(lambda: done.put(method(*values, **named)))
            return done.get(timeout=5)

        return call

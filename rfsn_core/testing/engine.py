"""An engine to test against: a real server on loopback that speaks the wires of Ollama, vLLM and Anthropic.

It answers with given words, and fails when its script says so::

    with StandIn(["Good ", "evening."]) as engine:
        engine.faults += [Fault("refuse", status=429, retry_after=0.1), Fault("cut", after=1)]
        ...  # point a plugin at engine.url
        assert engine.running == 0

Errors have the words and shapes of the real servers. By hand: `python -m rfsn_core.testing.engine --port 11434`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import uvicorn

from rfsn_core.server.listener import listen
from rfsn_core.testing.wires import AnthropicWire, Body, ChatWire, OllamaWire

Send = Callable[[MutableMapping[str, Any]], Any]


@dataclass
class Fault:
    """What goes wrong with one request for words."""

    kind: Literal["refuse", "drop", "slow", "stall", "cut", "error", "garbage", "empty", "endless", "bytes", "body"]
    """`refuse`: an HTTP error. `drop`: the connection is cut before an answer. `slow`: the first token comes late.
    `stall`: no more tokens. `cut`: the connection is cut in the middle of a line. `error`: an error in the stream.
    `garbage`: a line that is no JSON. `empty`: it ends without words. `endless`: it ends without the end mark.
    `bytes`: `content` is sent as it is, and nothing after it. `body`: `content` is all that is sent."""
    after: int = 0
    """Tokens that go out first."""
    status: int = 500
    message: str = "model runner has unexpectedly stopped"
    retry_after: float | None = None
    seconds: float = 0.0
    content: bytes = b""


class _Cut(Exception):
    """Ends a response in its middle."""


@dataclass
class StandIn:
    """The server. Enter it; it runs in a thread of its own until it is left."""

    tokens: Sequence[str] | Callable[[Body], Sequence[str]] = ("Good ", "evening, ", "traveller.")
    interval: float = 0.0
    """Seconds before each token."""
    reasoning: Sequence[str] = ()
    """Tokens that it thinks first."""
    models: list[str] = field(default_factory=lambda: ["tiny"])
    key: str = ""
    """When set, a request without it is refused."""
    context: int = 8192
    """Tokens that a prompt may have, as four bytes each."""
    lora: bool = True
    """Whether adapters can be loaded at run time."""
    adapter_paths: Callable[[str], bool] = lambda path: "missing" not in path
    loading: float = 0.0
    """Seconds that the first request waits for the model. One that leaves earlier stops the loading, as in Ollama."""
    port: int = 0

    def __post_init__(self) -> None:
        self.faults: list[Fault] = []
        """For the next requests, one each."""
        self.always: Fault | None = None
        """For all others."""
        self.requests: list[tuple[str, Body]] = []
        """(path, body) of everything that was asked for."""
        self.running = 0
        """Streams in progress."""
        self.closed: list[float] = []
        """When a client closed its connection before the end; `time.perf_counter`."""
        self.adapters: dict[str, str] = {}
        """Loaded ones: name → path."""
        self.loads: list[str] = []
        self.loaded = False
        """Whether the model was loaded, for `loading`."""
        self._server: uvicorn.Server
        self._thread: threading.Thread

    # ── running ──────────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> Self:
        listener = listen("127.0.0.1", self.port)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(self, log_level="critical", lifespan="off", timeout_graceful_shutdown=1, ws="none")
        self._server = uvicorn.Server(config)
        self._server.config.load()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._server.serve(sockets=[listener])), name="stand-in", daemon=True
        )
        self._thread.start()
        while not self._server.started:
            time.sleep(0.002)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop at once; `with` starts another one on the same port."""
        if not self._thread.is_alive():
            return
        self._server.force_exit = self._server.should_exit = True
        for server in getattr(self._server, "servers", ()):
            server.get_loop().call_soon_threadsafe(self._abort)
        self._thread.join(5)

    def _abort(self) -> None:
        for connection in list(self._server.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def restart(self) -> None:
        """Stop, and start again on the same port, with all adapters forgotten."""
        self.stop()
        self.adapters.clear()
        self.running = 0
        self.__enter__()

    async def until(self, running: int, seconds: float = 5.0) -> None:
        """Wait until so many streams are in progress. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while self.running != running:  # noqa: ASYNC110  it runs in another thread
                await asyncio.sleep(0.005)

    def forget(self, adapter: str) -> None:
        """Forget everything, as a server does that was restarted."""
        self.adapters.pop(adapter, None)

    # ── the wires ────────────────────────────────────────────────────────────────────────────────

    async def __call__(self, scope: Mapping[str, Any], receive: Callable[[], Any], send: Send) -> None:
        """Answer an ASGI request."""
        content = b""
        while (message := await receive()).get("more_body") or message.get("body"):
            content += message.get("body", b"")
            if not message.get("more_body"):
                break
        path, method = scope["path"], scope["method"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        try:
            body = json.loads(content) if content else {}
        except ValueError as error:
            await answer(send, 400, _error(path, str(error), "Bad Request", 400))
            return
        self.requests.append((path, body))
        key = headers.get("authorization", "").removeprefix("Bearer ") or headers.get("x-api-key", "")
        if self.key and key != self.key:
            await answer(send, 401, _error(path, "Incorrect API key provided.", "invalid_request_error", 401))
        elif method == "POST" and path in ("/api/chat", "/v1/chat/completions", "/v1/messages"):
            await self._words(path, body, receive, send)
        elif method == "POST" and path in ("/v1/load_lora_adapter", "/v1/unload_lora_adapter") and self.lora:
            await self._adapter(path, body, send)
        elif await self.other(method, path, body, send):
            pass
        elif method == "GET" and (content := self._state(path)) is not None:
            await answer(send, 200, content)
        else:
            await answer(send, 404, {"detail": "Not Found"})

    async def other(self, method: str, path: str, body: Body, send: Send) -> bool:
        """Answer other requests: engines with another wire override this, answer by `answer`, and return True."""
        return False

    def _state(self, path: str) -> Any:
        models = [{"name": name, "model": name, "size": 1, "digest": "0"} for name in self.models]
        cards = [{"id": name, "root": name, "parent": None, "max_model_len": self.context} for name in self.models]
        loaded = [{"id": name, "root": at, "parent": self.models[0]} for name, at in self.adapters.items()]
        return {
            "/": "Ollama is running",
            "/health": "",
            "/api/version": {"version": "0.5.0"},
            "/version": {"version": "0.32.0"},
            "/api/tags": {"models": models},
            "/api/ps": {"models": models[:1]},
            "/v1/models": {"object": "list", "data": [*cards, *loaded]},
        }.get(path)

    async def _adapter(self, path: str, body: Body, send: Send) -> None:
        name, place = body.get("lora_name"), body.get("lora_path")
        if path.endswith("unload_lora_adapter"):
            if self.adapters.pop(str(name), None) is None:
                text = f"The lora adapter '{name}' cannot be found."
                await answer(send, 404, _error(path, text, "NotFoundError", 404))
            else:
                await answer(send, 200, f"Success: LoRA adapter '{name}' removed successfully.")
            return
        if not name or not place:
            text = "Both 'lora_name' and 'lora_path' must be provided."
            await answer(send, 400, _error(path, text, "InvalidUserInput", 400))
        elif name in self.adapters:
            text = f"The lora adapter '{name}' has already been loaded. If you want to load the adapter in place, …"
            await answer(send, 400, _error(path, text, "InvalidUserInput", 400))
        elif not self.adapter_paths(place):
            text = f"Loading lora {name} failed: No adapter found for {place}"
            await answer(send, 404, _error(path, text, "NotFoundError", 404))
        else:
            self.loads.append(name)
            self.adapters[name] = place
            await answer(send, 200, f"Success: LoRA adapter '{name}' added successfully.")

    def _refusal(self, path: str, body: Body) -> tuple[int, Any] | None:
        model = str(body.get("model", ""))
        named = {model, model.removesuffix(":latest")}
        if not named & {*self.models, *self.adapters}:
            if path == "/api/chat":
                return 404, {"error": f"model '{model}' not found"}
            text = f"The model `{model}` does not exist."
            return 404, _error(path, text, "NotFoundError", 404)
        size = sum(len(str(message.get("content", "")).encode()) for message in body.get("messages", ())) // 4
        if size > self.context:
            text = f"This model's maximum context length is {self.context} tokens. However, your prompt contains {size}"
            return 400, _error(path, text, "BadRequestError", 400)
        return None

    async def _words(self, path: str, body: Body, receive: Callable[[], Any], send: Send) -> None:
        fault = self.faults.pop(0) if self.faults else self.always
        if (refused := self._refusal(path, body)) is not None:
            await answer(send, *refused)
            return
        if fault and fault.kind == "refuse":
            headers = [] if fault.retry_after is None else [(b"retry-after", str(fault.retry_after).encode())]
            text = _error(path, fault.message, "api_error", fault.status)
            await answer(send, fault.status, text, headers)
            return
        if fault and fault.kind == "drop":
            raise _Cut
        stream = asyncio.create_task(self._stream(path, body, fault, send))
        gone = asyncio.create_task(_disconnected(receive))
        self.running += 1
        try:
            await asyncio.wait([stream, gone], return_when=asyncio.FIRST_COMPLETED)
            if not stream.done() or isinstance(stream.exception(), OSError):  # it could not send any more
                self.closed.append(time.perf_counter())
        finally:
            self.running -= 1
            gone.cancel()
            stream.cancel()
            results = await asyncio.gather(stream, gone, return_exceptions=True)
        if isinstance(results[0], _Cut):
            raise results[0]

    async def _stream(self, path: str, body: Body, fault: Fault | None, send: Send) -> None:
        if self.loading and not self.loaded:
            await asyncio.sleep(self.loading)
            self.loaded = True
        kind = "application/x-ndjson" if path == "/api/chat" else "text/event-stream; charset=utf-8"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind.encode())]})
        async for part in self._parts(path, body, fault):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _parts(self, path: str, body: Body, fault: Fault | None) -> AsyncIterator[bytes]:
        wires: dict[str, type[OllamaWire] | type[ChatWire] | type[AnthropicWire]] = {
            "/api/chat": OllamaWire,
            "/v1/chat/completions": ChatWire,
            "/v1/messages": AnthropicWire,
        }
        wire = wires[path](body)
        kind = fault.kind if fault else ""
        tokens = () if kind == "empty" else self.tokens(body) if callable(self.tokens) else self.tokens
        if fault and kind == "body":
            yield fault.content
            return
        yield wire.first()
        if fault and kind == "slow":
            await asyncio.sleep(fault.seconds)
        for thought in self.reasoning:
            yield wire.thought(thought)
        for position, token in enumerate([*tokens, None]):
            if fault and position == fault.after:
                if kind == "stall":
                    await asyncio.Event().wait()
                if kind == "cut":
                    yield wire.token("cut off")[:-8]
                    raise _Cut
                if kind == "garbage":
                    yield wire.line(b'{"choices": [{"delta": {"content": "\xff\xfe')
                if kind == "bytes":
                    yield fault.content
                    return
                if kind == "error":
                    yield wire.failure(fault.message)
                    return
            if token is None:
                break
            if self.interval:
                await asyncio.sleep(self.interval)
            yield wire.token(token)
        if kind != "endless":
            yield wire.last(len(tokens))


def _error(path: str, message: str, kind: str, code: int) -> Any:
    if path.startswith("/api/"):
        return {"error": message}
    if path == "/v1/messages":
        return {"type": "error", "error": {"type": kind, "message": message}}
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


async def answer(send: Send, status: int, content: Any, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    """Send a whole answer: text as it is, anything else as JSON."""
    plain = isinstance(content, str)
    data = content.encode() if plain else json.dumps(content).encode()
    kind = [] if plain else [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": [*kind, *headers]})
    await send({"type": "http.response.body", "body": data})


async def _disconnected(receive: Callable[[], Any]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def main() -> None:
    """Run one until it is interrupted."""
    parser = argparse.ArgumentParser(description="A stand-in for Ollama, vLLM and Anthropic, for tests.")
    parser.add_argument("--port", type=int, default=11434)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--say", default="Good evening, traveller.")
    arguments = parser.parse_args()
    words = [f"{word} " for word in arguments.say.split()]
    with StandIn(words, interval=0.05, models=[arguments.model], port=arguments.port) as engine:
        print(f"{arguments.model} at {engine.url}")  # noqa: T201
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()

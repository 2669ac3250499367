"""OpenAI's wire: `/v1/models` and `/v1/chat/completions`."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from rfsn_core import NpcInfo
from rfsn_dialect_openai.chat import (
    Answer,
    Chats,
    Failed,
    chosen_tool,
    messages_of,
    read_body,
    task_answer,
    while_connected,
)

Handler = Callable[[Request], Awaitable[Response]]


def answering_errors(handler: Handler) -> Handler:
    """Return a handler that answers Failed as OpenAI's server answers errors."""

    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except Failed as error:
            kind = "server_error" if error.status >= 500 else "invalid_request_error"
            body = {"error": {"message": error.message, "type": kind, "param": None, "code": error.code}}
            return JSONResponse(body, error.status)

    return guarded


def openai_routes(chats: Chats) -> list[BaseRoute]:
    """Return the routes."""
    routes = _Routes(chats)
    return [
        Route("/v1/models", answering_errors(routes.models), methods=["GET"]),
        Route("/v1/models/{model:path}", answering_errors(routes.model), methods=["GET"]),
        Route("/v1/chat/completions", answering_errors(routes.complete), methods=["POST"]),
    ]


class _Routes:
    def __init__(self, chats: Chats) -> None:
        self._chats = chats

    async def models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_model(npc) for npc in self._chats.host.npcs()]})

    async def model(self, request: Request) -> Response:
        name = request.path_params["model"]
        npc, _ = self._chats.model(name)
        return JSONResponse(_model(self._chats.host.npc(npc)) | {"id": name})

    async def complete(self, request: Request) -> Response:
        body = await read_body(request)
        reply = _Reply(body)
        task = task_answer(messages_of(body)[-1].text)
        if task is not None:
            return _streamed(reply.streamed_text(task)) if body.get("stream") else JSONResponse(reply.whole(task))
        answer = await self._chats.answer(self._chats.asked(request, body))
        reply.about(answer)
        if body.get("stream"):
            return _streamed(reply.streamed(answer))
        return JSONResponse(reply.whole(await while_connected(request, answer.text()), answer))


def _model(npc: NpcInfo) -> dict[str, Any]:
    return {"id": npc.id, "object": "model", "created": 0, "owned_by": "rfsn", "name": npc.name}


def _streamed(lines: AsyncIterator[bytes]) -> Response:
    return StreamingResponse(lines, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _line(value: Any) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


class _Reply:
    """The reply to one request, whole or in chunks."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body
        options = body.get("stream_options")
        self._with_usage = isinstance(options, Mapping) and bool(options.get("include_usage"))
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": body.get("model", "")}
        self._own: dict[str, Any] = {}
        self._calls: list[dict[str, Any]] = []

    def about(self, answer: Answer) -> None:
        """Add what the NPC decided: clients keep fields that they do not know, or leave them out."""
        decision = answer.decision
        self._own = {"rfsn": {"action": decision.action, "style": decision.style, "decision_id": decision.decision_id}}
        if chosen_tool(self._body, decision.action):
            function = {"name": decision.action, "arguments": "{}"}
            self._calls = [{"id": f"call_{decision.decision_id}", "type": "function", "function": function}]

    @property
    def _reason(self) -> str:
        return "tool_calls" if self._calls else "stop"

    def whole(self, text: str, answer: Answer | None = None) -> dict[str, Any]:
        """Return the reply as one object."""
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if self._calls:
            message["tool_calls"] = self._calls
        choice = {"index": 0, "message": message, "finish_reason": self._reason, "logprobs": None}
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": _usage(answer), **self._own}

    async def streamed(self, answer: Answer) -> AsyncIterator[bytes]:
        """Yield the reply chunk by chunk."""
        yield _line(self._chunk({"role": "assistant", "content": ""}) | self._own)
        try:
            async for delta in answer.words():
                yield _line(self._chunk({"content": delta}))
        except Failed as error:
            yield _line({"error": {"message": error.message, "type": "server_error", "code": error.code}})
            return
        for line in self._end(answer):
            yield line

    async def streamed_text(self, text: str) -> AsyncIterator[bytes]:
        """Yield a text that is there already as a streamed reply."""
        yield _line(self._chunk({"role": "assistant", "content": text}))
        for line in self._end(None):
            yield line

    def _end(self, answer: Answer | None) -> Iterator[bytes]:
        if self._calls:
            yield _line(self._chunk({"tool_calls": [{"index": 0, **call} for call in self._calls]}))
        yield _line(self._chunk({}, self._reason))
        if self._with_usage:
            yield _line({**self._chunk({}), "choices": [], "usage": _usage(answer)})
        yield b"data: [DONE]\n\n"

    def _chunk(self, delta: Mapping[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}


def _usage(answer: Answer | None) -> dict[str, int]:
    prompt, completion = answer.tokens if answer else (0, 0)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

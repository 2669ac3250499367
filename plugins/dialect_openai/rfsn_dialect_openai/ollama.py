"""Ollama's wire: `/api/tags`, `/api/chat` and what clients ask besides. Replies are lines of JSON."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from rfsn_core import NpcInfo
from rfsn_dialect_openai.chat import Answer, Chats, Failed, messages_of, read_body, task_answer, while_connected

Handler = Callable[[Request], Awaitable[Response]]
VERSION = "0.12.0"
"""Of Ollama, whose wire this is: clients compare it."""
EPOCH = "2026-01-01T00:00:00Z"
DETAILS = {
    "parent_model": "", "format": "rfsn", "family": "npc", "families": ["npc"], "parameter_size": "",
    "quantization_level": "",
}  # fmt: skip


def ollama_routes(chats: Chats) -> list[BaseRoute]:
    """Return the routes."""
    routes = _Routes(chats)
    return [
        Route("/api/version", routes.version, methods=["GET"]),
        Route("/api/tags", routes.tags, methods=["GET"]),
        Route("/api/show", _answering_errors(routes.show), methods=["POST"]),
        Route("/api/chat", _answering_errors(routes.chat), methods=["POST"]),
        Route("/api/generate", _answering_errors(routes.generate), methods=["POST"]),
    ]


def _answering_errors(handler: Handler) -> Handler:
    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except Failed as error:
            return JSONResponse({"error": error.message}, error.status)

    return guarded


class _Routes:
    def __init__(self, chats: Chats) -> None:
        self._chats = chats

    async def version(self, request: Request) -> Response:
        return JSONResponse({"version": VERSION})

    async def tags(self, request: Request) -> Response:
        return JSONResponse({"models": [_model(npc) for npc in self._chats.host.npcs()]})

    async def show(self, request: Request) -> Response:
        body = await read_body(request)
        npc, _ = self._chats.model(str(body.get("model") or body.get("name") or ""))
        title = self._chats.host.npc(npc).title
        return JSONResponse(
            {"modelfile": "", "parameters": "", "template": "", "system": title, "details": DETAILS,
             "model_info": {"general.architecture": "npc"}, "capabilities": ["completion"], "modified_at": EPOCH}
        )  # fmt: skip

    async def chat(self, request: Request) -> Response:
        return await self._reply(request, await read_body(request), _Chat)

    async def generate(self, request: Request) -> Response:
        body = await read_body(request)
        prompt = str(body.get("prompt") or "")
        if not prompt:  # how clients load a model before its first use
            self._chats.model(str(body.get("model", "")))
            return JSONResponse(_Generated(body).line("") | {"done": True, "done_reason": "load"})
        messages = [{"role": "user", "content": prompt}]
        return await self._reply(request, {**body, "messages": messages}, _Generated)

    async def _reply(self, request: Request, body: Mapping[str, Any], kind: type[_Chat]) -> Response:
        reply = kind(body)
        streamed = body.get("stream", True)
        if body.get("messages") == []:  # loads a model, too
            self._chats.model(str(body.get("model", "")))
            return JSONResponse(reply.line("") | {"done": True, "done_reason": "load"})
        task = task_answer(messages_of(body)[-1].text)
        if task is not None:
            return JSONResponse(reply.line(task) | reply.end(None))
        answer = await self._chats.answer(self._chats.asked(request, body))
        if streamed:
            return StreamingResponse(reply.lines(answer), media_type="application/x-ndjson")
        text = await while_connected(request, answer.text())
        return JSONResponse(reply.line(text) | reply.end(answer))


def _model(npc: NpcInfo) -> dict[str, Any]:
    name = f"{npc.id}:latest"
    return {"name": name, "model": name, "modified_at": EPOCH, "size": 0, "digest": npc.id, "details": DETAILS}


class _Chat:
    """The reply to one request of `/api/chat`."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._model = body.get("model", "")
        self._started = time.perf_counter_ns()

    def words(self, text: str) -> dict[str, Any]:
        """Return a piece of the answer as this route sends it."""
        return {"message": {"role": "assistant", "content": text}}

    def line(self, text: str) -> dict[str, Any]:
        """Return one object of the reply."""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        return {"model": self._model, "created_at": now, **self.words(text), "done": False}

    def end(self, answer: Answer | None) -> dict[str, Any]:
        """Return what the last object says besides."""
        prompt, completion = answer.tokens if answer else (0, 0)
        took = time.perf_counter_ns() - self._started
        return {
            "done": True, "done_reason": "stop", "total_duration": took, "load_duration": 0,
            "prompt_eval_count": prompt, "prompt_eval_duration": 0, "eval_count": completion, "eval_duration": took,
        }  # fmt: skip

    async def lines(self, answer: Answer) -> AsyncIterator[bytes]:
        """Yield the reply line by line."""
        try:
            async for delta in answer.words():
                yield _line(self.line(delta))
        except Failed as error:
            yield _line({"error": error.message})
            return
        yield _line(self.line("") | self.end(answer))


class _Generated(_Chat):
    """The reply to one request of `/api/generate`."""

    def words(self, text: str) -> dict[str, Any]:
        return {"response": text}


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"

"""The streams of Ollama, vLLM and Anthropic, as the stand-in engine writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Body = Mapping[str, Any]


class OllamaWire:
    """`/api/chat`: an object a line."""

    def __init__(self, body: Body) -> None:
        self.model = str(body.get("model"))

    def line(self, data: bytes) -> bytes:
        """Return one record, framed."""
        return data + b"\n"

    def _message(self, done: bool = False, **fields: Any) -> bytes:
        message = {"role": "assistant", "content": "", **fields.pop("message", {})}
        value = {"model": self.model, "created_at": "2026-01-01T00:00:00Z", "message": message, "done": done, **fields}
        return self.line(json.dumps(value).encode())

    def first(self) -> bytes:
        """Return what comes before the words."""
        return b""

    def token(self, text: str) -> bytes:
        """Return some words of the reply."""
        return self._message(message={"content": text})

    def thought(self, text: str) -> bytes:
        """Return some reasoning before the reply."""
        return self._message(message={"thinking": text})

    def failure(self, text: str) -> bytes:
        """Return an error in a stream that began well."""
        return self.line(json.dumps({"error": text}).encode())

    def last(self, count: int) -> bytes:
        """Return the end, with the usage."""
        return self._message(
            done=True, done_reason="stop", total_duration=9_000_000, load_duration=1_000_000, prompt_eval_count=42,
            prompt_eval_duration=2_000_000, eval_count=count, eval_duration=6_000_000,
        )  # fmt: skip


class ChatWire:
    """`/v1/chat/completions`: server-sent events."""

    def __init__(self, body: Body) -> None:
        self.model = str(body.get("model"))
        self.usage = bool(body.get("stream_options", {}).get("include_usage"))

    def line(self, data: bytes) -> bytes:
        """Return one record, framed."""
        return b"data: " + data + b"\n\n"

    def _chunk(self, choices: list[Any], **fields: Any) -> bytes:
        value = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "model": self.model,
            "choices": choices,
            **fields,
        }
        return self.line(json.dumps(value).encode())

    def _delta(self, finish: str | None = None, **delta: Any) -> bytes:
        return self._chunk([{"index": 0, "delta": delta, "finish_reason": finish}])

    def first(self) -> bytes:
        """Return what comes before the words."""
        return self._delta(role="assistant", content="")

    def token(self, text: str) -> bytes:
        """Return some words of the reply."""
        return self._delta(content=text)

    def thought(self, text: str) -> bytes:
        """Return some reasoning before the reply."""
        return self._delta(reasoning=text)

    def failure(self, text: str) -> bytes:
        """Return an error in a stream that began well."""
        error = {"message": text, "type": "InternalServerError", "param": None, "code": 500}
        return self.line(json.dumps({"error": error}).encode()) + self.line(b"[DONE]")

    def last(self, count: int) -> bytes:
        """Return the end, with the usage."""
        usage = {"prompt_tokens": 42, "completion_tokens": count, "total_tokens": 42 + count}
        usage_chunk = self._chunk([], usage=usage) if self.usage else b""
        return self._delta(finish="stop") + usage_chunk + self.line(b"[DONE]")


class AnthropicWire:
    """`/v1/messages`: server-sent events that name their type."""

    def __init__(self, body: Body) -> None:
        self.model = str(body.get("model"))

    def line(self, data: bytes) -> bytes:
        """Return one record, framed."""
        return b"event: x\ndata: " + data + b"\n\n"

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = json.dumps({"type": kind, **fields}).encode()
        return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"

    def first(self) -> bytes:
        """Return what comes before the words."""
        message = {"id": "m", "role": "assistant", "content": [], "usage": {"input_tokens": 42, "output_tokens": 1}}
        start = self._event("message_start", message=message)
        return start + self._event("ping") + self._event("content_block_start", index=0, content_block={"type": "text"})

    def token(self, text: str) -> bytes:
        """Return some words of the reply."""
        return self._event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})

    def thought(self, text: str) -> bytes:
        """Return some reasoning before the reply."""
        return self._event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": text})

    def failure(self, text: str) -> bytes:
        """Return an error in a stream that began well."""
        return self._event("error", error={"type": "overloaded_error", "message": text})

    def last(self, count: int) -> bytes:
        """Return the end, with the usage."""
        usage = {"output_tokens": count}
        delta = self._event("message_delta", delta={"stop_reason": "end_turn"}, usage=usage)
        return self._event("content_block_stop", index=0) + delta + self._event("message_stop")

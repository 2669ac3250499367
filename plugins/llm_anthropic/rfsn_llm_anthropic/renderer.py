"""Anthropic's messages: server-sent events, each with its type in the data."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from rfsn_core import EngineError, Prompt, RenderOptions, Usage
from rfsn_core.kit import Remote, chat, server_sent

if TYPE_CHECKING:
    from rfsn_llm_anthropic import Settings

PASSING = frozenset({"rate_limit_error", "timeout_error", "overloaded_error", "api_error"})
"""Errors after which the same request may succeed."""


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    stop_reason: str | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""


class _Event(msgspec.Struct):
    type: str
    delta: _Delta | None = None
    usage: _Usage | None = None
    message: _Message | None = None
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Event).decode


class Anthropic:
    """The opened provider."""

    def __init__(self, settings: Settings, key: str) -> None:
        self._settings = settings
        self._remote = Remote(
            settings.url,
            "Anthropic",
            connect_timeout=settings.connect_timeout,
            headers={"x-api-key": key, "anthropic-version": "2023-06-01"},
            start="Is this machine on the internet?",
            missing=f"Is '{settings.model}' a model of this account? `rfsn models` lists them",
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._remote.close()

    async def render(self, prompt: Prompt, options: RenderOptions) -> AsyncGenerator[str | Usage]:
        """Stream a reply."""
        settings = self._settings
        temperature, max_tokens = options.over(settings.temperature, settings.max_tokens)
        system = "\n".join(message.content for message in prompt.messages if message.role == "system")
        request = {
            "model": settings.model,
            "max_tokens": max_tokens,
            "temperature": min(1.0, temperature),  # its scale ends there
            # Marked, so that the part which is the same for every turn is kept between requests.
            "system": [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": message.role, "content": message.content}
                for message in prompt.messages
                if message.role != "system"
            ],
            "stream": True,
        }
        usage, stopped = Usage(), ""
        async with self._remote.stream("/messages", request) as lines, aclosing(server_sent(lines)) as stream:
            async for data in stream:
                try:
                    event = _decode(data)
                except (msgspec.MsgspecError, RecursionError) as error:
                    raise EngineError(f"{self._remote} sent what is no event: {data[:100]!r}") from error
                if event.type == "content_block_delta" and event.delta is not None:
                    if event.delta.type == "text_delta" and event.delta.text:  # others are thoughts
                        yield event.delta.text
                elif event.type == "message_start" and event.message and (told := event.message.usage):
                    usage.prompt_tokens, usage.cached_tokens = told.input_tokens, told.cache_read_input_tokens
                elif event.type == "message_delta":
                    stopped = (event.delta.stop_reason if event.delta else None) or "end_turn"
                    usage.completion_tokens = event.usage.output_tokens if event.usage else None
                elif event.type == "error":
                    failed = event.error or _Error()
                    text = f"{self._remote} failed: {failed.message} ({failed.type})"
                    raise EngineError(text, retryable=failed.type in PASSING)
                elif event.type == "message_stop":
                    break
        if not stopped:
            raise EngineError(f"{self._remote} stopped in the middle", retryable=True)
        yield usage
        if stopped == "refusal":
            raise EngineError(f"{self._remote} would not say it (refusal)", engine_at_fault=False)

    async def health(self) -> str:
        """What is there."""
        await self.models()
        return f"{self._remote}, model {self._settings.model}"

    async def models(self) -> Sequence[str]:
        """Those of this account."""
        return chat.models(self._remote, await self._remote.ask("GET", "/models"))

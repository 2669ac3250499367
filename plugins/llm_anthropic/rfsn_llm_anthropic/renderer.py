"""Anthropic's messages: server-sent events, each with its type in the data."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from rfsn_core import EngineError, Prompt, RenderOptions, Usage
from rfsn_core.kit import (
    THOUGHTS,
    Remote,
    WholeCharacters,
    check_reply_end,
    content_text,
    decode_json,
    model_ids,
    server_sent,
    token_count,
)

if TYPE_CHECKING:
    from rfsn_llm_anthropic import Settings

PASSING = frozenset({"rate_limit_error", "timeout_error", "overloaded_error", "api_error"})
"""Errors after which the same request may succeed."""


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    stop_reason: str | None = None


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""


class _Event(msgspec.Struct):
    type: str
    delta: _Delta | None = None
    usage: Any = None
    message: Any = None
    content: Any = None
    """Of a message that is not streamed."""
    stop_reason: str | None = None
    error: _Error | None = None


_decoder = msgspec.json.Decoder(_Event)


class Anthropic:
    """Anthropic's messages API as a renderer."""

    def __init__(self, settings: Settings, key: str) -> None:
        self._settings = settings
        self._remote = Remote(
            settings.url,
            "Anthropic",
            connect_timeout=settings.connect_timeout,
            provider="anthropic",
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
        request = {name: value for name, value in request.items() if name not in settings.omit}
        usage, stopped, said, thought = Usage(), "", False, False
        characters = WholeCharacters()
        async with self._remote.stream("/messages", request) as lines, aclosing(server_sent(lines)) as stream:
            async for data in stream:
                try:
                    event = decode_json(data, _decoder)
                except (ValueError, msgspec.MsgspecError, RecursionError) as error:
                    raise EngineError(f"{self._remote} sent what is no event: {data[:100]!r}") from error
                if event.type == "content_block_delta" and event.delta is not None:
                    thought = thought or event.delta.type == "thinking_delta"
                    if event.delta.type == "text_delta" and (text := characters.feed(event.delta.text)):
                        yield text if said or not settings.thinks else THOUGHTS + text
                        said = True
                elif event.type == "message_start":
                    told = event.message.get("usage") if isinstance(event.message, dict) else None
                    usage.prompt_tokens = _count(told, "input_tokens")
                    usage.cached_tokens = _count(told, "cache_read_input_tokens")
                elif event.type == "message":  # a proxy that does not stream
                    usage.prompt_tokens = _count(event.usage, "input_tokens")
                    usage.completion_tokens = _count(event.usage, "output_tokens")
                    stopped = event.stop_reason or "end_turn"
                    if text := characters.feed(content_text(event.content)):
                        yield text if said or not settings.thinks else THOUGHTS + text
                        said = True
                elif event.type == "message_delta":
                    stopped = (event.delta.stop_reason if event.delta else None) or "end_turn"
                    usage.completion_tokens = _count(event.usage, "output_tokens")
                elif event.type == "error":
                    failed = event.error or _Error()
                    text = f"{self._remote} failed: {failed.message} ({failed.type})"
                    raise EngineError(text, retryable=failed.type in PASSING)
                elif event.type == "message_stop":
                    break
        if stopped:
            yield usage
        check_reply_end(self._remote, stopped, said=said, thought=thought, limit="max_tokens")

    async def health(self) -> str:
        """Return what `rfsn doctor` shows. Raises EngineError when the service does not answer."""
        await self.models()
        return f"{self._remote}, model {self._settings.model}"

    async def models(self) -> Sequence[str]:
        """Return the models of this account."""
        return model_ids(self._remote, await self._remote.ask("GET", "/models"))


def _count(usage: Any, name: str) -> int | None:
    return token_count(usage.get(name)) if isinstance(usage, dict) else None

"""Ollama's own API: one JSON object a line."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from rfsn_core import EngineError, Prompt, RenderOptions, Usage
from rfsn_core.kit import THOUGHTS, Remote, WholeCharacters, check_reply_end, content_text, decode_json, token_count

if TYPE_CHECKING:
    from rfsn_llm_ollama import Settings


class _Message(msgspec.Struct):
    content: Any = ""
    thinking: Any = ""
    """Not spoken."""


class _Line(msgspec.Struct):
    message: _Message | None = None
    done: bool = False
    done_reason: Any = None
    error: Any = ""
    load_duration: Any = None
    prompt_eval_count: Any = None
    prompt_eval_duration: Any = None
    eval_count: Any = None
    eval_duration: Any = None


_decoder = msgspec.json.Decoder(_Line)


class Ollama:
    """Ollama's chat API as a renderer."""

    def __init__(self, settings: Settings, log: logging.Logger) -> None:
        self._settings, self._log = settings, log
        self._remote = Remote(
            settings.url,
            "Ollama",
            connect_timeout=settings.connect_timeout,
            provider="ollama",
            start="Start it: ollama serve",
            missing=f"Fetch the model: ollama pull {settings.model}",
        )
        self._loading: asyncio.Task[None] | None = None
        if settings.preload:
            self._load()

    async def close(self) -> None:
        """Close all connections."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])
        await self._remote.close()

    def _load(self) -> None:
        """Load the model in the background."""
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._ask_to_load())

    async def _ask_to_load(self) -> None:
        try:
            await self._remote.ask(
                "POST",
                "/api/chat",
                {"model": self._settings.model, "messages": [], "keep_alive": self._keep_alive(), "stream": False},
                patience=300,
            )
        except EngineError as error:
            self._log.warning("the model could not be loaded ahead: %s", error)

    def _keep_alive(self) -> str | int:
        value = self._settings.keep_alive
        return int(value) if value.lstrip("-").isdigit() else value

    async def render(self, prompt: Prompt, options: RenderOptions) -> AsyncGenerator[str | Usage]:
        """Stream a reply."""
        settings = self._settings
        temperature, max_tokens = options.over(settings.temperature, settings.max_tokens)
        given = {
            "temperature": temperature,
            "num_predict": max_tokens,
            "seed": prompt.seed & 0x7FFFFFFF,
            "num_ctx": settings.num_ctx,
        }
        request: dict[str, Any] = {
            "model": settings.model,
            "messages": [{"role": message.role, "content": message.content} for message in prompt.messages],
            "think": settings.think,
            "keep_alive": self._keep_alive(),
            "options": {name: value for name, value in given.items() if value is not None},
        }
        request["options"] = {name: value for name, value in request["options"].items() if name not in settings.omit}
        request = {name: value for name, value in request.items() if name not in settings.omit}
        answered = False
        try:
            async with aclosing(self._stream(request)) as stream:
                async for part in stream:
                    answered = True
                    yield part
        except (GeneratorExit, asyncio.CancelledError):
            if not answered and self._settings.preload:
                self._load()  # Ollama stops loading a model when nobody waits for it any more
            raise

    async def _stream(self, request: dict[str, Any]) -> AsyncGenerator[str | Usage]:
        finished, said, thought = "", False, False
        characters = WholeCharacters()
        async with self._remote.stream("/api/chat", request) as lines:
            async for data in lines:
                if not data.strip():
                    continue
                try:
                    line = decode_json(data, _decoder)
                except (ValueError, msgspec.MsgspecError, RecursionError) as error:
                    raise EngineError(f"{self._remote} sent what is no reply: {data[:100]!r}") from error
                if line.error:
                    raise EngineError(f"{self._remote} failed: {line.error}", retryable=True)
                if line.message is not None:
                    thought = thought or bool(line.message.thinking)
                    if text := characters.feed(content_text(line.message.content)):
                        yield text if said or not self._settings.thinks else THOUGHTS + text
                        said = True
                if line.done:
                    yield Usage(
                        prompt_tokens=token_count(line.prompt_eval_count),
                        completion_tokens=token_count(line.eval_count),
                        load_ms=_ms(line.load_duration),
                        prompt_ms=_ms(line.prompt_eval_duration),
                        generation_ms=_ms(line.eval_duration),
                    )
                    finished = str(line.done_reason or "stop").lower()
                    break
        check_reply_end(self._remote, finished, said=said, thought=thought, limit="max_tokens")

    async def health(self) -> str:
        """Return what `rfsn doctor` shows. Raises EngineError when Ollama does not answer."""
        found = await self._remote.ask("GET", "/api/version")
        models = await self.models()
        wanted = self._settings.model
        if wanted not in models and f"{wanted}:latest" not in models:
            raise EngineError(f"{self._remote} has no model '{wanted}'", hint=self._remote.missing)
        version = found.get("version", "?") if isinstance(found, dict) else "?"
        return f"Ollama {version} at {self._settings.url}, model {wanted}"

    async def models(self) -> Sequence[str]:
        """Return the models that were pulled."""
        found = await self._remote.ask("GET", "/api/tags")
        if not isinstance(found, dict):
            raise EngineError(f"{self._remote} does not speak Ollama's language", hint="Is the address right?")
        return [str(model.get("name")) for model in found.get("models") or ()]


def _ms(nanoseconds: Any) -> float | None:
    number = token_count(nanoseconds)
    return None if number is None else number / 1e6

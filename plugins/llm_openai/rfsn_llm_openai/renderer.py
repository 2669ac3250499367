"""OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from rfsn_core import EngineError, Prompt, RenderOptions, Usage
from rfsn_core.kit import Remote, chat_request, model_ids, stream_chat

if TYPE_CHECKING:
    from rfsn_llm_openai import Settings


class OpenAi:
    """OpenAI's chat completions as a renderer."""

    def __init__(self, settings: Settings, key: str) -> None:
        self._settings = settings
        self._remote = Remote(
            settings.url,
            "OpenAI",
            connect_timeout=settings.connect_timeout,
            provider="openai",
            headers={"Authorization": f"Bearer {key}"},
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
        given = {
            "temperature": temperature,
            "max_completion_tokens": max_tokens,  # newer models refuse `max_tokens`
            **settings.extra,
        }
        request = chat_request(prompt, settings.model, given, settings.omit)
        async with aclosing(stream_chat(self._remote, request, thinks=settings.thinks)) as stream:
            async for part in stream:
                yield part

    async def health(self) -> str:
        """Return what `rfsn doctor` shows. Raises EngineError when the service does not answer."""
        if self._settings.model not in (models := await self.models()):
            known = ", ".join(models[:10])
            raise EngineError(f"{self._remote} has no model '{self._settings.model}'", hint=f"There are: {known}")
        return f"{self._remote}, model {self._settings.model}"

    async def models(self) -> Sequence[str]:
        """Return the models of this account."""
        return model_ids(self._remote, await self._remote.ask("GET", "/models"))

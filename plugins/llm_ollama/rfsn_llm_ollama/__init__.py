"""Ollama as a renderer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from pydantic import Field

from rfsn_core import Host, Provider, hookimpl
from rfsn_core.contract.rendering import Renderer
from rfsn_core.kit.http import RemoteSettings


class Settings(RemoteSettings):
    """`[rendering.ollama]`."""

    url: str = Field("http://127.0.0.1:11434", description="Where Ollama listens.")
    model: str = Field("llama3.2", min_length=1, description="`ollama list` names those that are there.")
    keep_alive: str = Field("30m", description="How long the model stays loaded after a reply; -1: for ever.")
    think: bool = Field(False, description="Let a model that can reason do so, unheard. It costs seconds.")
    num_ctx: int | None = Field(None, ge=512, description="Size of the context in tokens; else Ollama's own choice.")
    preload: bool = Field(True, description="Load the model when the server starts, not when the first player speaks.")


@asynccontextmanager
async def _open(settings: Settings, host: Host) -> AsyncIterator[Renderer]:
    from rfsn_llm_ollama.renderer import Ollama

    renderer = Ollama(settings, host.log)
    try:
        yield renderer
    finally:
        await renderer.close()


@hookimpl
def rfsn_rendering() -> Iterable[Provider[Renderer]]:
    """Offers `ollama`."""
    yield Provider("ollama", Settings, _open, "a model that Ollama runs on this or another machine")

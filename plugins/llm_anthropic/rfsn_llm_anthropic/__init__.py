"""Anthropic as a renderer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from pydantic import Field

from rfsn_core import Host, Provider, hookimpl
from rfsn_core.contract.rendering import Renderer
from rfsn_core.kit.http import RemoteSettings, api_key

VARIABLE = "ANTHROPIC_API_KEY"


class Settings(RemoteSettings):
    """`[rendering.anthropic]`."""

    model: str = Field("claude-3-5-haiku-latest", min_length=1, description="As Anthropic names it.")
    key: str = Field("", description=f"API key. Better left out, and set as {VARIABLE} in the environment.")
    url: str = Field("https://api.anthropic.com/v1", description="For a proxy.")


@asynccontextmanager
async def _open(settings: Settings, host: Host) -> AsyncIterator[Renderer]:
    from rfsn_llm_anthropic.renderer import Anthropic

    renderer = Anthropic(settings, api_key(settings.key, VARIABLE, "Anthropic"))
    try:
        yield renderer
    finally:
        await renderer.close()


@hookimpl
def rfsn_rendering() -> Iterable[Provider[Renderer]]:
    """Offers `anthropic`."""
    yield Provider("anthropic", Settings, _open, "Anthropic's models, over the internet")

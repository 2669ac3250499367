"""OpenAI as a renderer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from pydantic import Field

from rfsn_core import Host, Provider, hookimpl
from rfsn_core.contract.rendering import Renderer
from rfsn_core.kit.http import RemoteSettings, api_key

VARIABLE = "OPENAI_API_KEY"


class Settings(RemoteSettings):
    """`[rendering.openai]`."""

    model: str = Field("gpt-4o-mini", min_length=1, description="As OpenAI names it.")
    key: str = Field("", description=f"API key. Better left out, and set as {VARIABLE} in the environment.")
    url: str = Field("https://api.openai.com/v1", description="For a proxy, or a service that speaks the same wire.")
    extra: dict[str, Any] = Field({}, description="Further keys of the request, such as `reasoning_effort`.")
    omit: list[str] = Field([], description="Keys to leave out, such as `temperature`, which some models refuse.")


@asynccontextmanager
async def _open(settings: Settings, host: Host) -> AsyncIterator[Renderer]:
    from rfsn_llm_openai.renderer import OpenAi

    renderer = OpenAi(settings, api_key(settings.key, VARIABLE, "OpenAI"))
    try:
        yield renderer
    finally:
        await renderer.close()


@hookimpl
def rfsn_rendering() -> Iterable[Provider[Renderer]]:
    """Offers `openai`."""
    yield Provider("openai", Settings, _open, "OpenAI's models, over the internet")

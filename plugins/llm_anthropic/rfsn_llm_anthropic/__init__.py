"""Anthropic as a renderer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import Field

from rfsn_core import Host, Offer, Provider, Renderer, hookimpl
from rfsn_core.kit import RemoteSettings, api_key

if TYPE_CHECKING:
    from rfsn_llm_anthropic.renderer import Anthropic

VARIABLE = "ANTHROPIC_API_KEY"


class Settings(RemoteSettings):
    """`[rendering.anthropic]`."""

    model: str = Field("claude-3-5-haiku-latest", min_length=1, description="As Anthropic names it.")
    key: str = Field("", description=f"API key. Better left out, and set as {VARIABLE} in the environment.")
    url: str = Field("https://api.anthropic.com/v1", description="For a proxy.")


def _make(settings: Settings, host: Host) -> Anthropic:
    from rfsn_llm_anthropic.renderer import Anthropic

    return Anthropic(settings, api_key(settings.key, VARIABLE, "Anthropic"))


@hookimpl
def rfsn_rendering() -> Iterable[Offer[Renderer]]:
    """Offer `anthropic`."""
    yield Provider.of("anthropic", _make, Settings, "Anthropic's models, over the internet")

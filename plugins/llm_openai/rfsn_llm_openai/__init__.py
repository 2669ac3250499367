"""OpenAI as a renderer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import Field

from rfsn_core import Host, Offer, Provider, Renderer, hookimpl
from rfsn_core.kit import RemoteSettings, api_key

if TYPE_CHECKING:
    from rfsn_llm_openai.renderer import OpenAi

VARIABLE = "OPENAI_API_KEY"


class Settings(RemoteSettings):
    """`[rendering.openai]`."""

    model: str = Field("gpt-4o-mini", min_length=1, description="As OpenAI names it.")
    key: str = Field("", description=f"API key. Better left out, and set as {VARIABLE} in the environment.")
    url: str = Field("https://api.openai.com/v1", description="For a proxy, or a service that speaks the same wire.")
    extra: dict[str, Any] = Field({}, description="Further keys of the request, such as `reasoning_effort`.")


def _make(settings: Settings, host: Host) -> OpenAi:
    from rfsn_llm_openai.renderer import OpenAi

    return OpenAi(settings, api_key(settings.key, VARIABLE, "OpenAI"))


@hookimpl
def rfsn_rendering() -> Iterable[Offer[Renderer]]:
    """Offer `openai`."""
    yield Provider.of("openai", _make, Settings, "OpenAI's models, over the internet")

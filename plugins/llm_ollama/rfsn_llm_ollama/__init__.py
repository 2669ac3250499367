"""Ollama as a renderer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import Field

from rfsn_core import Host, Offer, Provider, Renderer, hookimpl
from rfsn_core.kit import RemoteSettings

if TYPE_CHECKING:
    from rfsn_llm_ollama.renderer import Ollama


class Settings(RemoteSettings):
    """`[rendering.ollama]`."""

    url: str = Field("http://127.0.0.1:11434", description="Where Ollama listens.")
    model: str = Field("llama3.2", min_length=1, description="`ollama list` names those that are there.")
    keep_alive: str = Field("30m", description="How long the model stays loaded after a reply; -1: until Ollama stops.")
    think: bool = Field(False, description="Let a model that can reason do so, unheard. It costs seconds.")
    num_ctx: int | None = Field(None, ge=512, description="Size of the context in tokens; else Ollama's own choice.")
    preload: bool = Field(True, description="Load the model when the server starts, not when the first player speaks.")


def _make(settings: Settings, host: Host) -> Ollama:
    from rfsn_llm_ollama.renderer import Ollama

    return Ollama(settings, host.log)


@hookimpl
def rfsn_rendering() -> Iterable[Offer[Renderer]]:
    """Offer `ollama`."""
    yield Provider.of("ollama", _make, Settings, "a model that Ollama runs on this or another machine")

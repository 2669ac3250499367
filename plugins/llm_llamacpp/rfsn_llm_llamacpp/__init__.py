"""A GGUF file on this machine as a renderer: no server, no network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from rfsn_core import Host, Offer, Provider, Renderer, hookimpl

if TYPE_CHECKING:
    from rfsn_llm_llamacpp.renderer import LlamaCpp


class Settings(BaseModel, extra="forbid"):
    """`[rendering.llamacpp]`."""

    model: str = Field(min_length=1, description="The GGUF file; a relative path is the world's.")
    context: int = Field(4096, ge=256, description="Size of the context of a reply in tokens.")
    parallel: int = Field(1, ge=1, le=64, description="Replies that are made at once; each has a context of its own.")
    threads: int = Field(0, ge=0, description="Of the processor; 0: the library's own choice.")
    gpu_layers: int = Field(
        0, ge=-1, description="Layers on the graphics card, if the library was built for it; -1: all."
    )
    temperature: float = Field(0.7, ge=0, le=2, description="How freely it words. 0: always the likeliest.")
    max_tokens: int = Field(150, ge=1, le=4096, description="Longest reply, the report at its end included.")
    thinks: bool = Field(
        False, description="The model's template begins its thoughts: nothing is said before `</think>`."
    )
    structured: bool = Field(False, description="Hold the model to words and a report by a grammar.")


def _make(settings: Settings, host: Host) -> LlamaCpp:
    from rfsn_llm_llamacpp.renderer import LlamaCpp

    return LlamaCpp(settings, (host.world_dir / settings.model).expanduser())


@hookimpl
def rfsn_rendering() -> Iterable[Offer[Renderer]]:
    """Offer `llamacpp`."""
    yield Provider.of("llamacpp", _make, Settings, "a GGUF file on this machine, without a server")

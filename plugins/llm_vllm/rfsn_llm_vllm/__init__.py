"""vLLM, or any other server that speaks the OpenAI chat wire, as a renderer; with an adapter for each kind of NPC."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from rfsn_core import Host, Offer, Provider, Renderer, hookimpl
from rfsn_core.kit import RemoteSettings

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from rfsn_llm_vllm.renderer import Vllm


class AdapterSettings(BaseModel, extra="forbid"):
    """`[rendering.vllm.adapters]`: LoRA adapters, loaded while vLLM runs."""

    enabled: bool = Field(False, description="Choose an adapter by the NPC's archetype and what it does.")
    folder: str = Field("adapters", description="Where they are, as vLLM sees it: FOLDER/ARCHETYPE/TASK.")
    archetypes: str = Field("archetypes.toml", description="File of the world's own archetypes, next to rfsn.toml.")
    max_adapters: int = Field(35, ge=1, description="Loaded at once, at most; vLLM's --max-cpu-loras must allow it.")
    patience: float = Field(
        2.0, ge=0, description="Seconds that an NPC waits for its adapter before a busy one is closed to new turns."
    )
    redis: str = Field("", description="Address of a Redis that shares archetypes: redis://…; empty: the disk only.")


class Settings(RemoteSettings):
    """`[rendering.vllm]`."""

    url: str = Field("http://127.0.0.1:8000/v1", description="Where the server listens, with /v1.")
    model: str = Field("", description="As the server names it; empty: the first one that it has.")
    key: str = Field("", description="API key, if the server wants one.")
    structured: bool = Field(False, description="Hold the model to words and a report by a grammar; vLLM only.")
    priority: int | None = Field(None, description="For vLLM with priority scheduling: lower goes first.")
    extra: dict[str, Any] = Field({}, description="Further keys of the request, as the server knows them.")
    adapters: AdapterSettings = Field(AdapterSettings(), description="LoRA adapters; see below.")


def _make(settings: Settings, host: Host) -> Vllm:
    from rfsn_llm_vllm.renderer import Vllm

    return Vllm(settings, host)


@hookimpl
def rfsn_rendering() -> Iterable[Offer[Renderer]]:
    """Offer `vllm`."""
    yield Provider.of("vllm", _make, Settings, "vLLM, llama.cpp's server, LM Studio: whatever speaks OpenAI's wire")


@hookimpl
def rfsn_routes() -> Iterable[BaseRoute]:
    """Offer `GET /plugins/llm_vllm/adapters`."""
    from rfsn_llm_vllm.report import route

    yield route()

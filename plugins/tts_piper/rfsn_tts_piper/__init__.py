"""Piper as a voice. The engine is loaded when the provider opens, not before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from rfsn_core import Host, Offer, Provider, Voice, hookimpl

if TYPE_CHECKING:
    from rfsn_tts_piper.voice import Piper


class Settings(BaseModel, extra="forbid"):
    """`[speech.piper]`."""

    model: str = Field(
        min_length=1, description="The voice's .onnx file, with its .json next to it; relative to the world."
    )
    speaker: str = Field("", description="Default speaker of a model that has several: name or number.")
    speed: float = Field(1.0, ge=0.25, le=4, description="At an NPC's rate of 1.")
    normalize: bool = Field(False, description="Bring every sentence to full volume: loud, and uneven.")
    load: Literal["start", "first_sentence"] = Field(
        "start", description="When the model is loaded: `first_sentence` saves its memory while it is only a fallback."
    )
    workers: int = Field(1, ge=1, le=16, description="Sentences that are made at once.")


def _make(settings: Settings, host: Host) -> Piper:
    from rfsn_tts_piper.voice import Piper

    return Piper(settings, host)


@hookimpl
def rfsn_speech() -> Iterable[Offer[Voice]]:
    """Offer `piper`."""
    yield Provider.of("piper", _make, Settings, "quick and clear, many languages")

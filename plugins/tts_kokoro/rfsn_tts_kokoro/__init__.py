"""Kokoro as a voice. The engine is loaded when the provider opens, not before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from rfsn_core import Host, Offer, Provider, Voice, hookimpl

if TYPE_CHECKING:
    from rfsn_tts_kokoro.voice import KokoroVoice


class Settings(BaseModel, extra="forbid"):
    """`[speech.kokoro]`."""

    model: str = Field("models/kokoro-v1.0.onnx", min_length=1, description="A relative path is the world's.")
    voices: str = Field("models/voices-v1.0.bin", min_length=1, description="The voices that belong to it.")
    voice: str = Field("af_heart", min_length=1, description="Default voice; an NPC's own comes from its file.")
    language: str = Field("en-us", min_length=2, description="As espeak-ng names it.")
    speed: float = Field(1.0, ge=0.5, le=2, description="At an NPC's rate of 1.")
    load: Literal["start", "first_sentence"] = Field(
        "start", description="When the model is loaded: `first_sentence` saves its memory while it is only a fallback."
    )
    workers: int = Field(1, ge=1, le=16, description="Sentences that are made at once.")
    threads: int = Field(2, ge=1, le=64, description="Of the processor, for each of them.")


def _make(settings: Settings, host: Host) -> KokoroVoice:
    from rfsn_tts_kokoro.voice import KokoroVoice

    return KokoroVoice(settings, host)


@hookimpl
def rfsn_speech() -> Iterable[Offer[Voice]]:
    """Offer `kokoro`."""
    yield Provider.of("kokoro", _make, Settings, "natural voices, on the processor; two can be blended")

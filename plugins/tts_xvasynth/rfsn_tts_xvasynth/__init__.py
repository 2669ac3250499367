"""xVASynth as a voice: a program of its own that runs on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from rfsn_core import Host, Offer, Provider, Voice, hookimpl

if TYPE_CHECKING:
    from rfsn_tts_xvasynth.voice import XvaSynth


class Settings(BaseModel, extra="forbid"):
    """`[speech.xvasynth]`."""

    url: str = Field("http://127.0.0.1:8008", description="Where xVASynth listens.")
    voice: str = Field(
        min_length=1, description="Default voice: the path of its model, without .pt, on the machine of xVASynth."
    )
    folder: str = Field("", description="Where models are; an NPC's voice is then a name in it.")
    model_type: str = Field("xVAPitch", description="xVAPitch or FastPitch1.1, as the model needs.")
    language: str = Field("en", description="As xVASynth names it.")
    vocoder: str = Field("n/a", description="For FastPitch models: qnd, wavenet, …")
    sample_rate: int = Field(22050, ge=8000, le=48000, description="What it makes; other rates are converted.")
    connect_timeout: float = Field(5.0, gt=0, description="Seconds until a connection must stand.")
    patience: float = Field(30.0, gt=0, description="Seconds for loading a model, or for one sentence.")


def _make(settings: Settings, host: Host) -> XvaSynth:
    from rfsn_tts_xvasynth.voice import XvaSynth

    return XvaSynth(settings, host)


@hookimpl
def rfsn_speech() -> Iterable[Offer[Voice]]:
    """Offer `xvasynth`."""
    yield Provider.of("xvasynth", _make, Settings, "voices of game characters, by xVASynth on this machine")

"""espeak-ng as a voice. The engine is loaded when the provider opens, not before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from rfsn_core import Host, Offer, Provider, Voice, hookimpl

if TYPE_CHECKING:
    from rfsn_tts_espeak.voice import Espeak


class Settings(BaseModel, extra="forbid"):
    """`[speech.espeak]`."""

    voice: str = Field("en", min_length=1, description="Default voice; an NPC's own comes from its file.")
    rate: int = Field(165, ge=80, le=450, description="Words per minute at an NPC's rate of 1.")


def _make(settings: Settings, host: Host) -> Espeak:
    from rfsn_tts_espeak.voice import Espeak

    return Espeak(settings.voice, settings.rate, host.log)


@hookimpl
def rfsn_speech() -> Iterable[Offer[Voice]]:
    """Offer `espeak`."""
    yield Provider.of("espeak", _make, Settings, "espeak-ng in process: instant, many languages, robotic")

"""espeak-ng as a voice. The engine is loaded when the provider opens, not before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from pydantic import BaseModel, Field

from rfsn_core import Host, Provider, hookimpl
from rfsn_core.contract.speech import Voice


class Settings(BaseModel, extra="forbid"):
    """`[speech.espeak]`."""

    voice: str = Field("en", min_length=1, description="Default voice; an NPC's own comes from its file.")
    rate: int = Field(165, ge=80, le=450, description="Words per minute at an NPC's rate of 1.")


@asynccontextmanager
async def _open(settings: Settings, host: Host) -> AsyncIterator[Voice]:
    from rfsn_tts_espeak.voice import Espeak

    voice = Espeak(settings.voice, settings.rate, host.log)
    await voice.start()
    try:
        yield voice
    finally:
        await voice.stop()


@hookimpl
def rfsn_speech() -> Iterable[Provider[Voice]]:
    """Offers `espeak`."""
    yield Provider("espeak", Settings, _open, "espeak-ng in process: instant, many languages, robotic")

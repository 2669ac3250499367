"""`silent`: no voice, text only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import Host, NoSettings, Provider
from rfsn_core.contract.speech import Speech, Voice, VoiceStyle


class Silent:
    """The voice that makes no sound."""

    sample_rate = 0

    async def speak(self, text: str, voice: VoiceStyle) -> AsyncIterator[Speech]:
        """Yield nothing."""
        return
        yield  # makes this an async generator


@asynccontextmanager
async def _open(settings: NoSettings, host: Host) -> AsyncIterator[Voice]:
    yield Silent()


@hookimpl
def rfsn_speech() -> Iterable[Provider[Voice]]:
    """Offer the built-in default."""
    yield Provider("silent", NoSettings, _open, "no voice: text only")

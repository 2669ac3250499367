"""`silent`: no voice. The text is the speech."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import Host, NoSettings, Provider
from rfsn_core.contract.speech import Speech, Voice, VoiceStyle


class Silent:
    """The opened provider."""

    sample_rate = 0

    async def speak(self, text: str, voice: VoiceStyle) -> AsyncIterator[Speech]:
        """Yields nothing."""
        return
        yield  # makes this an async generator


@asynccontextmanager
async def _open(settings: NoSettings, host: Host) -> AsyncIterator[Voice]:
    yield Silent()


@hookimpl
def rfsn_speech() -> Iterable[Provider[Voice]]:
    """The embedded default."""
    yield Provider("silent", NoSettings, _open, "no voice: text only")

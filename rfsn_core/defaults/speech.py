"""`silent`: no voice, text only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import Offer, Provider
from rfsn_core.contract.speech import Speech, Voice, VoiceStyle


class Silent:
    """The voice that makes no sound."""

    sample_rate = 0

    async def speak(self, text: str, voice: VoiceStyle) -> AsyncIterator[Speech]:
        """Yield nothing."""
        return
        yield  # makes this an async generator


@hookimpl
def rfsn_speech() -> Iterable[Offer[Voice]]:
    """Offer the built-in default."""
    yield Provider.of("silent", Silent, about="no voice: text only")

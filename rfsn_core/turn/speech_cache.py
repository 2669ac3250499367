"""What was spoken before is not made again: NPCs repeat themselves, and each other."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import aclosing, suppress
from typing import cast

from cachetools import TTLCache

from rfsn_core.contract.speech import Speech, Voice, VoiceStyle
from rfsn_core.telemetry.metrics import METRICS

EMPTY = 200
"""Bytes that a sentence costs besides its sound."""

Key = tuple[Hashable, str, VoiceStyle]
Cache = TTLCache[Key, tuple[Speech, ...]]


def make(most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> Cache:
    """Sentences as sound, the least recently used forgotten first.

    :param most: bytes of sound.
    :param seconds: after which a sentence is made anew.
    """
    return TTLCache(most, seconds, clock, lambda speech: sum(len(part.pcm) for part in speech) + EMPTY)


class CachedVoice:
    """A voice that remembers.

    :param identity: of the voice and all its settings: other sound, other identity.
    """

    def __init__(self, voice: Voice, cache: Cache, identity: Hashable) -> None:
        self._voice, self._cache, self._identity = voice, cache, identity
        self.sample_rate = voice.sample_rate

    async def speak(self, text: str, voice: VoiceStyle) -> AsyncGenerator[Speech]:
        """What was kept, or what the voice says now, kept when it came to its end."""
        key = (self._identity, text, voice)
        if (kept := self._cache.get(key)) is not None:
            METRICS.speech_cache.labels("hit").inc()
            for speech in kept:
                yield speech
            return
        METRICS.speech_cache.labels("miss").inc()
        said: list[Speech] = []
        async with aclosing(cast("AsyncGenerator[Speech]", self._voice.speak(text, voice))) as stream:
            async for speech in stream:
                said.append(speech)
                yield speech
        with suppress(ValueError):  # longer than the whole cache
            self._cache[key] = tuple(said)

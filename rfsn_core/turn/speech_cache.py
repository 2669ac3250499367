"""A cache of spoken sentences: NPCs repeat themselves, and each other."""

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
    """Return an empty cache; the least recently used sentence is removed first.

    :param most: bytes of sound.
    :param seconds: how long a sentence is kept.
    """
    return TTLCache(most, seconds, clock, lambda speech: sum(len(part.pcm) for part in speech) + EMPTY)


class CachedVoice:
    """A voice that speaks from the cache what it has spoken before.

    :param identity: identifies the voice with all its settings: what sounds different has another identity.
    """

    def __init__(self, voice: Voice, cache: Cache, identity: Hashable) -> None:
        self._voice, self._cache, self._identity = voice, cache, identity
        self.sample_rate = voice.sample_rate

    async def speak(self, text: str, voice: VoiceStyle) -> AsyncGenerator[Speech]:
        """Yield the sound of a sentence, from the cache or from the voice. It is cached when it is complete."""
        key = (self._identity, text, voice)
        if (sentence := self._cache.get(key)) is not None:
            METRICS.speech_cache.labels("hit").inc()
            for speech in sentence:
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

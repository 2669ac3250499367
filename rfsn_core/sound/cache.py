"""What was spoken before is not made again: NPCs repeat themselves, and each other."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import aclosing
from typing import cast

from rfsn_core.operations.metrics import METRICS
from rfsn_core.providers import Speech, Voice, VoiceStyle


class Cache:
    """Sentences as sound, the least recently used forgotten first.

    :param most: bytes of sound; 0: nothing is kept.
    :param seconds: after which a sentence is made anew.
    """

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.most, self.seconds = most, seconds
        self._clock = clock
        self._kept: OrderedDict[Hashable, tuple[float, int, tuple[Speech, ...]]] = OrderedDict()
        self.size = 0

    def get(self, key: Hashable) -> tuple[Speech, ...] | None:
        """The sound of a sentence, if it is there and not too old."""
        found = self._kept.get(key)
        if found is None:
            return None
        made, size, speech = found
        if self._clock() - made > self.seconds:
            del self._kept[key]
            self.size -= size
            return None
        self._kept.move_to_end(key)
        return speech

    def put(self, key: Hashable, speech: tuple[Speech, ...]) -> None:
        """Keep a sentence, as far as there is room for one like it."""
        size = sum(len(part.pcm) for part in speech) + 200
        if size > self.most // 4:
            return
        if (old := self._kept.pop(key, None)) is not None:
            self.size -= old[1]
        self._kept[key] = (self._clock(), size, speech)
        self.size += size
        self.shrink()

    def shrink(self) -> None:
        """Forget until the bound is kept."""
        while self.size > self.most and self._kept:
            _, (_, size, _) = self._kept.popitem(last=False)
            self.size -= size


class CachedVoice:
    """A voice that remembers.

    :param identity: of the voice and all its settings: other sound, other identity.
    """

    def __init__(self, voice: Voice, cache: Cache, identity: Hashable) -> None:
        self._voice, self._cache, self._identity = voice, cache, identity
        self.visemes = getattr(voice, "visemes", True)
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
        self._cache.put(key, tuple(said))

"""Renderers and voices with their circuit breakers, and the sound that all voices keep."""

from __future__ import annotations

from rfsn_core.contract.rendering import Renderer
from rfsn_core.contract.speech import Voice
from rfsn_core.protocol.server import EngineChanged
from rfsn_core.runtime.announcements import Announcements
from rfsn_core.runtime.provider_task import Opened
from rfsn_core.settings.schema import RenderingStage, SpeechStage
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn import speech_cache
from rfsn_core.turn.breaker import STATES, Breaker, Engine
from rfsn_core.turn.speech_cache import CachedVoice

log = logger("runtime")


class Engines:
    """Makes the engines of each runtime. Breakers and the speech cache outlive a reload."""

    def __init__(self, announcements: Announcements) -> None:
        self._announcements = announcements
        self._cache = speech_cache.make(0, 1)

    def renderer(self, item: Opened, settings: RenderingStage) -> Engine[Renderer]:
        """Return a renderer with its breaker."""
        return Engine(item.key[1], item.value, self._breaker(item, settings), item.capabilities)

    def voice(self, item: Opened, settings: SpeechStage) -> Engine[Voice]:
        """Return a voice with its breaker; its sound is cached unless it is silent or the cache is off."""
        bound = int(settings.cache_mb * 1e6), settings.cache_seconds
        if bound != (self._cache.maxsize, self._cache.ttl):
            self._cache = speech_cache.make(*bound)
        silent = not settings.cache_mb or item.value.sample_rate == 0
        voice = item.value if silent else CachedVoice(item.value, self._cache, item.key)
        return Engine(item.key[1], voice, self._breaker(item, settings), item.capabilities)

    def _breaker(self, item: Opened, settings: RenderingStage | SpeechStage) -> Breaker:
        """Return the breaker of an opened provider, with the limits of the settings in force."""
        if item.breaker is None:
            item.breaker = self._new_breaker(item, settings)
        item.breaker.limit, item.breaker.seconds = settings.breaker_failures, settings.breaker_seconds
        return item.breaker

    def _new_breaker(self, item: Opened, settings: RenderingStage | SpeechStage) -> Breaker:
        stage, name = item.key[:2]

        def changed(state: str, reason: str) -> None:
            METRICS.breaker.labels(stage, name).set(STATES.index(state))
            log.warning("engine.changed", provider=item.name, state=state, reason=reason)
            self._announcements.send(EngineChanged(stage=stage, provider=name, state=state, reason=reason))

        METRICS.breaker.labels(stage, name).set(0)
        return Breaker(settings.breaker_failures, settings.breaker_seconds, changed)

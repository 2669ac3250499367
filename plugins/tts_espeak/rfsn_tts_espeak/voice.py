"""One espeak-ng, shared by all NPCs, in a thread of its own.

The engine is not thread-safe and about 500 times faster than real time, so sentences take turns, a buffer
each: a long sentence of one NPC does not delay the first sound of another by more than its own synthesis.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from rfsn_core import EngineError, Speech, VoiceStyle
from rfsn_core.kit import UnknownVoices, nearest_voices
from rfsn_tts_espeak import library
from rfsn_tts_espeak.library import Library, Phoneme
from rfsn_tts_espeak.visemes import Timeline

_process_lock = threading.Lock()
"""The library is one per process: two opened providers (during a reload) must not meet in it."""
_library: Library | None = None


def _shared() -> Library:
    # Never terminated: another opened provider may still use it, and it is 2 MB.
    global _library
    with _process_lock:
        if _library is None:
            _library = Library()
        return _library


class Espeak:
    """espeak-ng as a voice."""

    def __init__(self, voice: str, rate: int, log: logging.Logger) -> None:
        self.sample_rate = 0
        self._unknown = UnknownVoices(log)
        self._default, self._rate = voice, rate
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="rfsn-espeak")
        self._engine: Library

    async def start(self) -> None:
        """Load the library. Raises EngineError when it or the default voice is not available."""
        loop = asyncio.get_running_loop()
        try:
            self._engine = await loop.run_in_executor(self._executor, _shared)
        except (OSError, ImportError) as error:
            raise EngineError(f"espeak-ng cannot be loaded: {error}", hint="pip install espeakng-loader") from error
        self.sample_rate = self._engine.sample_rate
        await loop.run_in_executor(self._executor, self._choose, self._default)

    async def health(self) -> str:
        """Return what `rfsn doctor` shows."""
        return f"espeak-ng in process, {self.sample_rate} Hz, {len(_names())} voices"

    async def voices(self) -> Sequence[str]:
        """Return the names of the voices; a variant may follow, as in en+f3."""
        return _names()

    async def close(self) -> None:
        """Close the library after the current sentence."""
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)

    def _choose(self, name: str) -> None:
        with _process_lock:
            if self._engine.set_voice(name):
                return
        raise EngineError(f"espeak-ng has no voice '{name[:60]}'", hint=_nearest(name))

    async def speak(self, text: str, voice: VoiceStyle) -> AsyncIterator[Speech]:
        """Yield PCM16 as it is made, with the visemes that are complete."""
        if not any(map(str.isalnum, text)):
            return
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[Speech | BaseException | None] = asyncio.Queue()
        stopped = threading.Event()

        def deliver(item: Speech | BaseException | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(chunks.put_nowait, item)

        job = self._executor.submit(self._work, text, voice, deliver, stopped)
        try:
            while (item := await chunks.get()) is not None:
                if isinstance(item, BaseException):
                    raise EngineError(f"espeak-ng failed: {item}") from item
                yield item
        finally:
            stopped.set()
            job.cancel()

    def _for_language(self, language: str) -> str:
        """Return the default voice, or the one for a language that it does not speak."""
        if not language or language[:2] == self._default[:2]:
            return self._default
        language = "cmn" if language[:2] == "zh" else language
        return next((name for name in (language, language[:2]) if name in _names()), self._default)

    def _work(self, text: str, voice: VoiceStyle, deliver: object, stopped: threading.Event) -> None:
        assert callable(deliver)
        timeline = Timeline()
        samples = 0

        def sink(pcm: bytes, phonemes: list[Phoneme]) -> bool:
            nonlocal samples
            samples += len(pcm) // 2
            deliver(Speech(pcm, tuple(timeline.add(phonemes))))
            return not stopped.is_set()

        try:
            with _process_lock:
                if stopped.is_set():
                    return
                if not self._engine.set_voice(voice.voice or self._for_language(voice.language)):
                    self._engine.set_voice(self._default)
                    self._unknown.report(voice.voice, f"'{self._default}'", _nearest(voice.voice))
                self._engine.set_parameter(library.RATE, max(80, min(450, round(self._rate * voice.rate))))
                self._engine.set_parameter(library.PITCH, max(0, min(99, round(50 * voice.pitch))))
                self._engine.set_parameter(library.VOLUME, max(0, min(200, round(100 * voice.volume))))
                self._engine.synthesize(text, sink)
            rest = timeline.finish(samples * 1000 // self.sample_rate)
            if rest and not stopped.is_set():
                deliver(Speech(b"", tuple(rest)))
            deliver(None)
        except BaseException as error:  # noqa: BLE001  handed to the one who waits for the sound
            deliver(error)


@lru_cache
def _names() -> list[str]:
    import espeakng_loader

    folder = Path(str(espeakng_loader.get_data_path())) / "lang"
    return sorted({path.name for path in folder.rglob("*") if path.is_file()})


def _nearest(name: str) -> str:
    return nearest_voices(name.partition("+")[0], _names(), "`rfsn voices espeak` lists them")

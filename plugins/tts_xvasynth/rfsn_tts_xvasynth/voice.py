"""xVASynth's HTTP API: it loads one model at a time, and writes each sentence to a file."""

from __future__ import annotations

import asyncio
import tempfile
import wave
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rfsn_core import EngineError, Host, Speech, VoiceStyle
from rfsn_core.kit import Remote, Resampler, UnknownVoices, pcm16

if TYPE_CHECKING:
    from rfsn_tts_xvasynth import Settings

PIECE = 0.2
"""Seconds of sound in each piece that is handed on."""


class XvaSynth:
    """xVASynth as a voice. It has no mouth shapes."""

    def __init__(self, settings: Settings, host: Host) -> None:
        self.sample_rate = settings.sample_rate
        self._settings = settings
        self._remote = Remote(
            settings.url,
            "xVASynth",
            connect_timeout=settings.connect_timeout,
            start="Start xVASynth, and load any voice once",
        )
        self._one_at_a_time = asyncio.Lock()
        self._loaded = ""
        self._missing = UnknownVoices(host.log)
        self._folder = tempfile.TemporaryDirectory(prefix="rfsn-xvasynth-")

    async def close(self) -> None:
        """Close all connections."""
        await self._remote.close()
        self._folder.cleanup()

    async def speak(self, text: str, voice: VoiceStyle) -> AsyncGenerator[Speech]:
        """Yield a sentence when its file is complete."""
        if not any(map(str.isalnum, text)):
            return
        async with self._one_at_a_time:
            await self._load(self._path(voice.voice))
            pcm = await self._make(text, voice)
        step = 2 * int(self.sample_rate * PIECE)
        for start in range(0, len(pcm), step):
            yield Speech(pcm[start : start + step])

    def _path(self, name: str) -> str:
        folder = self._settings.folder.rstrip("/\\")
        return f"{folder}/{name}" if name and folder else name or self._settings.voice

    async def _load(self, path: str) -> None:
        """Have an NPC's model loaded, or the default model when that fails."""
        default = self._settings.voice
        if path in self._missing:
            path = default
        if path == self._loaded:
            return
        self._loaded = ""
        body = {
            "model": path, "modelType": self._settings.model_type, "base_lang": self._settings.language,
            "pluginsContext": "{}",
        }  # fmt: skip
        try:
            await self._remote.ask("POST", "/loadModel", body, patience=self._settings.patience)
        except EngineError as error:
            # It closes the connection when a model cannot be loaded: is it the model, or is nobody there?
            if path == default or not await self._alive():
                raise
            self._missing.report(path, "the default", str(error))
            await self._load(default)
            return
        self._loaded = path

    async def _alive(self) -> bool:
        try:
            await self._remote.ask("GET", "/", patience=2)
        except EngineError as error:
            return "refused" in str(error)  # it answered, if only with an error
        return True

    async def _make(self, text: str, voice: VoiceStyle) -> bytes:
        settings = self._settings
        target = Path(self._folder.name) / "sentence.wav"
        target.unlink(missing_ok=True)
        body = {
            "sequence": text, "pace": 1 / max(0.25, min(4.0, voice.rate)), "outfile": str(target),
            "vocoder": settings.vocoder, "modelType": settings.model_type, "base_lang": settings.language,
            "base_emb": "", "useSR": False, "useCleanup": False, "pluginsContext": "{}",
        }  # fmt: skip
        try:
            await self._remote.ask("POST", "/synthesize", body, patience=settings.patience)
        except EngineError:
            self._loaded = ""  # the program may have been restarted
            raise
        return await asyncio.to_thread(self._read, target, voice.volume)

    def _read(self, path: Path, volume: float) -> bytes:
        """Return the file's sound at the provider's rate. Raises EngineError for a file that is no sound."""
        try:
            with wave.open(str(path), "rb") as file:
                rate, width, channels = file.getframerate(), file.getsampwidth(), file.getnchannels()
                data = file.readframes(file.getnframes())
        except (OSError, EOFError, wave.Error) as error:
            raise EngineError(f"xVASynth made no sound: {error}", retryable=True) from error
        if width != 2:
            raise EngineError(f"xVASynth wrote samples of {8 * width} bits, not of 16")
        samples = np.frombuffer(data, "<i2").reshape(-1, channels).mean(axis=1) / 32768
        convert = Resampler(rate, self.sample_rate)
        return convert.feed(pcm16(samples.astype(np.float32), volume)) + convert.finish()

    async def health(self) -> str:
        """Return what `rfsn doctor` shows. Raises EngineError when xVASynth does not answer."""
        if not await self._alive():
            await self._remote.ask("GET", "/", patience=2)
        return f"{self._remote}, voice {self._settings.voice}"

    async def voices(self) -> Sequence[str]:
        """Return the models in the folder, when it is on this machine."""
        folder = Path(self._settings.folder or ".")
        return await asyncio.to_thread(lambda: sorted(path.stem for path in folder.glob("*.pt")))

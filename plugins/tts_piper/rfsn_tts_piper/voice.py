"""One Piper for all NPCs, run by a few threads."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from rfsn_core import EngineError, Host, Speech, VoiceStyle
from rfsn_core.kit import UnknownVoices, clauses, nearest_voices, visemes_of

if TYPE_CHECKING:
    from rfsn_tts_piper import Settings

INSTALL = 'pip install "rfsn-tts-piper[engine]"'
FETCH = "python -m piper.download_voices en_US-lessac-medium fetches one; then set `model` in [speech.piper]"


class Piper:
    """The opened provider."""

    def __init__(self, settings: Settings, host: Host) -> None:
        self.sample_rate = 0
        self._timed = True
        self._settings = settings
        self._model = (host.world_dir / settings.model).expanduser()
        self._threads = ThreadPoolExecutor(settings.workers, thread_name_prefix="rfsn-piper")
        self._piper: Any = None
        self._loading, self._ready = asyncio.Lock(), False
        self._config: Any = None
        self._unknown = UnknownVoices(host.log)

    async def start(self) -> None:
        """Load the model, unless the settings leave that to the first sentence. Raises EngineError."""
        about = self._model.with_name(self._model.name + ".json")
        for path in (self._model, about):
            if not path.is_file():
                raise EngineError(f"there is no file {path}", hint=FETCH)
        try:
            self.sample_rate = int(json.loads(about.read_text("utf-8"))["audio"]["sample_rate"])
        except (ValueError, KeyError, TypeError) as error:
            raise EngineError(f"{about} does not describe a voice of Piper: {error!r}", hint=FETCH) from error
        if self._settings.load == "start":
            await self._loaded()

    async def _loaded(self) -> None:
        if self._ready:
            return
        async with self._loading:
            if not self._ready:
                await asyncio.get_running_loop().run_in_executor(self._threads, self._load)
                self._ready = True

    async def close(self) -> None:
        """Close the model after the current sentences."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    def _load(self) -> None:
        try:
            package: Any = importlib.import_module("piper")
        except ImportError as error:
            raise EngineError(f"Piper is not installed: {error}", hint=INSTALL) from error
        try:
            importlib.import_module("onnx")  # with it the model is made to tell how long each sound is
        except ImportError:
            self._timed = False
        try:
            self._config = package.SynthesisConfig
            self._piper = package.PiperVoice.load(str(self._model), include_alignments=self._timed)
            speaker = self._speaker(self._settings.speaker)
            if self._settings.speaker and speaker is None:
                raise EngineError(
                    f"{self._model} has no speaker '{self._settings.speaker}'",
                    hint=self._nearest(self._settings.speaker),
                )
            made = self._make("Hm.", VoiceStyle())
        except EngineError:
            raise
        except Exception as error:
            raise EngineError(f"{self._model} is no voice of Piper: {error!r}", hint=FETCH) from error
        self._timed = self._timed and all(chunk.phoneme_alignments for chunk in made)

    # ── speakers ─────────────────────────────────────────────────────────────────────────────────

    def _speakers(self) -> dict[str, int]:
        return dict(self._piper.config.speaker_id_map or {})

    def _speaker(self, name: str) -> int | None:
        known = self._speakers()
        if name in known:
            return known[name]
        return int(name) if name.isdecimal() and int(name) < self._piper.config.num_speakers else None

    def _nearest(self, name: str) -> str:
        names = sorted(self._speakers())
        return nearest_voices(name, names, f"It has {self._piper.config.num_speakers}: {', '.join(names)}"[:300])

    def _chosen(self, name: str) -> int | None:
        """Return an NPC's speaker; None for a model with only one."""
        if self._piper.config.num_speakers < 2:
            return None
        found = self._speaker(name) if name else None
        if found is None:
            if name:
                self._unknown.report(name, "the default", self._nearest(name))
            found = self._speaker(self._settings.speaker)
        return found or 0

    # ── speaking ─────────────────────────────────────────────────────────────────────────────────

    async def speak(self, text: str, voice: VoiceStyle) -> AsyncGenerator[Speech]:
        """Yield a sentence clause by clause, so that its first sound comes early."""
        if not any(map(str.isalnum, text)):
            return
        await self._loaded()
        loop = asyncio.get_running_loop()
        samples = 0
        for clause in clauses(text):
            try:
                chunks = await loop.run_in_executor(self._threads, self._make, clause, voice)
            except Exception as error:
                raise EngineError(f"Piper failed: {error}") from error
            for chunk in chunks:
                pcm = bytes(chunk.audio_int16_bytes)
                if not pcm:
                    continue
                shown = visemes_of(self._phonemes(chunk, samples))
                samples += len(pcm) // 2
                yield Speech(pcm, tuple(shown) if self._timed else None)

    def _make(self, text: str, voice: VoiceStyle) -> list[Any]:
        rate = min(4.0, max(0.25, self._settings.speed * voice.rate))
        config = self._config(
            speaker_id=self._chosen(voice.voice),
            length_scale=float(self._piper.config.length_scale) / rate,
            volume=voice.volume,
            normalize_audio=self._settings.normalize,
        )
        return list(self._piper.synthesize(text, config, include_alignments=self._timed))

    def _phonemes(self, chunk: Any, first: int) -> list[tuple[str, float, float]]:
        """Return (phoneme, start, end) in ms; the marks at both ends are pauses."""
        spans, at = [], first
        for each in chunk.phoneme_alignments or ():
            end = at + int(each.num_samples)
            name = " " if each.phoneme in "^$_" else each.phoneme
            spans.append((name, at * 1000 / self.sample_rate, end * 1000 / self.sample_rate))
            at = end
        return spans

    async def health(self) -> str:
        """Return what `rfsn doctor` shows."""
        await self._loaded()
        return f"Piper with {self._model.name}, {self.sample_rate} Hz, {self._piper.config.num_speakers} speakers"

    async def voices(self) -> Sequence[str]:
        """Return the model's speakers."""
        await self._loaded()
        return sorted(self._speakers()) or [str(n) for n in range(self._piper.config.num_speakers)]

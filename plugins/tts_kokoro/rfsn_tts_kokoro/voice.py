"""One Kokoro for all NPCs, run by a few threads."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfsn_core import EngineError, Host, Speech, VoiceStyle
from rfsn_core.kit import UnknownVoices, clauses, nearest_voices, pcm16, visemes_of

if TYPE_CHECKING:
    from rfsn_tts_kokoro import Settings

INSTALL = 'pip install "rfsn-tts-kokoro[engine]"'
WHERE = "The page of kokoro-onnx names the files that belong together: rfsn fetch ADDRESS FILE"
RATE = 24000
RELEASE = "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.1"
FILES = {
    "kokoro-v1.0.onnx": "beb0d1848dee9a49da392cc3df26958d46cfa35d321edf434f52949153f0df3a",
    "voices-v1.0.bin": "bca610b8308e8d99f32e6fe4197e7ec01679264efed0cac9140fe9c29f1fbf7d",
}
"""Of the release → their SHA-256, on which all agree who pin them in public."""


def _where(missing: Path) -> str:
    """Return where to download a file."""
    if missing.name in FILES:
        return f'rfsn fetch {RELEASE}/{missing.name} "{missing}" --sha256 {FILES[missing.name]}'
    return WHERE


class KokoroVoice:
    """The opened provider."""

    def __init__(self, settings: Settings, host: Host) -> None:
        self.sample_rate = RATE
        self._timed = False
        self._settings = settings
        self._model = (host.world_dir / settings.model).expanduser()
        self._voices = (host.world_dir / settings.voices).expanduser()
        self._threads = ThreadPoolExecutor(settings.workers, thread_name_prefix="rfsn-kokoro")
        self._kokoro: Any = None
        self._loading, self._ready = asyncio.Lock(), False
        self._styles: dict[str, Any] = {}
        self._unknown = UnknownVoices(host.log)

    async def start(self) -> None:
        """Load the model, unless the settings leave that to the first sentence. Raises EngineError."""
        for path in (self._model, self._voices):
            if not path.is_file():
                raise EngineError(f"there is no file {path}", hint=_where(path))
        if self._settings.load == "start":
            await self._loaded()

    async def _loaded(self) -> None:
        if self._ready:
            return
        async with self._loading:
            if not self._ready:
                await self._work(self._load)
                self._ready = True

    async def close(self) -> None:
        """Close the model after the current sentences."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def _work(self, job: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, job, *arguments)

    def _load(self) -> None:
        # It complains of every sentence whose words it counts differently, which is no concern of ours.
        logging.getLogger("phonemizer").setLevel(logging.ERROR)
        try:
            onnx: Any = importlib.import_module("onnxruntime")
            package: Any = importlib.import_module("kokoro_onnx")
        except ImportError as error:
            raise EngineError(f"Kokoro is not installed: {error}", hint=INSTALL) from error
        options = onnx.SessionOptions()
        options.intra_op_num_threads = self._settings.threads
        options.inter_op_num_threads = 1
        try:
            session = onnx.InferenceSession(str(self._model), options, providers=["CPUExecutionProvider"])
            self._kokoro = package.Kokoro.from_session(session, str(self._voices))
            self._timed = bool(getattr(self._kokoro, "has_timings", False))
            if hasattr(archive := self._kokoro.voices, "close"):  # read as a whole; otherwise the file stays open
                self._kokoro.voices = {name: archive[name] for name in archive}
                archive.close()
            if self._blend(default := self._settings.voice) is None:
                raise EngineError(f"Kokoro has no voice '{default}'", hint=self._nearest(default))
            self._make("Hm.", self._style(default), 1.0, self._settings.language)
        except EngineError:
            raise
        except Exception as error:
            raise EngineError(f"{self._model} and {self._voices} are no Kokoro: {error}", hint=WHERE) from error

    def _nearest(self, name: str) -> str:
        names = sorted(self._kokoro.get_voices())
        return nearest_voices(name, names, f"There are: {', '.join(names)}")

    # ── voices ───────────────────────────────────────────────────────────────────────────────────

    def _blend(self, name: str) -> Any:
        """Return the style of a voice, or of a blend such as `af_heart:0.7+af_bella:0.3`; None for an unknown one."""
        mixed, total = None, 0.0
        for part in name.split("+"):
            bare, _, weight = part.strip().partition(":")
            try:
                share = float(weight or 1)
                style = self._kokoro.get_voice_style(bare)
            except (KeyError, ValueError, AssertionError):
                return None
            if not share > 0:
                return None
            mixed = style * share if mixed is None else mixed + style * share
            total += share
        return mixed / total if mixed is not None else None

    def _style(self, name: str) -> Any:
        found = self._styles.get(name)
        if found is None:
            found = self._blend(name)
            if found is None:
                self._unknown.report(name, f"'{self._settings.voice}'", self._nearest(name))
                return self._style(self._settings.voice)
            if len(self._styles) < 1000:
                self._styles[name] = found
        return found

    # ── speaking ─────────────────────────────────────────────────────────────────────────────────

    async def speak(self, text: str, voice: VoiceStyle) -> AsyncGenerator[Speech]:
        """Yield a sentence clause by clause, so that its first sound comes early."""
        if not any(map(str.isalnum, text)):
            return
        await self._loaded()
        speed = min(2.0, max(0.5, self._settings.speed * voice.rate))
        style = self._style(voice.voice or self._settings.voice)
        language = _espeak_language(voice.language, self._settings.language)
        samples = 0
        for clause in clauses(text):
            try:
                audio, timings = await self._work(self._make, clause, style, speed, language)
            except Exception as error:
                raise EngineError(f"Kokoro failed: {error}") from error
            if not len(audio):
                continue
            start = samples * 1000 / RATE
            shown = visemes_of((t.phoneme, start + t.start * 1000, start + t.end * 1000) for t in timings)
            samples += len(audio)
            yield Speech(pcm16(audio, voice.volume), tuple(shown) if self._timed else None)

    def _make(self, text: str, style: Any, speed: float, language: str) -> tuple[Any, Sequence[Any]]:
        """Return (samples, timings); no samples for a text without sounds."""
        try:
            if self._timed:
                audio, _, timings = self._kokoro.create_timed(text, style, speed, language)
                return audio, timings
            audio, _ = self._kokoro.create(text, style, speed, language)
            return audio, ()
        except ValueError as error:
            if "no phonemes" in str(error) or "othing to synthesize" in str(error):
                return (), ()
            raise

    async def health(self) -> str:
        """Return what `rfsn doctor` shows."""
        await self._loaded()
        return f"Kokoro with {self._model.name}, {len(self._kokoro.get_voices())} voices"

    async def voices(self) -> Sequence[str]:
        """Return the names of the voices; two or more can be blended."""
        await self._loaded()
        return sorted(self._kokoro.get_voices())


def _espeak_language(language: str, default: str) -> str:
    """Return espeak-ng's name of a language; the default where none is named, or the default is a kind of it."""
    if not language or language[:2] == default[:2]:
        return default
    return {"en": "en-us", "fr": "fr-fr", "pt": "pt-br", "zh": "cmn"}.get(language, language)

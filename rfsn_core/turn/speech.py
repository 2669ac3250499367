"""The voice of a turn: sentences in, audio frames and mouth shapes out, while the next sentence is being written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import cast

from rfsn_core import protocol
from rfsn_core.contract.errors import EngineError, contained
from rfsn_core.contract.speech import Speech, Voice, VoiceStyle
from rfsn_core.kit.resample import Resampler
from rfsn_core.kit.visemes import estimated
from rfsn_core.settings.schema import Settings
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn.audio_frames import Frames, Pcm, frames
from rfsn_core.turn.breaker import Engine
from rfsn_core.turn.deadline import Deadline
from rfsn_core.turn.events import TurnEvents
from rfsn_core.turn.outbox import Audio
from rfsn_core.turn.request import Request
from rfsn_core.turn.runtime import Runtime
from rfsn_core.turn.speech_queue import QueuedSentence, SpeechQueue

log = logger("speech")

MOODS = {
    "happy": (1.04, 1.06, 1.0),
    "sad": (0.9, 0.95, 0.9),
    "angry": (1.08, 0.96, 1.15),
    "afraid": (1.12, 1.1, 0.95),
}
"""Mood → factors of rate, pitch and volume."""
STYLES = {
    "terse_direct": (1.05, 1.0, 1.0),
    "lore_rich": (0.95, 1.0, 1.0),
    "formal_respectful": (0.96, 0.98, 1.0),
    "playful_witty": (1.04, 1.04, 1.0),
    "warm_friendly": (0.98, 1.02, 1.0),
}
"""Style → the same factors."""


def expressed(voice: VoiceStyle, mood: str, style: str) -> VoiceStyle:
    """Return the voice as it sounds in a mood and a style."""
    by_mood, by_style = MOODS.get(mood, (1.0, 1.0, 1.0)), STYLES.get(style, (1.0, 1.0, 1.0))
    rate, pitch, volume = (round(a * b, 4) for a, b in zip(by_mood, by_style, strict=True))
    return replace(
        voice, rate=voice.rate * rate, pitch=voice.pitch * pitch, volume=voice.volume * volume, mood=mood, style=style
    )


def until(text: str, share: float) -> str:
    """Return the words of a sentence that were heard when this share of its sound was; a cut ends in a dash."""
    cut = int(len(text) * share)
    words = text[: text.rfind(" ", 0, cut)] if text[cut : cut + 1].strip() and " " in text[:cut] else text[:cut]
    return f"{words.rstrip(' ,;:')}—" if words.strip() and cut < len(text.rstrip()) else words


class Speaker:
    """Speaks one turn. When a voice fails the next one takes over; after the last the text continues alone.

    :param manner: how the NPC sounds now.
    :param queue: sentences that may wait; 0 for the number in the settings.
    """

    def __init__(
        self, request: Request, events: TurnEvents, voices: Sequence[Engine[Voice]], manner: VoiceStyle,
        settings: Settings, queue: int = 0,
    ) -> None:  # fmt: skip
        self._request, self._events, self._manner = request, events, manner
        self._voices = list(voices)
        self._settings = speech = settings.speech
        self._seconds = settings.operations.speech_timeout
        self._queue = SpeechQueue(queue or speech.queue, speech.when_full, speech.queue_seconds)
        self._voiced = False  # whether any of the sentence at hand was voiced
        self.lengths: dict[int, int] = {}
        """Sentence → ms of its sound so far."""
        self.dropped = 0
        """Sentences that were not spoken, because the queue was full or they were too late."""

    @property
    def waiting(self) -> int:
        """Sentences that wait for the voice."""
        return len(self._queue)

    async def say(self, sentence: int, text: str, *, narrates: bool = False) -> None:
        """Queue a sentence, or what the narrator tells; waits for room if the settings say so."""
        for dropped in await self._queue.put(sentence, text, narrates=narrates):
            self._drop(dropped, "full")

    def finish(self) -> None:
        """Take no more sentences; `run` returns after the last one."""
        self._queue.close()

    def resize(self, bound: int) -> None:
        """Change how many sentences may wait."""
        for dropped in self._queue.resize(bound):
            self._drop(dropped, "full")

    async def run(self) -> None:
        """Speak the sentences in order, until `finish` was called and all are spoken."""
        try:
            while (sentence := await self._queue.get()) is not None:
                if self._queue.is_late(sentence):
                    self._drop(sentence, "late")
                    continue
                spoken = await self._speak(sentence)
                METRICS.speech.labels("spoken" if spoken else "silent").inc()
        finally:
            self._queue.close()  # nobody may wait for room any more
            if cancelled := self._queue.abandon():
                METRICS.speech.labels("cancelled").inc(cancelled)

    def _drop(self, sentence: QueuedSentence, reason: str) -> None:
        self.dropped += 1
        METRICS.speech.labels(reason).inc()
        self._events.emit(
            protocol.SpeechDropped(turn_id=self._request.turn_id, sentence=sentence.number, reason=reason)
        )

    async def _speak(self, sentence: QueuedSentence) -> bool:
        """Speak a sentence with the first voice that can; return whether all of it was voiced."""
        self._voiced = False
        while self._voices and not self._voiced:  # a sentence that broke off is not begun again
            name, breaker = self._voices[0].name, self._voices[0].breaker
            if not breaker.admits():
                self._give_up(name, breaker.reason)
                continue
            try:
                with contained():
                    await self._voice(self._voices[0], sentence)
                breaker.succeeded()
                return self._voiced
            except asyncio.CancelledError:
                breaker.undecided()
                raise
            except Exception as error:  # noqa: BLE001  the voice's code: speech degrades, the text continues
                METRICS.errors.labels("speech").inc()
                reason = "timeout" if isinstance(error, TimeoutError) else str(error) or repr(error)
                log.warning("voice.failed", voice=name, npc=self._request.npc.id, error=reason)
                public = _public(error)
                breaker.failed(public)
                self._give_up(name, public)
        return False

    def _give_up(self, name: str, reason: str) -> None:
        """Drop this voice for the rest of the turn; fall back to the next, or to text only."""
        self._voices.pop(0)
        if self._voices:
            METRICS.fallbacks.labels("speech").inc()
        else:
            self._events.emit(protocol.SpeechOff(turn_id=self._request.turn_id, reason=f"{name}: {reason}"))

    async def _voice(self, engine: Engine[Voice], sentence: QueuedSentence) -> None:
        voice, outbox = engine.provider, self._request.outbox
        style = self._manner
        if sentence.narrates:
            style = VoiceStyle(self._settings.narrator, language=self._manner.language)
        elif special := self._request.npc.file.voices.get(engine.name):
            style = replace(style, voice=special)
        sound = SentenceSound(self._request, sentence.number, voice.sample_rate)
        size = 0  # bytes, at the voice's own rate
        speaking = cast("AsyncGenerator[Speech, None]", voice.speak(sentence.text, style))
        first = asyncio.get_running_loop().time() + self._seconds
        async with aclosing(speaking) as stream, Deadline(first, self._seconds) as deadline:
            async for speech in stream:
                deadline.stop()  # sending has a time limit of its own
                if len(speech.pcm) % 2:
                    raise EngineError("the audio ends in half a sample")
                if not self._voiced:
                    self._voiced = True
                    self._events.mark("first_audio")
                    self._events.emit(sound.started())
                start, size = size, size + len(speech.pcm)
                self._show(voice, sentence, speech, start, size)
                await sound.send(speech.pcm)
                self.lengths[sentence.number] = size * 500 // voice.sample_rate
                if sound.dropped and outbox.policy == "reject":
                    break
                deadline.renew()
        if size:
            await sound.end(self._settings.gap_ms)
            self._events.emit(sound.finished())

    def _show(self, voice: Voice, sentence: QueuedSentence, speech: Speech, start: int, end: int) -> None:
        """Send the mouth shapes of a piece of speech: those that the voice knows, or estimated ones.

        :param start: bytes of the sentence before it; `end` includes it.
        """
        if not self._request.wants.visemes or speech.visemes == ():
            return
        rate = voice.sample_rate
        shapes = list(speech.visemes or estimated(sentence.text, start * 500 / rate, end * 500 / rate))
        self._events.emit(
            protocol.Visemes(
                turn_id=self._request.turn_id,
                sentence=sentence.number,
                visemes=shapes,
                estimated=speech.visemes is None,
            )
        )


def speaker_of(
    request: Request, events: TurnEvents, runtime: Runtime, mood: str, style: str, queue: int
) -> Speaker | None:
    """Return what speaks a turn; None when nobody wants to hear it, or no voice makes a sound."""
    voices = [voice for voice in runtime.voices if voice.provider.sample_rate > 0]
    if not (voices and request.wants.audio):
        return None
    manner = request.npc.voice
    if runtime.settings.speech.expressive:
        manner = expressed(manner, mood, style)
    return Speaker(request, events, voices, manner, runtime.settings, queue)


class SentenceSound:
    """The sound of one sentence, on its way to the client: at the client's rate and in its format.

    :param rate: Hz of the samples that `send` takes.
    """

    def __init__(self, request: Request, sentence: int, rate: int) -> None:
        self._request, self._sentence = request, sentence
        # Without a rate that the client wants, the voice's own, or the next one that the format knows.
        self._frames: Frames = frames(request.wants.audio_format, request.wants.sample_rate or rate)
        self._resampler = Resampler(rate, self._frames.rate)
        self._sequence = 0
        self._size = 0  # bytes of samples
        self.dropped = 0
        """Frames that the client will not get."""

    def started(self) -> protocol.SpeechStarted:
        """Return the event for the beginning."""
        return protocol.SpeechStarted(
            turn_id=self._request.turn_id,
            turn_no=self._request.turn_no,
            sentence=self._sentence,
            sample_rate=self._frames.rate,
            audio_format=self._request.wants.audio_format,
            pre_skip=self._frames.pre_skip,
        )

    def finished(self) -> protocol.SpeechFinished:
        """Return the event for the end."""
        duration = self._size * 500 // self._frames.rate
        return protocol.SpeechFinished(
            turn_id=self._request.turn_id, sentence=self._sentence, duration_ms=duration, dropped=self.dropped
        )

    async def send(self, pcm: bytes) -> None:
        """Send more samples."""
        await self._send(self._resampler.feed(pcm))

    async def end(self, gap_ms: int) -> None:
        """Send the rest, some silence, and the frame that ends the sentence."""
        rate = self._frames.rate
        await self._send(self._resampler.finish() + bytes(2 * (rate * gap_ms // 1000)))
        for frame in await self._encode(self._frames.finish):
            await self._put(frame)
        await self._put(b"", last=True)
        METRICS.audio_seconds.inc(self._size / 2 / rate)

    async def _send(self, pcm: bytes) -> None:
        self._size += len(pcm)
        for frame in await self._encode(self._frames.feed, pcm):
            await self._put(frame)

    async def _encode(self, work: Callable[..., Sequence[bytes]], *pcm: bytes) -> Sequence[bytes]:
        if isinstance(self._frames, Pcm):
            return work(*pcm)
        return await asyncio.to_thread(work, *pcm)  # benchmarks/voices.py: milliseconds for each second of sound

    async def _put(self, content: bytes, *, last: bool = False) -> None:
        turn_no = self._request.turn_no
        frame = protocol.audio_frame(self._sentence, turn_no, self._sequence, content, last=last)
        queued = await self._request.outbox.put_audio(Audio(turn_no, frame))
        self._sequence += 1
        self.dropped += not (queued or last)


def _public(error: Exception) -> str:
    """Return what clients may know of a voice's failure."""
    if isinstance(error, TimeoutError):
        return "it took too long"
    return error.public if isinstance(error, EngineError) else "it failed"

"""The voice of a turn: sentences in, audio frames and mouth shapes out, while the next sentence is being made."""

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
from rfsn_core.settings.schema import QueuePolicy
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn.audio_frames import AudioFormat, Frames, Pcm, frames
from rfsn_core.turn.breaker import Engine
from rfsn_core.turn.outbox import Audio, Outbox
from rfsn_core.turn.speech_queue import SpeechQueue
from rfsn_core.world.files import Npc

log = logger("speaking")

MOODS = {
    "happy": (1.04, 1.06, 1.0),
    "sad": (0.9, 0.95, 0.9),
    "angry": (1.08, 0.96, 1.15),
    "afraid": (1.12, 1.1, 0.95),
}
"""Mood → what it does to rate, pitch and volume."""
STYLES = {
    "terse_direct": (1.05, 1.0, 1.0),
    "lore_rich": (0.95, 1.0, 1.0),
    "formal_respectful": (0.96, 0.98, 1.0),
    "playful_witty": (1.04, 1.04, 1.0),
    "warm_friendly": (0.98, 1.02, 1.0),
}
"""The same for styles."""


def expressed(voice: VoiceStyle, mood: str, style: str) -> VoiceStyle:
    """A voice, as the NPC feels and means it."""
    by_mood, by_style = MOODS.get(mood, (1.0, 1.0, 1.0)), STYLES.get(style, (1.0, 1.0, 1.0))
    rate, pitch, volume = (round(a * b, 4) for a, b in zip(by_mood, by_style, strict=True))
    return replace(
        voice, rate=voice.rate * rate, pitch=voice.pitch * pitch, volume=voice.volume * volume, mood=mood, style=style
    )


def until(text: str, share: float) -> str:
    """The words of a sentence that were heard when so much of its sound was; what was cut off ends in a dash."""
    cut = int(len(text) * share)
    words = text[: text.rfind(" ", 0, cut)] if text[cut : cut + 1].strip() and " " in text[:cut] else text[:cut]
    return f"{words.rstrip(' ,;:')}—" if words.strip() and cut < len(text.rstrip()) else words


class Speaker:
    """Speaks one turn. When a voice fails the next one takes over; in the end the text goes on alone.

    :param rate: Hz that the client wants; 0 for the voice's own, or the next that the format knows.
    :param gap: ms of silence after each sentence.
    :param queue: sentences that may wait; `when_full` and `too_late` (seconds) say which are left out: see Delivery.
    """

    def __init__(
        self,
        voices: Sequence[Engine[Voice]],
        npc: Npc,
        manner: VoiceStyle,
        turn_id: str,
        turn_no: int,
        outbox: Outbox,
        emit: Callable[[protocol.Message], None],
        *,
        visemes: bool,
        audio_format: AudioFormat,
        rate: int,
        gap: int,
        patience: float,
        queue: int,
        when_full: QueuePolicy,
        too_late: float,
        first_audio: Callable[[], None],
    ) -> None:
        self._voices = list(voices)
        self._manner = manner
        self._npc, self._turn_id, self._turn_no = npc, turn_id, turn_no
        self._outbox, self._emit, self._first_audio = outbox, emit, first_audio
        self._visemes, self._format, self._rate, self._gap = visemes, audio_format, rate, gap
        self._patience = patience
        self.delivery = SpeechQueue(queue, when_full, too_late, self._leave_out)
        self._begun = False  # whether any of the sentence at hand was voiced
        self.lengths: dict[int, int] = {}
        """Sentence → ms of its sound so far."""
        self.left_out = 0
        """Sentences that were not spoken, for want of room or time."""

    async def run(self) -> None:
        """Speak the sentences of `delivery` in order, until it is finished."""
        try:
            while (item := await self.delivery.get()) is not None:
                spoken = await self._sentence(item.sentence, item.text)
                METRICS.speech.labels("spoken" if spoken else "silent").inc()
        finally:
            if cut := self.delivery.abandon():
                METRICS.speech.labels("cancelled").inc(cut)

    def _leave_out(self, sentence: int, reason: str) -> None:
        self.left_out += 1
        METRICS.speech.labels(reason).inc()
        self._emit(protocol.SpeechDropped(turn_id=self._turn_id, sentence=sentence, reason=reason))

    async def _sentence(self, sentence: int, text: str) -> bool:
        """Whether all of it was voiced."""
        self._begun = False
        while self._voices and not self._begun:  # a sentence that broke off is not begun again
            engine = self._voices[0]
            name, breaker = engine.name, engine.breaker
            if not breaker.admits():
                self._give_up(name, breaker.reason)
                continue
            style = self._manner
            if special := self._npc.file.voices.get(name):
                style = replace(style, voice=special)
            try:
                with contained():
                    await self._voice(engine.provider, sentence, text, style)
                breaker.succeeded()
                return self._begun
            except asyncio.CancelledError:
                breaker.undecided()
                raise
            except Exception as error:  # noqa: BLE001  the voice's code: speech degrades, the text goes on
                METRICS.errors.labels("speech").inc()
                reason = "timeout" if isinstance(error, TimeoutError) else str(error) or repr(error)
                log.warning("voice failed", voice=name, npc=self._npc.id, error=reason)
                breaker.failed(reason)
                self._give_up(name, reason)
        return False

    def _give_up(self, name: str, reason: str) -> None:
        """For this turn; the next voice takes over, or the text goes on alone."""
        self._voices.pop(0)
        if self._voices:
            METRICS.fallbacks.labels("speech").inc()
        else:
            self._emit(protocol.SpeechOff(turn_id=self._turn_id, reason=f"{name}: {reason}"))

    async def _voice(self, voice: Voice, sentence: int, text: str, style: VoiceStyle) -> None:
        turn_id = self._turn_id
        out = _Sending(frames(self._format, self._rate or voice.sample_rate), self._outbox, self._turn_no, sentence)
        rate = out.frames.rate
        convert = Resampler(voice.sample_rate, rate)
        loop = asyncio.get_running_loop()
        made = 0  # bytes, at the voice's own rate
        speaking = cast("AsyncGenerator[Speech, None]", voice.speak(text, style))
        async with aclosing(speaking) as stream, asyncio.timeout(self._patience) as deadline:
            async for speech in stream:
                deadline.reschedule(None)
                if len(speech.pcm) % 2:
                    raise EngineError("the audio ends in half a sample")
                if not self._begun:
                    self._begun = True
                    self._first_audio()
                    self._emit(
                        protocol.SpeechStarted(
                            turn_id=turn_id,
                            turn_no=self._turn_no,
                            sentence=sentence,
                            sample_rate=rate,
                            audio_format=self._format,
                            pre_skip=out.frames.pre_skip,
                        )
                    )
                at, made = made, made + len(speech.pcm)
                if self._visemes and (speech.visemes or not getattr(voice, "visemes", True)):
                    shown = list(speech.visemes) or estimated(
                        text, at * 500 / voice.sample_rate, made * 500 / voice.sample_rate
                    )
                    self._emit(
                        protocol.Visemes(
                            turn_id=turn_id, sentence=sentence, visemes=shown, estimated=not speech.visemes
                        )
                    )
                await out.send(convert.feed(speech.pcm))
                self.lengths[sentence] = made * 500 // voice.sample_rate
                if out.dropped and self._outbox.policy == "reject":
                    break
                deadline.reschedule(loop.time() + self._patience)
        if made:
            await out.send(convert.finish() + bytes(2 * (rate * self._gap // 1000)))
            await out.end()
            METRICS.audio_seconds.inc(out.size / 2 / rate)
            self._emit(
                protocol.SpeechFinished(
                    turn_id=turn_id, sentence=sentence, duration_ms=out.size * 500 // rate, dropped=out.dropped
                )
            )


class _Sending:
    """The binary frames of one sentence, on their way out."""

    def __init__(self, made: Frames, outbox: Outbox, turn_no: int, sentence: int) -> None:
        self.frames = made
        self._outbox, self._turn_no, self._sentence = outbox, turn_no, sentence
        self._sequence = 0
        self.size = 0
        """Bytes of samples."""
        self.dropped = 0

    async def send(self, pcm: bytes) -> None:
        """More samples."""
        self.size += len(pcm)
        for frame in await self._make(self.frames.feed, pcm):
            await self._put(frame)

    async def end(self) -> None:
        """The rest, and the frame that says so."""
        for frame in await self._make(self.frames.finish):
            await self._put(frame)
        await self._put(b"", last=True)

    async def _make(self, work: Callable[..., Sequence[bytes]], *pcm: bytes) -> Sequence[bytes]:
        if isinstance(self.frames, Pcm):
            return work(*pcm)
        return await asyncio.to_thread(work, *pcm)  # benchmarks/voices.py: milliseconds for each second of sound

    async def _put(self, content: bytes, *, last: bool = False) -> None:
        frame = protocol.audio_frame(self._sentence, self._turn_no, self._sequence, content, last=last)
        taken = await self._outbox.put_audio(Audio(self._turn_no, frame))
        self._sequence += 1
        self.dropped += not (taken or last)

"""What a provider of the speech stage must do."""

from __future__ import annotations

import asyncio
import math
import struct
from contextlib import aclosing
from pathlib import Path
from typing import Any, ClassVar, get_args

from rfsn_core.contract.speech import Speech, Voice, VoiceStyle
from rfsn_core.protocol.turn import VisemeShape
from rfsn_core.testing.suites.provider import ProviderSuite
from rfsn_core.testing.suites.rendering import generator
from rfsn_core.testing.suites.texts import ODD_TEXTS, SPEAKABLE

SPEAKERS = 30


class VoiceSuite(ProviderSuite):
    """For providers of the speech stage."""

    stage = "speech"
    audible: ClassVar[bool] = True
    """Whether the voice makes sound."""
    visemes: ClassVar[bool] = True
    """Whether the engine gives mouth shapes."""
    needs_thread: ClassVar[bool] = True
    """Whether it takes the engine more than some microseconds to make a piece of sound."""

    def test_it_makes_sound(self, tmp_path: Path) -> None:
        async def body(voice: Voice) -> None:
            pcm, _ = await _spoken(voice, SPEAKABLE)
            if not self.audible:
                assert voice.sample_rate == 0
                assert pcm == b""
                return
            assert 8000 <= voice.sample_rate <= 48000
            seconds = len(pcm) / 2 / voice.sample_rate
            assert 1 < seconds < 20
            samples = struct.unpack(f"<{len(pcm) // 2}h", pcm)
            energy = math.sqrt(sum(sample * sample for sample in samples) / len(samples))
            assert energy > 100, "this is silence"

        self.run(tmp_path, body)

    def test_mouth_shapes_are_in_order_and_within_the_sound(self, tmp_path: Path) -> None:
        async def body(voice: Voice) -> None:
            pcm, visemes = await _spoken(voice, SPEAKABLE)
            assert bool(visemes) == (self.visemes and self.audible)
            end = len(pcm) / 2 / voice.sample_rate * 1000 if voice.sample_rate else 0
            last = 0
            for viseme in visemes:
                assert viseme.shape in get_args(VisemeShape)
                assert last <= viseme.start_ms < viseme.end_ms <= end + 1
                last = viseme.end_ms

        self.run(tmp_path, body)

    def test_text_without_words_is_silent_and_odd_text_is_no_error(self, tmp_path: Path) -> None:
        async def body(voice: Voice) -> None:
            for text in ODD_TEXTS:
                pcm, _ = await _spoken(voice, text)
                assert len(pcm) % 2 == 0
                if not any(map(str.isalnum, text)):
                    assert pcm == b""

        self.run(tmp_path, body)

    def test_closing_the_stream_stops_it_in_the_middle_of_a_sentence(self, tmp_path: Path) -> None:
        async def body(voice: Voice) -> None:
            if not self.audible:
                return
            whole, _ = await _spoken(voice, SPEAKABLE * 20)
            heard = b""
            async with aclosing(generator(voice.speak(SPEAKABLE * 20, VoiceStyle()))) as stream:
                async for speech in stream:
                    heard += speech.pcm
                    if heard:
                        break
            assert 0 < len(heard) < len(whole) / 2
            again, _ = await _spoken(voice, SPEAKABLE)
            assert again

        self.run(tmp_path, body)

    def test_rate_changes_the_length(self, tmp_path: Path) -> None:
        async def body(voice: Voice) -> None:
            if not self.audible:
                return
            slow, _ = await _spoken(voice, SPEAKABLE, VoiceStyle(rate=0.7))
            fast, _ = await _spoken(voice, SPEAKABLE, VoiceStyle(rate=1.5))
            assert len(slow) > len(fast) * 1.3

        self.run(tmp_path, body)

    def test_odd_voice_styles_are_no_error(self, tmp_path: Path) -> None:
        async def body(voice: Voice) -> None:
            for number in (0.0, -1.0, 100.0):
                for style in (VoiceStyle(rate=number), VoiceStyle(pitch=number), VoiceStyle(volume=number)):
                    pcm, _ = await _spoken(voice, SPEAKABLE, style)
                    assert bool(pcm) == self.audible
            pcm, _ = await _spoken(voice, SPEAKABLE, VoiceStyle(voice="../no such voice"))
            assert bool(pcm) == self.audible

        self.run(tmp_path, body)

    def test_many_speak_at_once_and_the_loop_stays_free(self, tmp_path: Path) -> None:
        async def body(voice: Voice) -> None:
            pieces = 0

            async def speak() -> int:
                nonlocal pieces
                size = 0
                async for speech in voice.speak(SPEAKABLE, VoiceStyle()):
                    pieces += 1
                    size += len(speech.pcm)
                return size

            async def turn(times: int) -> None:
                for _ in range(times):
                    await asyncio.sleep(0)

            alone = await speak()
            # While threads work, the loop turns all the time. A voice that works in the loop lets it turn at most once
            # for each piece.
            turning = asyncio.create_task(turn(2 * SPEAKERS * pieces))
            sizes = await asyncio.gather(*(speak() for _ in range(SPEAKERS)))
            if self.audible and self.needs_thread:
                assert turning.done(), "it works in the event loop; use a thread"
            await turning
            assert all(abs(size - alone) <= 0.05 * alone for size in sizes)

        self.run(tmp_path, body)


async def _spoken(voice: Voice, text: str, style: VoiceStyle | None = None) -> tuple[bytes, list[Any]]:
    pcm: list[bytes] = []
    visemes: list[Any] = []
    async for speech in voice.speak(text, style or VoiceStyle()):
        assert isinstance(speech, Speech)
        pcm.append(speech.pcm)
        visemes += speech.visemes or ()
    return b"".join(pcm), visemes

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from rfsn_tts_xvasynth import Settings
from rfsn_tts_xvasynth.voice import XvaSynth

from rfsn_core import EngineError, Host, Speech, VoiceStyle
from rfsn_core.testing.suites import VoiceSuite
from rfsn_core.testing.xvasynth import XvaSynthStandIn

LOG = logging.getLogger("rfsn.test")


@pytest.fixture
def program() -> Iterator[XvaSynthStandIn]:
    with XvaSynthStandIn() as running:
        yield running


@pytest.fixture
async def voice(program: XvaSynthStandIn) -> Any:
    host = Host(Path(), Path(), LOG, random.Random(1))
    made = XvaSynth(Settings(url=program.url, voice="/models/narrator", folder="/models"), host)
    yield made
    await made.close()


async def say(voice: XvaSynth, text: str = "All quiet at the ferry.", /, **style: Any) -> Any:
    parts: list[Speech] = [speech async for speech in voice.speak(text, VoiceStyle(**style))]
    return np.frombuffer(b"".join(part.pcm for part in parts), "<i2").astype(float)


class TestXvaSynth(VoiceSuite):
    provider = "xvasynth"
    visemes = False
    settings: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def reach(self, program: XvaSynthStandIn) -> None:
        type(self).settings = {"url": program.url, "voice": "narrator"}


async def test_a_model_is_loaded_once_and_when_the_voice_changes(program: XvaSynthStandIn, voice: XvaSynth) -> None:
    for name in ("", "", "smith", "smith", ""):
        assert len(await say(voice, voice=name))
    assert program.loads == ["/models/narrator", "/models/smith", "/models/narrator"]


async def test_a_voice_that_is_missing_is_told_once_and_the_default_speaks(
    program: XvaSynthStandIn, voice: XvaSynth, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        assert len(await say(voice, voice="missing"))
    assert caplog.text.count("the default speaks instead") == 1
    assert program.loads == ["/models/narrator"]


async def test_another_rate_is_converted(program: XvaSynthStandIn, voice: XvaSynth) -> None:
    plain = await say(voice)
    program.rate = 44100
    converted = await say(voice)
    assert abs(len(converted) - len(plain)) <= 2
    share = np.abs(np.fft.rfft(converted[: len(plain)]))
    assert abs(np.argmax(share) * 22050 / len(plain) - 220) < 3  # still the same tone


@pytest.mark.parametrize("content", [b"", b"RIFF", b"nonsense" * 100])
async def test_a_file_that_is_no_sound_is_an_error(program: XvaSynthStandIn, voice: XvaSynth, content: bytes) -> None:
    program.content = content
    with pytest.raises(EngineError, match="made no sound"):
        await say(voice)
    program.content = None
    assert len(await say(voice))


async def test_a_program_that_was_started_anew_loads_its_model_again(program: XvaSynthStandIn, voice: XvaSynth) -> None:
    await say(voice)
    program.stop()
    with pytest.raises(EngineError, match="xVASynth"):
        await say(voice)
    with pytest.raises(EngineError):
        await voice.health()
    program.loads.clear()
    program.restart()
    assert len(await say(voice))
    assert program.loads == ["/models/narrator"]
    assert "xVASynth at" in await voice.health()

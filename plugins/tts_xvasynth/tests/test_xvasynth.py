from __future__ import annotations

import logging
import math
import random
import struct
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from rfsn_tts_xvasynth import Settings
from rfsn_tts_xvasynth.voice import XvaSynth

from rfsn_core import EngineError
from rfsn_core.providers import Host, Speech, VoiceStyle
from rfsn_core.runtime import SystemClock
from rfsn_core.testing.engine import Send, StandIn, answer
from rfsn_core.testing.suites import VoiceSuite
from rfsn_core.testing.wires import Body

LOG = logging.getLogger("rfsn.test")


class Program(StandIn):
    """xVASynth's wire: it answers with a file, and by closing the connection when something is wrong."""

    rate = 22050
    content: bytes | None = None

    async def other(self, method: str, path: str, body: Body, send: Send) -> bool:
        """Load, or hum."""
        if path == "/loadModel":
            if "missing" in body["model"]:
                raise ConnectionError("no such model")
            assert body["pluginsContext"] == "{}"
            self.loads.append(body["model"])
            await answer(send, 200, "")
        elif path == "/synthesize":
            if not self.loads:
                raise ConnectionError("no model")
            self._write(body)
            await answer(send, 200, "")
        return path in ("/loadModel", "/synthesize")

    def _write(self, body: Body) -> None:
        if self.content is not None:
            Path(body["outfile"]).write_bytes(self.content)
            return
        count = int(self.rate * 0.07 * len(body["sequence"]) * body["pace"])
        samples = [round(8000 * math.sin(2 * math.pi * 220 * n / self.rate)) for n in range(count)]
        with wave.open(body["outfile"], "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.rate)
            file.writeframes(struct.pack(f"<{count}h", *samples))


@pytest.fixture
def program() -> Iterator[Program]:
    with Program() as running:
        yield running


@pytest.fixture
async def voice(program: Program) -> Any:
    host = Host(Path(), Path(), LOG, SystemClock(), random.Random(1))
    made = XvaSynth(Settings(url=program.url, voice="/models/narrator", folder="/models"), host)
    yield made
    await made.stop()


async def say(voice: XvaSynth, text: str = "All quiet at the ferry.", /, **style: Any) -> Any:
    parts: list[Speech] = [speech async for speech in voice.speak(text, VoiceStyle(**style))]
    return np.frombuffer(b"".join(part.pcm for part in parts), "<i2").astype(float)


class TestXvaSynth(VoiceSuite):
    provider = "xvasynth"
    visemes = False
    settings: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def reach(self, program: Program) -> None:
        type(self).settings = {"url": program.url, "voice": "narrator"}


async def test_a_model_is_loaded_once_and_when_the_voice_changes(program: Program, voice: XvaSynth) -> None:
    for name in ("", "", "smith", "smith", ""):
        assert len(await say(voice, voice=name))
    assert program.loads == ["/models/narrator", "/models/smith", "/models/narrator"]


async def test_a_voice_that_is_missing_is_told_once_and_the_default_speaks(
    program: Program, voice: XvaSynth, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        assert len(await say(voice, voice="missing"))
    assert caplog.text.count("the default speaks instead") == 1
    assert program.loads == ["/models/narrator"]


async def test_another_rate_is_converted(program: Program, voice: XvaSynth) -> None:
    plain = await say(voice)
    program.rate = 44100
    converted = await say(voice)
    assert abs(len(converted) - len(plain)) <= 2
    share = np.abs(np.fft.rfft(converted[: len(plain)]))
    assert abs(np.argmax(share) * 22050 / len(plain) - 220) < 3  # still the same tone


@pytest.mark.parametrize("content", [b"", b"RIFF", b"nonsense" * 100])
async def test_a_file_that_is_no_sound_is_an_error(program: Program, voice: XvaSynth, content: bytes) -> None:
    program.content = content
    with pytest.raises(EngineError, match="made no sound"):
        await say(voice)
    program.content = None
    assert len(await say(voice))


async def test_a_program_that_was_started_anew_loads_its_model_again(program: Program, voice: XvaSynth) -> None:
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

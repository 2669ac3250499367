"""What is particular to espeak-ng."""

from __future__ import annotations

import asyncio
import logging
import shutil
import subprocess
import wave
from collections.abc import AsyncIterator
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from rfsn_tts_espeak.library import Phoneme
from rfsn_tts_espeak.visemes import Timeline
from rfsn_tts_espeak.voice import Espeak

from rfsn_core import EngineError, Speech, Viseme, VoiceStyle
from rfsn_core.kit import read_document

EXAMPLE = Path(__file__).parents[3] / "examples" / "lantern_ford"
TEXT = "The ferry stopped running nine days ago."
log = logging.getLogger("test")


@pytest.fixture
async def voice() -> AsyncIterator[Espeak]:
    voice = Espeak("en", 165, log)
    await voice.start()
    yield voice
    await voice.close()


async def say(voice: Espeak, text: str = TEXT, style: VoiceStyle | None = None) -> tuple[bytes, list[Speech]]:
    pieces = [piece async for piece in voice.speak(text, style or VoiceStyle())]
    return b"".join(piece.pcm for piece in pieces), pieces


async def test_visemes_cover_the_audio_in_order(voice: Espeak) -> None:
    pcm, pieces = await say(voice)
    visemes = [viseme for piece in pieces for viseme in piece.visemes or ()]
    assert len({viseme.shape for viseme in visemes}) > 6
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(visemes))
    duration = len(pcm) // 2 * 1000 // voice.sample_rate
    assert visemes[0].start_ms < 100
    assert duration * 0.8 < visemes[-1].end_ms <= duration


async def test_the_npcs_language_chooses_the_voice_where_none_is_named(voice: Espeak) -> None:
    async def shapes(style: VoiceStyle) -> list[str]:
        _, pieces = await say(voice, "Ich gehe zum Fluss.", style)
        return [viseme.shape for piece in pieces for viseme in piece.visemes or ()]

    german = await shapes(VoiceStyle(voice="de"))
    assert await shapes(VoiceStyle(language="de")) == await shapes(VoiceStyle(language="de-at")) == german
    english = await shapes(VoiceStyle())
    assert english != german
    assert await shapes(VoiceStyle(language="en-gb")) == await shapes(VoiceStyle(language="xx")) == english
    assert await shapes(VoiceStyle(voice="en", language="de")) == english


@pytest.mark.engines
@pytest.mark.parametrize("text", [TEXT, "Who are you?"])
async def test_it_sounds_as_the_program_itself_does(voice: Espeak, tmp_path: Path, text: str) -> None:
    program = shutil.which("espeak-ng")
    assert program, "espeak-ng is missing: apt-get install espeak-ng"
    command = [program, "-v", "en", "-s", "165", "-w", str(tmp_path / "its.wav"), text]
    await asyncio.to_thread(subprocess.run, command, check=True)
    with wave.open(str(tmp_path / "its.wav")) as file:
        assert file.getframerate() == voice.sample_rate
        its = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    ours = np.frombuffer((await say(voice, text))[0], "<i2").astype(float)
    # Ours ends with the sentence, not with the pause after it. What was said before moves a sound by some samples.
    ours, its = np.trim_zeros(ours, "b"), np.trim_zeros(its, "b")
    assert abs(len(ours) / len(its) - 1) < 0.03
    step = voice.sample_rate // 25
    both = min(len(ours), len(its)) // step * step
    loud, wanted = (np.abs(each[:both]).reshape(-1, step).mean(axis=1) for each in (ours, its))
    assert np.corrcoef(loud, wanted)[0, 1] > 0.95


async def test_rate_pitch_volume_and_voice_are_heard(voice: Espeak) -> None:
    plain, _ = await say(voice)
    fast, _ = await say(voice, style=VoiceStyle(rate=2.0))
    assert len(fast) < 0.7 * len(plain)
    soft, _ = await say(voice, style=VoiceStyle(volume=0.3))
    assert loudness(soft) < 0.5 * loudness(plain)
    high, _ = await say(voice, style=VoiceStyle(pitch=1.6))
    assert pitch(high, voice.sample_rate) > 1.2 * pitch(plain, voice.sample_rate)
    woman, _ = await say(voice, style=VoiceStyle("en+f3"))
    assert pitch(woman, voice.sample_rate) > 1.2 * pitch(plain, voice.sample_rate)
    german, _ = await say(voice, style=VoiceStyle("de"))
    assert abs(len(german) - len(plain)) > 1000


def pitch(pcm: bytes, rate: int) -> float:
    """The median fundamental of the voiced stretches in Hz, by autocorrelation between 60 and 400 Hz."""
    found = []
    for frame in np.split(samples := np.frombuffer(pcm, "<i2").astype(float), range(882, len(samples), 882)):
        likeness = np.correlate(frame, frame, "full")[len(frame) - 1 :]
        if len(frame) == 882 and likeness[0] > 0:
            lag = rate // 400 + int(np.argmax(likeness[rate // 400 : rate // 60]))
            if likeness[lag] > 0.5 * likeness[0]:
                found.append(rate / lag)
    return float(np.median(found))


def mouth(pieces: list[Speech]) -> list[str]:
    return [viseme.shape for piece in pieces for viseme in piece.visemes or ()]


def loudness(pcm: bytes) -> float:
    return float(np.sqrt(np.mean(np.frombuffer(pcm, "<i2").astype(float) ** 2)))


async def test_audio_comes_before_the_sentence_is_made_and_stops_when_nobody_listens(voice: Espeak) -> None:
    endless = "and the river ran on and on, " * 400
    async with aclosing(voice.speak(endless, VoiceStyle())) as stream:  # type: ignore[type-var]
        first = await anext(stream)
    assert 0 < len(first.pcm) < 20_000
    started = asyncio.get_running_loop().time()
    pcm, _ = await say(voice, "Next.")
    assert pcm
    assert asyncio.get_running_loop().time() - started < 5  # making all of the endless one takes longer


async def test_the_event_loop_goes_on_while_a_hundred_speak(voice: Espeak) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    ticking = asyncio.create_task(tick())
    spoken = await asyncio.gather(*(say(voice, f"I am number {n}.") for n in range(100)))
    ticking.cancel()
    assert ticks > 50
    assert len({pcm for pcm, _ in spoken}) == 100


async def test_a_voice_that_is_missing_is_told_once_and_another_speaks(
    voice: Espeak, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        _, other = await say(voice, style=VoiceStyle("en-gb-x-rpp"))
        assert mouth(other) == mouth((await say(voice))[1])
    (told,) = caplog.messages
    assert told.startswith("no voice 'en-gb-x-rpp': 'en' speaks instead. Nearest: en-")


async def test_a_default_voice_that_is_missing_is_an_error_with_the_nearest() -> None:
    with pytest.raises(EngineError, match="no voice 'klingonn'"):
        await Espeak("klingonn", 165, log).start()


async def test_the_example_worlds_voices_are_there(voice: Espeak, caplog: pytest.LogCaptureFixture) -> None:
    npcs = [read_document(path).values for path in sorted((EXAMPLE / "npcs").iterdir())]
    assert len(npcs) > 3
    for npc in npcs:
        pcm, _ = await say(voice, "Good evening.", VoiceStyle(**npc.get("voice", {})))
        assert loudness(pcm) > 300
    assert caplog.messages == []


@pytest.mark.parametrize("text", ["", "…", "👋", "\x00", "a" * 5000, "<speak>hi</speak>", "[[h@'loU]]", "ありがとう"])
async def test_any_text_is_survived(voice: Espeak, text: str) -> None:
    await say(voice, text)


def test_a_phoneme_lasts_until_the_next() -> None:
    timeline = Timeline()
    assert timeline.add([Phoneme("p", 0)]) == []
    assert timeline.add([Phoneme("a", 40)]) == [Viseme("PP", 0, 40)]
    assert timeline.finish(90)[0].end_ms == 90
    assert timeline.finish(90) == []

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from rfsn_core import protocol
from rfsn_core.contract.errors import UserError
from rfsn_core.kit.resample import Resampler, available
from rfsn_core.testing import plugin, served
from rfsn_core.testing.client import connected
from rfsn_core.testing.scripted import Tokens, Tone


def tone(rate: int, seconds: float = 1.0) -> bytes:
    wave = 8000 * np.sin(2 * np.pi * 220 * np.arange(int(rate * seconds)) / rate)
    return bytes(wave.astype("<i2").tobytes())


def loudest(pcm: bytes, rate: int) -> float:
    samples = np.frombuffer(pcm, "<i2").astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * rate / len(samples))


@pytest.mark.parametrize("wanted", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("piece", [2, 640, 100_000])
def test_length_and_pitch_stay_and_pieces_leave_no_clicks(wanted: int, piece: int) -> None:
    source = tone(22050, 0.2 if piece == 2 else 1.0)
    made = Resampler(22050, wanted)
    pcm = b"".join(made.feed(source[start : start + piece]) for start in range(0, len(source), piece)) + made.finish()
    assert abs(len(pcm) / wanted - len(source) / 22050) < 0.001
    assert abs(loudest(pcm, wanted) - 220) < 6
    whole = Resampler(22050, wanted)
    at_once = np.frombuffer(whole.feed(source) + whole.finish(), "<i2").astype(int)
    assert np.abs(np.frombuffer(pcm, "<i2").astype(int) - at_once).max() <= 3  # it dithers


def test_the_same_rate_costs_nothing() -> None:
    pcm = tone(16000, 0.1)
    made = Resampler(16000, 16000)
    assert made.feed(pcm) is pcm
    assert made.finish() == b""


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)
    with pytest.raises(UserError, match=r"rfsn-core\[resample\]"):
        available()


async def test_a_client_gets_the_rate_that_it_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = plugin(rendering={"t": Tokens(["All quiet. ", "Good night."])}, speech={"tone": Tone()})
    settings = {"speech": {"provider": "tone", "gap_ms": 250}}
    lengths = {}
    async with served(tmp_path, offered, settings=settings) as server, connected(server.ws) as client:
        for rate in (0, 48000):
            await client.send("hello", sample_rate=rate, visemes=True)
            got = await client.turn("smith")
            (one, two) = [item for item in got if isinstance(item, protocol.SpeechStarted)]
            assert one.sample_rate == two.sample_rate == (rate or 16000)
            frames = [item for item in got if isinstance(item, protocol.AudioFrame) and item.sentence == 0]
            pcm = b"".join(frame.pcm for frame in frames)
            samples = np.frombuffer(pcm, "<i2")
            quiet = one.sample_rate // 4
            assert not samples[-quiet:].any()
            assert samples[-quiet - 50 :].any()
            lengths[rate] = len(samples) / one.sample_rate
            finished = next(item for item in got if isinstance(item, protocol.SpeechFinished))
            assert abs(finished.duration_ms - lengths[rate] * 1000) <= 1
        assert abs(lengths[0] - lengths[48000]) < 0.002
        for wrong in (7999, -1, 200_000, "fast"):
            await client.send("hello", sample_rate=wrong)
            (error,) = await client.until("error")
            assert isinstance(error, protocol.Error)
            assert "sample_rate" in (str(error.field) + error.message)
        monkeypatch.setitem(sys.modules, "soxr", None)
        await client.send("hello", sample_rate=44100)
        (error,) = await client.until("error")
        assert isinstance(error, protocol.Error)
        assert "resample" in error.message

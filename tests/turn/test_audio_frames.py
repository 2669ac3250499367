from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from rfsn_core import protocol
from rfsn_core.contract.errors import UserError
from rfsn_core.testing import plugin, served
from rfsn_core.testing.client import Client, connected
from rfsn_core.testing.scripted import Tokens, Tone
from rfsn_core.turn.audio_frames import LARGEST, OPUS_RATES, available, frames


@pytest.mark.parametrize("size", [0, 2, LARGEST, LARGEST + 2, 5 * LARGEST - 2])
def test_samples_are_sent_as_they_are_in_frames_of_a_bounded_size(size: int) -> None:
    made, pcm = frames("pcm16", 22050), bytes(range(256)) * (size // 256 + 1)
    sent = [*made.feed(pcm[:size]), *made.finish()]
    assert b"".join(sent) == pcm[:size]
    assert all(len(frame) <= LARGEST for frame in sent)


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    available("pcm16")
    with pytest.raises(UserError, match=r"rfsn-core\[opus\]"):
        available("opus")


def decoded(packets: list[bytes], pre_skip: int) -> np.ndarray:
    """Samples at 48 kHz."""
    import av

    codec = av.CodecContext.create("libopus", "r")
    codec.sample_rate, codec.layout = 48000, "mono"
    found = [frame.to_ndarray()[0] for packet in packets for frame in codec.decode(av.Packet(packet))]
    return np.concatenate(found)[pre_skip:].astype(float)


def loudest(samples: np.ndarray, rate: int) -> float:
    """Hz."""
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * rate / len(samples))


@pytest.mark.engines
@pytest.mark.parametrize("rate", OPUS_RATES)
@pytest.mark.parametrize("piece", [2, 999, 100_000])
def test_opus_sounds_as_what_went_in_however_it_is_cut(rate: int, piece: int) -> None:
    wave = 8000 * np.sin(2 * np.pi * 220 * np.arange(int(rate * 0.5)) / rate)
    pcm, made = wave.astype("<i2").tobytes(), frames("opus", rate)
    packets = [p for start in range(0, len(pcm), piece * 2) for p in made.feed(pcm[start : start + piece * 2])]
    packets += made.finish()
    heard = decoded(packets, made.pre_skip)
    assert 0.5 <= len(heard) / 48000 <= 0.5 + 0.041
    middle = heard[2400:21600]
    assert abs(loudest(middle, 48000) - 220) < 6
    assert abs(np.sqrt((middle**2).mean()) / (8000 / np.sqrt(2)) - 1) < 0.2
    assert np.abs(np.diff(middle)).max() < 1.5 * 8000 * 2 * np.pi * 220 / 48000  # no click between packets
    assert sum(map(len, packets)) < len(pcm) / 3


@pytest.mark.engines
def test_a_rate_that_opus_does_not_have_becomes_the_next_one() -> None:
    assert [frames("opus", rate).rate for rate in (8000, 22050, 44100, 96000)] == [8000, 24000, 48000, 48000]


async def spoken(client: Client) -> tuple[protocol.SpeechStarted, protocol.SpeechFinished, list[bytes]]:
    got = await client.turn("smith")
    started = next(item for item in got if isinstance(item, protocol.SpeechStarted))
    finished = next(item for item in got if isinstance(item, protocol.SpeechFinished))
    sent = [item.pcm for item in got if isinstance(item, protocol.AudioFrame) and item.pcm]
    return started, finished, sent


@pytest.mark.engines
async def test_a_client_gets_opus_when_it_asks_for_it(tmp_path: Path) -> None:
    offered = plugin(rendering={"t": Tokens(["All quiet."])}, speech={"tone": Tone()})
    async with served(tmp_path, offered) as server, connected(server.ws) as client:
        plain = await spoken(client)
        await client.send("hello", audio_format="opus")
        started, finished, packets = await spoken(client)
        assert (started.audio_format, started.sample_rate) == ("opus", 16000)
        assert finished.duration_ms == plain[1].duration_ms
        heard = decoded(packets, started.pre_skip)
        samples = np.frombuffer(b"".join(plain[2]), "<i2").astype(float)
        assert len(heard) / 48000 >= finished.duration_ms / 1000
        assert abs(loudest(heard, 48000) - loudest(samples, 16000)) < 6
        assert sum(map(len, packets)) < len(b"".join(plain[2])) / 3
        await client.send("hello", audio_format="opus", sample_rate=44100)
        (error,) = await client.until("error")
        assert isinstance(error, protocol.Error)
        assert "8000, 12000, 16000, 24000, 48000" in error.message


async def test_a_server_that_cannot_make_opus_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    async with served(tmp_path, plugin(rendering={"t": Tokens()})) as server, connected(server.ws) as client:
        for wrong, says in (("opus", "rfsn-core[opus]"), ("mp3", "mp3")):
            await client.send("hello", audio_format=wrong)
            (error,) = await client.until("error")
            assert isinstance(error, protocol.Error)
            assert says in error.message

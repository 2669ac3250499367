"""Every voice, swapped by one line of settings while NPCs speak, over the socket of a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rfsn_core import protocol
from rfsn_core.testing import make_world
from rfsn_core.testing.client import Received, connected
from rfsn_core.testing.process import Server

pytestmark = pytest.mark.engines
SETTINGS = """\
[speech]
provider = "{provider}"
fallback = ["espeak", "silent"]
cache_mb = 0
[speech.kokoro]
model = "k.onnx"
voices = "v.bin"
threads = 1
[speech.piper]
model = "p.onnx"
[server]
messages_per_second = 10000
"""
RATES = {"kokoro": 24000, "piper": 16000, "espeak": 22050}


def world(folder: Path) -> Path:
    from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

    from rfsn_core.testing.tiny import write_kokoro, write_piper

    make_world(folder, SETTINGS.format(provider="espeak"))
    write_kokoro(folder / "k.onnx", folder / "v.bin")
    write_piper(folder / "p.onnx", DEFAULT_PHONEME_ID_MAP)
    return folder


def check(got: list[Received]) -> int:
    """The rate of a turn's sound, which is whole, in order and sounds; its mouth shapes lie within it."""
    started = [item for item in got if isinstance(item, protocol.SpeechStarted)]
    assert len({each.sample_rate for each in started}) == 1
    rate = started[0].sample_rate
    for each in started:
        frames = [item for item in got if isinstance(item, protocol.AudioFrame) and item.sentence == each.sentence]
        assert [frame.sequence for frame in frames] == list(range(len(frames)))
        samples = np.frombuffer(b"".join(frame.pcm for frame in frames), "<i2").astype(float)
        assert np.sqrt((samples**2).mean()) > 100
        shown = [item for item in got if isinstance(item, protocol.Visemes) and item.sentence == each.sentence]
        edges = [edge for item in shown for v in item.visemes for edge in (v.start_ms, v.end_ms)]
        assert edges == sorted(edges)
        assert 0 < edges[-1] <= len(samples) / rate * 1000 + 2
        assert not any(item.estimated for item in shown)
    return rate


async def test_every_voice_speaks_after_one_line_is_changed_under_load(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    place = world(tmp_path / "world")
    server = serve(world=place)
    stop = asyncio.Event()
    heard: list[list[int]] = []

    async def talk(number: int) -> None:
        rates: list[int] = []
        heard.append(rates)
        async with connected(server.ws) as client:
            await client.send("hello", visemes=True)
            while not stop.is_set():
                got = await client.turn("smith", "What happened here?", player=f"p{number}")
                assert isinstance(got[-1], protocol.TurnFinished), got[-1]
                rates.append(check(got))

    talking = [asyncio.create_task(talk(number)) for number in range(10)]
    async with asyncio.timeout(90):
        for provider in ("kokoro", "piper", "espeak", "kokoro"):
            (place / "rfsn.toml").write_text(SETTINGS.format(provider=provider), "utf-8")
            while not all(rates and rates[-1] == RATES[provider] for rates in heard):
                assert not any(task.done() for task in talking), [task for task in talking if task.done()]
                await asyncio.sleep(0.05)
        stop.set()
        await asyncio.gather(*talking)


async def test_a_voice_whose_files_are_missing_is_refused_and_the_old_one_goes_on(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    place = world(tmp_path / "world")
    server = serve(world=place)
    async with connected(server.ws) as client:
        await client.send("hello", visemes=True)
        (place / "p.onnx").unlink()
        (place / "rfsn.toml").write_text(SETTINGS.format(provider="piper"), "utf-8")
        (*_, refused) = await client.until("config.rejected")
        assert isinstance(refused, protocol.ConfigRejected)
        assert "p.onnx" in refused.problems[0]
        assert "piper.download_voices" in refused.problems[0]
        assert check(await client.turn("smith")) == RATES["espeak"]


async def test_a_sentence_is_silent_at_once_when_the_player_interrupts(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    place = world(tmp_path / "world")
    (place / "rfsn.toml").write_text(SETTINGS.format(provider="kokoro"), "utf-8")
    server = serve(world=place, RFSN_RENDERING__SCRIPTED__WORDS_PER_SECOND="4")  # a reply takes seconds
    async with connected(server.ws) as client:
        for number in range(5):
            await client.send("turn", npc="smith", text="What happened here?", turn_id=f"t{number}")
            await client.until("speech.started")
            await client.send("cancel", turn_id=f"t{number}")
            await client.until("turn.cancelled", turn_id=f"t{number}")
            await client.send("ping", id="x")
            assert not [item for item in await client.until("pong") if isinstance(item, protocol.AudioFrame)]

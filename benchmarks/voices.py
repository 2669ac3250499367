"""The cost of a voice beyond the engine's own call: time of a sentence, late timers, delay of the first sound.

    uv run --group engines benchmarks/voices.py

The engines are real, with tiny models that hum. These are fast, so that RFSN's own time shows.
"""

from __future__ import annotations

import asyncio
import logging
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rfsn_tts_espeak
from piper import PiperVoice, SynthesisConfig
from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP
from rfsn_tts_espeak.voice import Espeak
from rfsn_tts_kokoro import Settings as KokoroSettings
from rfsn_tts_kokoro.voice import KokoroVoice
from rfsn_tts_piper import Settings as PiperSettings
from rfsn_tts_piper.voice import Piper

from rfsn_core import protocol
from rfsn_core.contract.provider import Host
from rfsn_core.contract.speech import Voice, VoiceStyle
from rfsn_core.runtime.builder import SystemClock
from rfsn_core.testing import NPC, Served, plugin, served
from rfsn_core.testing.client import connected
from rfsn_core.testing.scripted import Tokens
from rfsn_core.testing.tiny import write_kokoro, write_piper
from rfsn_core.turn.audio_frames import frames

TEXT = "Nobody crosses tonight."
LOG = logging.getLogger("benchmark")


async def spoken(voice: Voice) -> float:
    start = time.perf_counter()
    async for _ in voice.speak(TEXT, VoiceStyle()):
        pass
    return time.perf_counter() - start


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[int(len(times) * share)] * 1000


async def overhead(name: str, voice: Voice, direct: Callable[[], object], count: int = 200) -> None:
    """Print the time that a sentence adds to the engine's own: one NPC alone, then a hundred at once."""
    engine, ours = [], []
    for _ in range(count):
        start = time.perf_counter()
        await asyncio.to_thread(direct)
        engine.append(time.perf_counter() - start)
        ours.append(await spoken(voice))
    alone = [mine - theirs for mine, theirs in zip(ours, engine, strict=True)]
    start = time.perf_counter()
    await asyncio.to_thread(lambda: [direct() for _ in range(100)])
    theirs = time.perf_counter() - start
    start = time.perf_counter()
    await asyncio.gather(*(spoken(voice) for _ in range(100)))
    crowd = (time.perf_counter() - start - theirs) / 100 * 1000
    print(
        f"{name:8} engine {percentile(engine, 0.5):5.1f} ms; rfsn adds p50 {percentile(alone, 0.5):5.2f} ms,"
        f" p95 {percentile(alone, 0.95):5.2f} ms; with 100 NPCs {crowd:5.2f} ms a sentence"
    )


async def lag(voices: list[Voice], seconds: float = 5) -> None:
    """Print how late the loop's timers are while engines run at full load."""
    late: list[float] = []
    stop = time.perf_counter() + seconds

    async def flat_out(voice: Voice) -> None:
        while time.perf_counter() < stop:
            await spoken(voice)

    async def tick() -> None:
        while (start := time.perf_counter()) < stop:
            await asyncio.sleep(0.005)
            late.append(time.perf_counter() - start - 0.005)

    await asyncio.gather(tick(), *(flat_out(voice) for voice in voices))
    print(
        f"\nthe loop's timers, while {len(voices)} voices run at full load: p50 {percentile(late, 0.5):.1f} ms late,"
        f" p99 {percentile(late, 0.99):.1f} ms (target: 10)"
    )


async def first_sound(voice: Espeak, count: int = 300) -> None:
    times = []
    for _ in range(count):
        start = time.perf_counter()
        async for speech in voice.speak(TEXT, VoiceStyle()):
            if speech.pcm:
                times.append(time.perf_counter() - start)
                break
    p50, p95 = statistics.median(times) * 1000, percentile(times, 0.95)
    print(f"\nespeak, to its first sound: p50 {p50:.2f} ms, p95 {p95:.2f} ms")


@asynccontextmanager
async def server() -> AsyncIterator[Served]:
    """Start a server with espeak-ng behind a real socket. All words of a turn come at once."""
    settings = {
        "server": {"max_turns": 10_000, "messages_per_second": 10_000, "outbox_audio": 100_000},
        "speech": {"provider": "espeak", "cache_mb": 0},
        "operations": {"log_level": "error"},
    }
    words = [f"{TEXT} ", "The river rose in the night, and the ferry has not come back. ", "Ask at the tavern."]
    with tempfile.TemporaryDirectory() as folder:
        offered = plugin(rendering={"words": Tokens(words)})
        async with served(Path(folder), offered, ("tts_espeak", rfsn_tts_espeak), settings=settings) as running:
            yield running


async def crowd(npcs: int, per_socket: int = 50) -> None:
    """Print how many audio frames come too late when each sentence is played as soon as it begins."""
    slack: list[float] = []
    first: list[float] = []

    async def listen(address: str, name: int, count: int) -> None:
        async with connected(address) as client:
            begun: dict[tuple[int, int], tuple[float, float]] = {}  # (turn, sentence) → (began, seconds that came)
            said: dict[tuple[int, int], float] = {}
            for number in range(count):
                await client.send("turn", npc=NPC, text="What happened?", player=f"p{name} {number}")
            ends, numbers, rate = 0, dict[str, int](), 22050
            while ends < count:
                item = await client.receive()
                now = time.perf_counter()
                if isinstance(item, protocol.TurnStarted):
                    numbers[item.turn_id] = item.turn_no
                elif isinstance(item, protocol.Sentence):
                    said[numbers[item.turn_id], item.index] = now
                elif isinstance(item, protocol.AudioFrame) and item.pcm:
                    key = (item.turn_no, item.sentence)
                    if key not in begun:
                        begun[key] = (now, 0.0)
                        if item.sentence == 0:  # later sentences wait until the previous one is made
                            first.append(now - said[key])
                    began, came = begun[key]
                    slack.append(began + came - now)
                    begun[key] = (began, came + len(item.pcm) / 2 / rate)
                ends += isinstance(item, protocol.TurnFinished)

    async with server() as running:
        sockets = [min(per_socket, npcs - start) for start in range(0, npcs, per_socket)]
        await asyncio.gather(*(listen(running.ws, name, count) for name, count in enumerate(sockets)))
    late = sum(each < 0 for each in slack)
    p50, p95 = percentile(first, 0.5), percentile(first, 0.95)
    print(
        f"{npcs:4} NPCs at once, espeak, three sentences each: {late} of {len(slack)} frames came too late; from the"
        f" first sentence to its sound, at the client: p50 {p50:.1f} ms, p95 {p95:.1f} ms"
    )


def opus(seconds: int = 60) -> None:
    """Print the time that Opus takes and the bytes that it saves."""
    loud = np.random.default_rng(0).normal(0, 3000, seconds * 24000).astype("<i2").tobytes()
    encoder = frames("opus", 24000)
    begun = time.process_time()
    packets = [packet for at in range(0, len(loud), 9600) for packet in encoder.feed(loud[at : at + 9600])]
    cost = (time.process_time() - begun) / seconds
    print(
        f"\nOpus: {cost * 1000:.1f} ms of a processor for a second of sound,"
        f" {sum(map(len, packets)) / len(loud):.2f} of its bytes"
    )


async def silence(count: int = 100) -> None:
    """Print the time from a cancel to the last frame, at the client."""
    times = []
    async with server() as running, connected(running.ws) as client:
        for number in range(count):
            await client.send("turn", npc=NPC, text="What happened?", turn_id=f"t{number}")
            await client.until("speech.started", turn_id=f"t{number}")
            start = time.perf_counter()
            await client.send("cancel", turn_id=f"t{number}")
            await client.until("turn.cancelled", "turn.finished", "error")
            times.append(time.perf_counter() - start)
    p50, p95 = percentile(times, 0.5), percentile(times, 0.95)
    print(f"\na cancel silences the NPC, at the client: p50 {p50:.1f} ms, p95 {p95:.1f} ms (target: 50)")


async def measure(folder: Path) -> None:
    host = Host(folder, folder, LOG, SystemClock(), random.Random(1))
    write_kokoro(folder / "k.onnx", folder / "v.bin")
    write_piper(folder / "p.onnx", DEFAULT_PHONEME_ID_MAP)
    kokoro = KokoroVoice(KokoroSettings(model="k.onnx", voices="v.bin", threads=1), host)
    piper = Piper(PiperSettings(model="p.onnx"), host)
    espeak = Espeak("en", 165, LOG)
    await asyncio.gather(kokoro.start(), piper.start())
    await espeak.start()
    plain: Any = PiperVoice.load(str(folder / "p.onnx"), include_alignments=True)
    config = SynthesisConfig(normalize_audio=False)
    style = kokoro._style("af_heart")
    print("target: p50 1 ms, p95 5 ms with 100 NPCs")
    await overhead("kokoro", kokoro, lambda: kokoro._kokoro.create_timed(TEXT, style, 1.0, "en-us"))
    await overhead("piper", piper, lambda: list(plain.synthesize(TEXT, config, include_alignments=True)))
    await lag([kokoro, piper])
    await first_sound(espeak)
    for voice in (kokoro, piper, espeak):
        await voice.close()
    print()
    for npcs in (1, 100, 300):
        await crowd(npcs)
    await silence()
    opus()


def main() -> None:
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder)))


if __name__ == "__main__":
    main()

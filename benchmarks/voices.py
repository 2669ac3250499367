"""What our side of a voice costs: beyond the engine's own call, to the loop, and to the first sound.

    uv run --group engines benchmarks/voices.py

The engines are the real ones, on models made on the spot that hum: quick ones, so that what is ours shows.
"""

from __future__ import annotations

import asyncio
import logging
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from piper import PiperVoice, SynthesisConfig
from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP
from rfsn_tts_espeak.voice import Espeak
from rfsn_tts_kokoro import Settings as KokoroSettings
from rfsn_tts_kokoro.voice import KokoroVoice
from rfsn_tts_piper import Settings as PiperSettings
from rfsn_tts_piper.voice import Piper

from rfsn_core.providers import Host, Voice, VoiceStyle
from rfsn_core.runtime import SystemClock
from rfsn_core.testing.tiny import write_kokoro, write_piper

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
    """Alone, one after the other; then a hundred NPCs at once, as the time a sentence adds to the engine's own."""
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
        f"{name:8} engine {percentile(engine, 0.5):5.1f} ms; ours besides, p50 {percentile(alone, 0.5):5.2f} ms,"
        f" p95 {percentile(alone, 0.95):5.2f} ms; with 100 NPCs {crowd:5.2f} ms a sentence"
    )


async def lag(voices: list[Voice], seconds: float = 5) -> None:
    """How late the loop's timers are while engines run flat out."""
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
        f"\nthe loop's timers, while {len(voices)} voices run flat out: p50 {percentile(late, 0.5):.1f} ms late,"
        f" p99 {percentile(late, 0.99):.1f} ms (to hold: 10)"
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
    print("to hold: p50 1 ms, p95 5 ms with 100 NPCs")
    await overhead("kokoro", kokoro, lambda: kokoro._kokoro.create_timed(TEXT, style, 1.0, "en-us"))
    await overhead("piper", piper, lambda: list(plain.synthesize(TEXT, config, include_alignments=True)))
    await lag([kokoro, piper])
    await first_sound(espeak)
    for voice in (kokoro, piper, espeak):
        await voice.stop()


def main() -> None:
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder)))


if __name__ == "__main__":
    main()

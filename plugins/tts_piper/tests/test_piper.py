from __future__ import annotations

import asyncio
import logging
import random
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from rfsn_tts_piper import Settings
from rfsn_tts_piper.voice import Piper

from rfsn_core import EngineError, Host, Speech, VoiceStyle
from rfsn_core.testing.suites import VoiceSuite

engines = pytest.mark.engines
TEXT = "The river rose in the night and the ferry has not come back, so nobody crosses, not even Osk."
LOG = logging.getLogger("rfsn.test")


def write(path: Path, speakers: int = 1) -> str:
    from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

    from rfsn_core.testing.tiny import write_piper

    write_piper(path, DEFAULT_PHONEME_ID_MAP, speakers=speakers)
    return str(path)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("piper") / "one.onnx")


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("piper") / "three.onnx", 3)


def make(**settings: Any) -> Piper:
    return Piper(Settings(**settings), Host(Path(), Path(), LOG, random.Random(1)))


async def refused(**settings: Any) -> str:
    voice = make(**settings)
    with pytest.raises(EngineError) as caught:
        await voice.start()
    await voice.close()
    return str(caught.value)


async def say(voice: Piper, text: str = TEXT, /, **style: Any) -> list[Speech]:
    return [speech async for speech in voice.speak(text, VoiceStyle(**style))]


def sound(parts: list[Speech]) -> Any:
    return np.frombuffer(b"".join(part.pcm for part in parts), "<i2").astype(float)


async def test_files_that_are_not_there_are_told_with_the_command_that_fetches_them(tmp_path: Path) -> None:
    assert "piper.download_voices" in await refused(model=str(tmp_path / "p.onnx"))
    (tmp_path / "p.onnx").write_bytes(b"x")
    assert "p.onnx.json" in await refused(model=str(tmp_path / "p.onnx"))


async def test_without_the_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "piper", None)
    for name in ("p.onnx", "p.onnx.json"):
        (tmp_path / name).write_bytes(b'{"audio": {"sample_rate": 16000}}')
    assert "pip install" in await refused(model=str(tmp_path / "p.onnx"))


@engines
async def test_a_fallback_is_loaded_by_its_first_sentence(model: str) -> None:
    voice = make(model=model, load="first_sentence")
    await voice.start()
    assert voice._piper is None
    assert voice.sample_rate == 16000
    both = await asyncio.gather(say(voice), say(voice))  # at once: loaded once
    assert all(np.sqrt((sound(each) ** 2).mean()) > 100 for each in both)
    assert "speakers" in await voice.health()
    await voice.close()


async def test_a_description_that_describes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "v.onnx").write_bytes(b"x")
    for content in ("", "[]", "{}", '{"audio": {"sample_rate": "fast"}}'):
        (tmp_path / "v.onnx.json").write_text(content)
        assert "v.onnx.json does not describe" in await refused(model=str(tmp_path / "v.onnx"))


@engines
@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x09", b"[]", b"{}"])
async def test_files_that_are_something_else_are_told(tmp_path: Path, model: str, content: bytes) -> None:
    broken = tmp_path / "p.onnx"
    broken.write_bytes(content)
    settings = Path(f"{model}.json").read_bytes()  # noqa: ASYNC240
    (tmp_path / "p.onnx.json").write_bytes(settings)
    assert "voice of Piper" in await refused(model=str(broken))
    broken.write_bytes(Path(model).read_bytes())  # noqa: ASYNC240
    (tmp_path / "p.onnx.json").write_bytes(content)
    assert "voice of Piper" in await refused(model=str(broken))


@engines
class TestPiper(VoiceSuite):
    provider = "piper"
    settings: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def tiny(self, model: str) -> None:
        type(self).settings = {"model": model}


@engines
class TestPiperWithoutAlignments(VoiceSuite):
    provider = "piper"
    visemes = False
    settings: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def tiny(self, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "onnx", None)
        type(self).settings = {"model": model}


@engines
async def test_speakers_differ_and_an_unknown_one_is_told_once(several: str, caplog: pytest.LogCaptureFixture) -> None:
    voice = make(model=several, speaker="speaker1")
    await voice.start()
    loud = [float(np.abs(sound(await say(voice, voice=name))).max()) for name in ("speaker0", "", "2")]
    assert loud == sorted(loud)
    assert len(set(loud)) == 3
    for name in ("speeker0", "speeker0", "7"):
        assert np.abs(sound(await say(voice, voice=name))).max() == loud[1]
    assert len(caplog.messages) == 2
    assert "Nearest: speaker0" in caplog.messages[0]
    assert list(await voice.voices()) == ["speaker0", "speaker1", "speaker2"]
    await voice.close()
    assert "has no speaker 'nobody'" in await refused(model=several, speaker="nobody")


@engines
@pytest.mark.parametrize("text", ["", "…", "?!", "🐉", "مرحبا", "<speak>hi</speak>", "[[ x ]]", "x" * 10_000])
async def test_any_text_is_survived(model: str, text: str) -> None:
    voice = make(model=model)
    await voice.start()
    await say(voice, text)
    await voice.close()


@engines
async def test_a_long_sentence_sounds_before_it_is_whole_and_shapes_go_on(model: str) -> None:
    voice = make(model=model)
    await voice.start()
    parts = await say(voice)
    assert len(parts) >= 2
    border = len(parts[0].pcm) / 2 / voice.sample_rate * 1000
    assert parts[0].visemes
    assert parts[1].visemes
    assert parts[0].visemes[-1].end_ms <= border + 1
    assert parts[1].visemes[0].start_ms >= border - 1
    await voice.close()


@engines
@pytest.mark.parametrize("rate", [0.0001, 100.0])
async def test_any_rate_is_brought_within_bounds(model: str, rate: float) -> None:
    voice = make(model=model)
    await voice.start()
    assert 0.2 < len(sound(await say(voice, rate=rate))) / voice.sample_rate < 60
    await voice.close()


@engines
async def test_one_worker_serves_many_and_cancelling_frees_it(model: str) -> None:
    voice = make(model=model)
    await voice.start()
    tasks = [asyncio.create_task(say(voice)) for _ in range(50)]
    await asyncio.sleep(0.01)
    for task in tasks[:40]:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, list) and each for each in done[40:])
    assert "Piper with one.onnx, 16000 Hz, 1 speakers" in await voice.health()
    await voice.close()

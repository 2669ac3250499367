from __future__ import annotations

import asyncio
import json
import sys
import threading
from contextlib import aclosing
from pathlib import Path
from typing import Any, ClassVar

import pytest
from rfsn_llm_llamacpp import Settings
from rfsn_llm_llamacpp.renderer import LlamaCpp

from rfsn_core import ChatMessage, EngineError, Renderer, RenderOptions, ReplyTooLong, Usage
from rfsn_core.testing.suites import RendererSuite, generator, make_prompt, spoken

engines = pytest.mark.engines


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from rfsn_core.testing.tiny import write_gguf

    return write_gguf(tmp_path_factory.mktemp("models") / "tiny.gguf")


async def opening(path: Path) -> str:
    renderer = LlamaCpp(Settings(model=str(path)), path)
    with pytest.raises(EngineError) as caught:
        await renderer.start()
    await renderer.close()
    return str(caught.value)


async def test_a_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "there is no model at" in await opening(tmp_path / "nothing.gguf")
    assert "there is no model at" in await opening(tmp_path)


async def test_without_the_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF")
    assert "pip install xllamacpp" in await opening(path)


@engines
@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model" * 100])
async def test_a_file_that_is_no_model_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    assert "is no model that llama.cpp can load" in await opening(path)


@engines
class TestLlamaCpp(RendererSuite):
    provider = "llamacpp"
    settings: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def tiny(self, model: Path) -> None:
        type(self).settings = {"model": str(model), "context": 8192, "threads": 1, "max_tokens": 24}

    def test_it_is_the_same_again_with_the_same_seed(self, tmp_path: Path) -> None:
        async def body(renderer: Renderer) -> None:
            texts = [await spoken(renderer, make_prompt(seed=seed)) for seed in (1, 2, 1)]
            assert texts[0] == texts[2] != texts[1]

        self.run(tmp_path, body)

    def test_options_win_over_settings(self, tmp_path: Path) -> None:
        async def body(renderer: Renderer) -> None:
            usage: list[int | None] = []

            async def take() -> None:
                async for part in renderer.render(make_prompt(), RenderOptions(max_tokens=5)):
                    usage.extend([part.completion_tokens] if isinstance(part, Usage) else [])

            with pytest.raises(ReplyTooLong):
                await take()
            assert usage == [5]

        self.run(tmp_path, body)

    def test_closing_stops_the_model_before_its_next_token(self, tmp_path: Path) -> None:
        async def body(renderer: Any) -> None:
            long = RenderOptions(max_tokens=4096)
            async with aclosing(generator(renderer.render(make_prompt(), long))) as stream:
                await anext(stream)
            async with asyncio.timeout(2):  # 4,096 tokens would take longer
                assert (await spoken(renderer, make_prompt())).strip()

        self.run(tmp_path, body)

    def test_the_loop_goes_on_while_it_works(self, tmp_path: Path) -> None:
        async def body(renderer: Renderer) -> None:
            task = asyncio.create_task(spoken(renderer, make_prompt(), RenderOptions(max_tokens=500)))
            turns = 0
            while not task.done():
                await asyncio.sleep(0)
                turns += 1
            assert turns > 100
            assert threading.active_count() < 20

        self.run(tmp_path, body)

    def test_a_prompt_that_is_too_long_is_not_the_engines_fault(self, tmp_path: Path) -> None:
        async def body(renderer: Renderer) -> None:
            prompt = make_prompt(messages=(ChatMessage("user", "x" * 20_000),))
            with pytest.raises(EngineError) as caught:
                await spoken(renderer, prompt)
            assert not caught.value.engine_at_fault
            assert (await spoken(renderer, make_prompt())).strip()

        self.run(tmp_path, body)

    def test_the_grammar_leads_to_a_report(self, tmp_path: Path) -> None:
        type(self).settings = {**self.settings, "structured": True, "temperature": 2.0}

        async def body(renderer: Renderer) -> None:
            for seed in range(3):
                prompt = make_prompt(seed=seed, final_json=True)
                reply = await spoken(renderer, prompt, RenderOptions(max_tokens=2000))
                words, _, report = reply.partition("FINAL_JSON ")
                assert words.strip()
                assert json.loads(report).keys() == {"action", "tone", "claims"}

        self.run(tmp_path, body)

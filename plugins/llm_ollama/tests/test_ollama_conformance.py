from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import rfsn_llm_ollama

from rfsn_core import TurnFinished
from rfsn_core.testing import kernel, make_world, turn
from rfsn_core.testing.engine import StandIn
from rfsn_core.testing.remote import RemoteRendererSuite


class TestOllama(RemoteRendererSuite):
    provider = "ollama"

    def reach(self, url: str) -> dict[str, Any]:
        return {"url": url, "model": "tiny", "preload": False}


async def test_a_model_that_loads_slowly_is_waited_for_while_the_fallback_speaks(tmp_path: Path) -> None:
    make_world(tmp_path)
    with StandIn(["Well met."], loading=0.4) as engine:
        settings = {
            "rendering": {"provider": "ollama", "ollama": {"url": engine.url, "model": "tiny"}, "attempts": 1},
            "operations": {"first_token_timeout": 0.1},
        }
        async with kernel(tmp_path, ("llm_ollama", rfsn_llm_ollama), settings=settings) as it:
            engine.loaded = False
            first = await turn(it)
            assert isinstance(first[-1], TurnFinished)
            assert first[-1].renderer == "scripted"
            async with asyncio.timeout(5):
                while not engine.loaded:  # noqa: ASYNC110  it runs in another thread
                    await asyncio.sleep(0.02)
            second = await turn(it)
            assert isinstance(second[-1], TurnFinished)
            assert second[-1].renderer == "ollama"
            assert second[-1].text == "Well met."

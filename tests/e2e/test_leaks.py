"""What an engine or a settings file says in its own words goes to the log, not to clients."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import httpx
import pytest
import rfsn_llm_vllm

from rfsn_core import protocol
from rfsn_core.testing import make_world, served
from rfsn_core.testing.client import connected
from rfsn_core.testing.engine import Fault, StandIn

PLUGIN = ("llm_vllm", rfsn_llm_vllm)
LEAK = "invalid key sk-live-ABCDEFG for org, see http://10.0.0.5/admin?token=abc"


def vllm(engine: StandIn) -> str:
    return f'[rendering]\nprovider = "vllm"\nbreaker_failures = 1\nattempts = 1\nvllm.url = "{engine.url}/v1"\n'


@pytest.mark.parametrize("kind", ["refuse", "error"])
async def test_an_engines_error_is_told_in_our_words(tmp_path: Path, kind: Literal["refuse", "error"]) -> None:
    with StandIn(["Hello."]) as engine:
        engine.always = Fault(kind, status=401, message=LEAK)
        make_world(tmp_path, vllm(engine))
        async with served(tmp_path, PLUGIN) as server, connected(server.ws) as client:
            got = await client.turn("smith")
            got += await client.turn("smith")  # the engine is left alone now, and the reason is told again
            async with httpx.AsyncClient(base_url=server.http) as http:
                told = str(got) + (await http.get("/api/health")).text
    assert any(isinstance(item, protocol.RendererSwitched) for item in got)
    assert any(isinstance(item, protocol.EngineChanged) for item in got)
    for part in ("sk-live", "10.0.0.5", "token=abc", str(engine.url)):
        assert part not in told


async def test_a_models_report_passes_the_gates(tmp_path: Path) -> None:
    report = (
        '\nFINAL_JSON {"action": "greet", "tone": "kill yourself now",'
        ' "claims": ["The ferry is late.", "You should go kill yourself now."]}'
    )
    with StandIn(["Good evening.", report]) as engine:
        make_world(tmp_path, vllm(engine))
        async with served(tmp_path, PLUGIN) as server, connected(server.ws) as client:
            got = await client.turn("smith", "Hello!")
    finished = got[-1]
    assert isinstance(finished, protocol.TurnFinished)
    assert finished.trace.report is not None
    assert finished.trace.report.claims == ["The ferry is late."]
    assert finished.trace.report.tone == ""


async def test_a_refused_settings_file_is_told_without_its_values_and_its_place_on_the_disk(tmp_path: Path) -> None:
    make_world(tmp_path)
    async with served(tmp_path) as server, connected(server.ws) as client:
        (tmp_path / "rfsn.toml").write_text('[server]\nkey = 77777777\n[rendering]\nprovider = "nosuch"\n', "utf-8")
        (rejected,) = await client.until("config.rejected")
        assert isinstance(rejected, protocol.ConfigRejected)
        told = "\n".join(rejected.problems)
        assert "rfsn.toml" in told
        assert "server.key" in told
        assert "77777777" not in told
        assert str(tmp_path) not in told

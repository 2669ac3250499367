"""Proxies of the environment, and keys that no header can hold."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from rfsn_core.contract.errors import EngineError
from rfsn_core.kit.http import Remote, is_private
from rfsn_core.testing.engine import Fault, StandIn


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost:11434", True),
        ("http://[::1]:80", True),
        ("http://192.168.1.7:8000", True),
        ("http://ollama:11434", True),
        ("http://box.local", True),
        ("https://api.openai.com/v1", False),
        ("https://8.8.8.8", False),
    ],
)
def test_private_addresses(url: str, private: bool) -> None:
    assert is_private(url) is private


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9", "nonsense"])
async def test_an_engine_on_this_machine_is_not_asked_through_a_proxy(
    variable: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, proxy)
    with StandIn() as engine:
        remote = Remote(engine.url, "engine", connect_timeout=5)
        assert await remote.ask("GET", "/api/version") == {"version": "0.5.0"}
        await remote.close()


async def test_a_proxy_that_cannot_be_used_does_not_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://127.0.0.1:9")
    monkeypatch.setattr("rfsn_core.kit.http._reported", set())
    with capture_logs() as told:
        for _ in range(3):
            await Remote("https://api.example.org", "engine", connect_timeout=5).close()
    assert [entry["event"] for entry in told] == ["proxy.unusable"]


async def test_white_space_around_a_key_is_no_part_of_it() -> None:
    with StandIn(key="sk-SECRET") as engine:
        remote = Remote(engine.url, "engine", connect_timeout=5, headers={"Authorization": "Bearer sk-SECRET \n"})
        assert await remote.ask("GET", "/api/version")
        await remote.close()


async def test_no_error_has_the_key_in_it() -> None:
    with pytest.raises(EngineError) as wrong:
        Remote("http://127.0.0.1:9", "engine", connect_timeout=5, headers={"Authorization": "Bearer sk-SECR\u201dET"})
    assert "SECR" not in str(wrong.value)
    with StandIn() as engine:
        engine.faults.append(Fault("refuse", status=401, message="Incorrect API key: sk-VERYSECRET"))
        remote = Remote(engine.url, "engine", connect_timeout=5, headers={"Authorization": "Bearer sk-VERYSECRET"})
        with pytest.raises(EngineError) as echoed:
            async with remote.stream("/v1/chat/completions", {"model": "tiny"}):
                pass
        assert "VERYSECRET" not in str(echoed.value)
        await remote.close()

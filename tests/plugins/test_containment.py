"""Plugins that try to end the server, keep it from running, or come in by another door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from pydantic import BaseModel, field_validator
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from structlog.testing import capture_logs

from rfsn_core import protocol
from rfsn_core.contract.errors import ConfigError, PluginError
from rfsn_core.contract.gating import Utterance, Verdict
from rfsn_core.contract.provider import Provider
from rfsn_core.plugins.discovery import discover
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.testing import kernel, kinds, make_world, plugin, served, turn
from rfsn_core.testing.client import connected, kind
from rfsn_core.testing.scripted import Tokens


class Quit(BaseException):
    """What no `except Exception` catches."""


ENDINGS = [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), Quit()]


def raising(error: BaseException, *names: str) -> Callable[..., Any]:
    """A hook that raises; `names` are its parameters."""
    scope: dict[str, Any] = {"error": error}
    exec(f"def hook({', '.join(names)}):\n    raise error", scope)
    hook: Callable[..., Any] = scope["hook"]
    return hook


@pytest.mark.parametrize("error", ENDINGS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("hook", "names"),
    [("rfsn_event", ["event"]), ("rfsn_candidates", ["situation"]), ("rfsn_prompt", ["prompt"]),
     ("rfsn_started", ["info"]), ("rfsn_stopping", ["info"])],
)  # fmt: skip
async def test_no_hook_ends_the_server_or_a_turn(
    tmp_path: Path, error: BaseException, hook: str, names: list[str]
) -> None:
    async with served(tmp_path, plugin({hook: raising(error, *names)})) as server, connected(server.ws) as client:
        assert kind((await client.turn("smith"))[-1]) == "turn.finished"
        assert kind((await client.turn("smith"))[-1]) == "turn.finished"


async def test_an_async_hook_that_ends_the_process_is_counted_and_named(tmp_path: Path) -> None:
    async def started(info: Any) -> None:
        raise SystemExit(1)

    with capture_logs() as logs:
        async with kernel(tmp_path, plugin({"rfsn_started": started})):
            pass
    (entry,) = [entry for entry in logs if entry["event"] == "plugin.hook_failed"]
    assert (entry["hook"], entry["plugin"][:6]) == ("rfsn_started", "given_")


@pytest.mark.parametrize("error", ENDINGS, ids=lambda error: type(error).__name__)
async def test_a_provider_that_ends_the_process_when_it_opens_is_named(tmp_path: Path, error: BaseException) -> None:
    @asynccontextmanager
    async def opening(settings: Any, host: Any) -> AsyncIterator[Any]:
        raise error
        yield

    class Empty(BaseModel):
        pass

    offer = plugin(rendering={"bad": Provider("bad", Empty, opening)})
    with pytest.raises(PluginError, match=r"rendering:bad \(plugin given_.* did not open"):
        async with kernel(tmp_path, offer):
            pass


@pytest.mark.parametrize("error", ENDINGS, ids=lambda error: type(error).__name__)
async def test_an_offer_or_a_validator_that_ends_the_process_is_reported(tmp_path: Path, error: BaseException) -> None:
    found = discover([plugin({"rfsn_actions": raising(error)})], installed=False)
    assert found.found[-1].state == "failed"

    plugins = discover([plugin({"rfsn_routes": raising(error)})], installed=False)
    assert plugins.problems == []  # nobody asked for routes
    assert plugins.offers("rfsn_routes") == []
    (problem,) = plugins.problems
    assert problem.startswith("rfsn_routes of plugin given_")
    assert plugins.found[-1].state == "loaded"

    class Settings(BaseModel):
        value: int = 0

        @field_validator("value", mode="before")
        @classmethod
        def _end(cls, value: Any) -> Any:
            raise error

    make_world(tmp_path, '[rendering]\nprovider = "bad"\n[rendering.bad]\nvalue = 1\n')
    offer = plugin(rendering={"bad": Provider("bad", Settings, lambda settings, host: None)})  # type: ignore[arg-type,return-value]
    with pytest.raises(ConfigError, match=r"line 3: rendering.bad: plugin given_"):
        await Runtimes(tmp_path, discover([offer], installed=False)).check()


def routes() -> Iterator[BaseRoute]:
    async def socket(websocket: Any) -> None:
        await websocket.accept()
        await websocket.send_text("in")

    async def ends(request: Any) -> Any:
        raise SystemExit(1)

    async def fine(request: Any) -> Any:
        return PlainTextResponse("fine")

    yield WebSocketRoute("/sock", socket)
    yield Route("/end", ends)
    yield Route("/fine", fine)


async def test_a_plugins_websocket_has_the_same_door_as_its_routes(tmp_path: Path) -> None:
    make_world(tmp_path, '[server]\nkey = "sekret"\n')
    given = ("p", plugin({"rfsn_routes": routes})[1])
    async with served(tmp_path, given) as server:
        address = server.ws.replace("/v1/ws", "/plugins/p/sock")
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with websockets.connect(address):
                pass
        assert refused.value.response.status_code == 401
        foreign = {"Authorization": "Bearer sekret", "Origin": "http://evil.example"}
        async with websockets.connect(address, additional_headers=foreign) as socket:
            with pytest.raises(websockets.ConnectionClosed, match="4403"):
                await socket.recv()
        async with websockets.connect(address, additional_headers={"Authorization": "Bearer sekret"}) as socket:
            assert await socket.recv() == "in"


async def test_a_route_that_ends_the_process_answers_500_and_all_routes_of_a_plugin_are_served(tmp_path: Path) -> None:
    async with served(tmp_path, ("p", plugin({"rfsn_routes": routes})[1])) as server, httpx.AsyncClient() as http:
        assert (await http.get(f"{server.http}/plugins/p/end")).status_code == 500
        assert (await http.get(f"{server.http}/plugins/p/fine")).text == "fine"


class Rewriting:
    """A gate that replaces words."""

    def __init__(self, old: str, new: str) -> None:
        self._old, self._new = old, new

    async def check(self, utterance: Utterance) -> Verdict:
        text = utterance.text.replace(self._old, self._new)
        return Verdict("allow") if text == utterance.text else Verdict("rewrite", (f"hide_{self._old}",), text)


class Blocking:
    """A gate that blocks a word."""

    def __init__(self, word: str) -> None:
        self._word = word

    async def check(self, utterance: Utterance) -> Verdict:
        return Verdict("block", ("word",)) if self._word in utterance.text else Verdict("allow")


async def said(folder: Path, **gates: Any) -> str:
    given = plugin(gating=gates, rendering={"t": Tokens(["My friend Bob sold Alice a horse."])})
    async with kernel(folder, given) as running:
        got = await turn(running)
    last = got[-1]
    assert isinstance(last, protocol.TurnFinished), kinds(got)
    return last.text


async def test_each_gate_sees_what_the_others_rewrote(tmp_path: Path) -> None:
    hide_bob, hide_alice = Rewriting("Bob", "[B]"), Rewriting("Alice", "[A]")
    assert await said(tmp_path, bob=hide_bob, alice=hide_alice) == "My friend [B] sold [A] a horse."


@pytest.mark.parametrize("strict_first", [True, False])
async def test_a_rewriting_that_another_gate_would_block_is_not_said(tmp_path: Path, strict_first: bool) -> None:
    gates = {"strict": Blocking("demon"), "rewriting": Rewriting("Bob", "the demon")}
    order = list(gates.items()) if strict_first else list(gates.items())[::-1]
    assert await said(tmp_path, **dict(order)) == "The forge is loud today."


async def test_gates_that_undo_each_other_block(tmp_path: Path) -> None:
    assert await said(tmp_path, a=Rewriting("Bob", "Alf"), b=Rewriting("Alf", "Bob")) == "The forge is loud today."


@pytest.mark.parametrize(
    "verdict",
    [Verdict("rewrite", ("x",), None), Verdict("rewrite", ("x",), " "), Verdict("block", 5), Verdict("allow", [1]),  # type: ignore[arg-type]
     Verdict([], ("x",)), 5, {"kind": "allow"}],  # type: ignore[arg-type]
)  # fmt: skip
async def test_what_is_no_verdict_blocks(tmp_path: Path, verdict: Any) -> None:
    class Wrong:
        async def check(self, utterance: Utterance) -> Any:
            return verdict if utterance.side == "npc" else Verdict("allow")

    assert await said(tmp_path, wrong=Wrong()) == "The forge is loud today."


PLUGIN = """
import time
from rfsn_core.contract.hooks import hookimpl

@hookimpl
def rfsn_event(event):
    if type(event).__name__ == "TurnStarted":
        time.sleep(0.9)
"""


async def test_a_plugin_that_keeps_the_server_from_running_is_named(tmp_path: Path) -> None:
    make_world(tmp_path)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "sleepy.py").write_text(PLUGIN, "utf-8")
    with capture_logs() as logs:
        async with served(tmp_path) as server, connected(server.ws) as client:
            assert kind((await client.turn("smith"))[-1]) == "turn.finished"
            async with asyncio.timeout(5):
                while not (slow := [entry for entry in logs if entry.get("at")]):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
    assert (slow[0]["event"], slow[0]["plugin"], slow[0]["hook"]) == ("plugin.slow", "sleepy", "rfsn_event")
    assert slow[0]["at"] == "sleepy.py:8"
    hooks = [entry for entry in logs if entry["event"] == "plugin.slow" and entry["hook"] == "rfsn_event"]
    assert all(entry["ms"] > 250 for entry in hooks)

"""Dialects: routes at the root, ports of their own, and what is told when two want the same."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import Field
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from rfsn_core import (
    AudioFrame,
    ConfigError,
    Dialect,
    DialectHost,
    DialectSettings,
    GameEvent,
    Hello,
    PlayerTurn,
    Reward,
    Sentence,
    TurnFinished,
    Undo,
    UnknownNpc,
    UserError,
)  # fmt: skip
from rfsn_core.testing.isolated import plugin, served
from rfsn_core.testing.scripted import Tokens, Tone


class ParrotSettings(DialectSettings):
    path: str = Field("/parrot", description="Where it is served.")


@asynccontextmanager
async def parrot(settings: ParrotSettings, host: DialectHost) -> AsyncIterator[list[Route]]:
    async def say(request: Request) -> Response:
        turn = host.begin(PlayerTurn(npc="smith", text=(await request.body()).decode()), Hello(audio=True))
        sentences, sound, decision = [], b"", ""
        async for item in turn:
            if isinstance(item, Sentence):
                sentences.append(item.text)
            elif isinstance(item, AudioFrame):
                sound += item.pcm
            elif isinstance(item, TurnFinished):
                decision = item.decision_id
        await host.reward(Reward(decision_id=decision, value=1.0))
        state = await host.event(GameEvent(npc="smith", kind="gift"))
        undone = await host.undo(Undo(npc="smith"))  # an event came after it
        return PlainTextResponse(f"{' '.join(sentences)} {len(sound) > 1000} {state.affinity > 0} {undone}")

    yield [Route(settings.path, say, methods=["POST"])]


def offering(*names: str) -> tuple[str, Any]:
    return plugin({"rfsn_dialects": lambda: [Dialect(name, ParrotSettings, parrot) for name in names]})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


WORDS = plugin(rendering={"tokens": Tokens(("Hello. ", "Mind the step."))}, speech={"tone": Tone()})


async def test_a_dialect_does_what_a_client_can(tmp_path: Path) -> None:
    async with served(tmp_path, WORDS, offering("parrot")) as at, httpx.AsyncClient() as http:
        answer = await http.post(f"{at.http}/parrot", content="Good evening")
        assert answer.text == "Hello. Mind the step. True True False"


async def test_its_own_port_asks_for_no_key_but_keeps_web_pages_out(tmp_path: Path) -> None:
    port = free_port()
    settings = {"server": {"key": "secret"}, "dialects": {"parrot": {"port": port}}}
    async with served(tmp_path, WORDS, offering("parrot"), settings=settings) as at, httpx.AsyncClient() as http:
        own = f"http://127.0.0.1:{port}/parrot"
        assert (await http.post(own, content="Hi", headers={"Authorization": "Basic dXNlcjpwYXNz"})).status_code == 200
        assert (await http.post(own, content="Hi", headers={"Origin": "https://evil.example"})).status_code == 403
        assert (await http.post(own, content="Hi", headers={"Host": "evil.example"})).status_code == 421
        assert (await http.post(f"{at.http}/parrot", content="Hi")).status_code == 401  # not on the server's port
    with pytest.raises(httpx.ConnectError):
        await httpx.AsyncClient().post(own, content="Hi")


async def refused(folder: Path, *plugins: Any, settings: dict[str, Any]) -> str:
    with pytest.raises(UserError) as error:
        async with served(folder, *plugins, settings=settings):
            pass
    return str(error.value)


async def test_collisions_are_told_at_the_start(tmp_path: Path) -> None:
    both = await refused(tmp_path, offering("one", "two"), settings={})
    assert "dialect 'two'" in both
    assert "dialect 'one'" in both
    assert "POST /parrot" in both
    core = await refused(tmp_path, offering("one"), settings={"dialects": {"one": {"path": "/chat"}}})
    assert "the server both claim POST /chat" in core
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = await refused(tmp_path, offering("one"), settings={"dialects": {"one": {"port": port}}})
        assert f"dialect 'one': port {port} is taken" in taken


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"parrot": {"pth": "/x"}}, "dialects.parrot.pth: no such setting; did you mean 'path'?"),
        ({"parot": {}}, "dialects.parot: dialect 'parot' does not exist; did you mean 'parrot'?"),
        ({"mantella": {}}, "dialect 'mantella' is not installed: pip install rfsn-dialect-mantella"),
    ],
)
async def test_a_mistake_in_the_settings_names_the_key(tmp_path: Path, table: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        async with served(tmp_path, offering("parrot"), settings={"dialects": table}):
            pass
    assert problem in str(error.value)


async def test_a_dialect_can_be_switched_off(tmp_path: Path) -> None:
    settings = {"dialects": {"parrot": {"enabled": False}}}
    async with served(tmp_path, offering("parrot"), settings=settings) as at, httpx.AsyncClient() as http:
        assert (await http.post(f"{at.http}/parrot", content="Hi")).status_code == 404


async def test_an_unknown_npc_is_an_error_of_the_dialects_call(tmp_path: Path) -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def asking(settings: ParrotSettings, host: DialectHost) -> AsyncIterator[list[Route]]:
        with pytest.raises(UnknownNpc):
            host.npc("nobody")
        seen.extend(npc.id for npc in host.npcs())
        yield []

    given = plugin({"rfsn_dialects": lambda: [Dialect("asking", ParrotSettings, asking)]})
    async with served(tmp_path, given):
        assert seen == ["smith"]


async def test_a_page_in_the_settings_may_read_answers(tmp_path: Path) -> None:
    page = "http://localhost:5173"
    asks = {"Origin": page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    async with served(tmp_path, settings={"server": {"origins": [page]}}) as at, httpx.AsyncClient() as http:
        preflight = await http.options(f"{at.http}/chat", headers=asks)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == page
        assert preflight.headers["access-control-allow-headers"] == "content-type"
        answer = await http.post(
            f"{at.http}/chat", json={"npc_name": "smith", "user_input": "Hi"}, headers={"Origin": page}
        )
        assert answer.headers["access-control-allow-origin"] == page
        foreign = await http.options(f"{at.http}/chat", headers=asks | {"Origin": "https://evil.example"})
        assert foreign.status_code == 403
        assert "access-control-allow-origin" not in foreign.headers

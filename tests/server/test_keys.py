"""Keys, roles and sessions: what each role may do on each route, and that changes apply while the server runs."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import httpx
import msgspec
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Mount, Route
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rfsn_core import protocol
from rfsn_core.contract.errors import UserError
from rfsn_core.server.app import serving
from rfsn_core.server.authenticator import Bucket
from rfsn_core.server.keys import KeyFile, key_folder
from rfsn_core.server.roles import NEEDED, PUBLIC, ROLES, Role, allows
from rfsn_core.settings.origins import check_origins, is_listed
from rfsn_core.testing import Served, make_world, plugin, served
from rfsn_core.testing.client import connected
from rfsn_core.testing.isolated import NPC, _runtimes


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    """The keys of the world `tmp_path / "world"`."""
    world = make_world(tmp_path / "world")
    return KeyFile(key_folder(world, world / ".rfsn"))


@pytest.fixture
def keys(file: KeyFile) -> dict[str, str]:
    return {role: file.create(role, role)[1] for role in ROLES}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


@asynccontextmanager
async def asking(tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[Served, httpx.AsyncClient]]:
    async with (
        served(tmp_path / "world", settings=settings) as server,
        httpx.AsyncClient(base_url=server.http) as http,
    ):
        yield server, http


def requests_of(routes: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Yield (method, path template) of every HTTP route."""
    for route in routes:
        if isinstance(route, Route):
            yield from ((method, route.path) for method in (route.methods or ()) if method != "HEAD")


async def test_every_route_with_every_role(tmp_path: Path, keys: dict[str, str]) -> None:
    """Nothing but 401 and 403 is told to a key that may not; with one that may, anything else."""
    offering = plugin({"rfsn_routes": lambda: [Route("/x", lambda _: PlainTextResponse("x"))]})
    runtimes = _runtimes(tmp_path / "world", [offering], None)
    async with serving(runtimes) as app:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        table = list(requests_of(app.routes))
        assert {key.split()[1] for key in NEEDED if not key.startswith("WS")} <= {path for _, path in table}
        mounts = [route.path for route in app.routes if isinstance(route, Mount) and route.path.startswith("/plugins")]
        table += [("GET", f"{mount}/x") for mount in mounts]
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            for method, template in table:
                path = re.sub(r"\{[^}]*\}", "nothing", template)
                if path.startswith("/api/memory/restore") or path.startswith("/api/memory/rebuild"):
                    continue  # the same rule as its neighbours, and slow
                public = template in PUBLIC or f"{method} {template}" in PUBLIC
                needed: Role = NEEDED.get(f"{method} {template}", "operator")
                for role in ("", *ROLES):
                    answer = await http.request(method, path, headers=bearer(keys.get(role, "")), json=[])
                    may = public or (role and allows(role, needed))  # type: ignore[arg-type]
                    refused = answer.status_code in (401, 403) and "a key is needed" in answer.text
                    forbidden = answer.status_code == 403 and "needs a key of the role" in answer.text
                    assert (refused or forbidden) is not bool(may), (method, template, role, answer.text)
                    assert refused is (not role and not public), (method, template, role, answer.text)


async def test_every_message_with_every_role(tmp_path: Path, keys: dict[str, str]) -> None:
    """All messages belong to play, which every role includes; without a key there is no connection to send them on."""
    async with asking(tmp_path) as (server, _):
        for role in ROLES:
            async with connected(server.ws, additional_headers=bearer(keys[role])) as client:
                for kind in get_args(protocol.ClientMessage):
                    await client.socket.send(msgspec.json.encode({"type": kind.__struct_config__.tag}).decode())
                    await client.send("ping", id="after")
                    for item in await client.until("pong"):
                        assert getattr(item, "code", "") not in ("refused", "internal"), (role, kind)
        for path, who, status in (
            ("/v1/ws", "", 401), ("/ws/metrics", "game", 403), ("/ws/metrics", "", 401), ("/ws/metrics", "designer", 0),
        ):  # fmt: skip
            address = server.ws.replace("/v1/ws", path)
            headers = bearer(keys.get(who, ""))
            opening = connect(address, subprotocols=["rfsn.v1"], additional_headers=headers)  # type: ignore[list-item]
            if status:
                with pytest.raises(InvalidStatus) as refused:
                    await opening
                assert refused.value.response.status_code == status
            else:
                async with opening:
                    pass


async def test_a_key_is_made_exchanged_and_revoked_while_the_server_runs(tmp_path: Path, file: KeyFile) -> None:
    async with asking(tmp_path) as (server, http):
        assert (await http.get("/api/learning")).status_code == 200  # this machine, and no key yet
        key, text = file.create("a tool", "designer")
        assert text not in file.path.read_text("utf-8")
        assert os.name == "nt" or file.path.stat().st_mode & 0o077 == 0
        assert (await http.get("/api/learning")).status_code == 401
        assert (await http.get("/api/learning", headers=bearer(text))).status_code == 200
        async with connected(server.ws, additional_headers=bearer(text)) as client:
            _, new = file.rotate(key.id, grace=60)
            for valid in (text, new):
                assert (await http.get("/api/learning", headers=bearer(valid))).status_code == 200
            file.revoke(key.id)
            with pytest.raises(ConnectionClosed) as closed:
                await client.until("never")
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4401
            assert "revoked" in closed.value.rcvd.reason
        assert (await http.get("/api/learning", headers=bearer(new))).status_code == 401
        file.path.unlink()
        assert (await http.get("/api/learning")).status_code == 401  # protection stays until a restart


async def test_expiry_limit_and_last_use(tmp_path: Path, file: KeyFile) -> None:
    _, dead = file.create("old", "admin", days=1e-9)
    key, text = file.create("slow", "designer", rate=6)
    async with asking(tmp_path) as (_, http):
        assert (await http.get("/api/learning", headers=bearer(dead))).status_code == 401
        assert (await http.get("/api/learning", headers=bearer(text))).status_code == 200
        limited = await http.get("/api/learning", headers=bearer(text))
        assert limited.status_code == 429
        assert 1 <= int(limited.headers["retry-after"]) <= 11
        assert limited.json()["error"]["code"] == "rate_limited"
    assert file.last_uses()[key.id] > key.created


def test_a_bucket_fills_again() -> None:
    bucket = Bucket(600)
    assert [bucket.wait() for _ in range(100)] == [0.0] * 100
    assert 0 < bucket.wait() <= 0.1


async def test_a_browser_enters_the_key_once(tmp_path: Path, keys: dict[str, str]) -> None:
    async with asking(tmp_path) as (server, http):
        assert (await http.get("/api/session")).json() == {"key_needed": True, "role": None}
        assert (await http.post("/api/session", json={"key": "rfsn_x_y"})).status_code == 401
        answer = await http.post("/api/session", json={"key": f" {keys['designer']}\n"})
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert keys["designer"] not in cookie
        assert (await http.get("/api/session")).json()["role"] == "designer"
        assert (await http.get("/api/learning")).status_code == 200
        assert (await http.post("/api/memory/backups")).status_code == 403
        value = answer.cookies[f"rfsn_session_{server.port}"]
        header = {"Cookie": f"rfsn_session_{server.port}={value}"}
        async with connected(server.ws, additional_headers=header, origin=server.http):
            pass
        forged = value.replace("~1", "~2", 1)
        http.cookies.clear()
        cookies = {"Cookie": f"rfsn_session_{server.port}={forged}"}
        assert (await http.get("/api/learning", headers=cookies)).status_code == 401


async def test_a_session_counts_only_on_our_own_page_and_ends_with_its_key(tmp_path: Path, file: KeyFile) -> None:
    key, text = file.create("Ada", "admin")
    async with asking(tmp_path, server={"origins": ["https://game.example"]}) as (server, http):
        await http.post("/api/session", json={"key": text})
        assert (await http.get("/api/keys", headers={"Origin": server.http})).status_code == 200
        assert (await http.get("/api/keys", headers={"Origin": "https://game.example"})).status_code == 401
        file.rotate(key.id)
        assert (await http.get("/api/keys")).status_code == 401


async def test_keys_over_http(tmp_path: Path, keys: dict[str, str]) -> None:
    async with asking(tmp_path) as (_, http):
        http.headers.update(bearer(keys["admin"]))
        made = (await http.post("/api/keys", json={"name": "demo", "role": "game", "days": 1, "rate": 60})).json()
        listed = (await http.get("/api/keys")).json()["keys"]
        assert {entry["name"] for entry in listed} == {*ROLES, "demo"}
        assert "digest" not in str(listed)
        assert (await http.get("/api/health", headers=bearer(made["text"]))).status_code == 200
        new = (await http.post(f"/api/keys/{made['id']}/rotate", json={})).json()["text"]
        assert (await http.get("/api/health", headers=bearer(made["text"]))).status_code == 401
        assert (await http.get("/api/health", headers=bearer(new))).status_code == 200
        assert (await http.delete(f"/api/keys/{made['id']}")).status_code == 200
        assert (await http.delete(f"/api/keys/{made['id']}")).status_code == 404
        assert (await http.post("/api/keys", json={"name": "x", "role": "king"})).status_code == 400


async def test_a_page_sends_its_key_as_a_subprotocol_and_is_told_how_to_get_in(
    tmp_path: Path, keys: dict[str, str]
) -> None:
    async with asking(tmp_path, server={"origins": ["null", "chrome-extension://*"]}) as (server, http):
        encoded = base64.urlsafe_b64encode(keys["game"].encode()).decode().rstrip("=")
        offered: Any = ["rfsn.v1", f"rfsn.key.{encoded}"]
        async with connect(server.ws, subprotocols=offered, origin="null") as socket:  # type: ignore[arg-type]
            assert socket.subprotocol == "rfsn.v1"
        for origin, code, told in (
            ("chrome-extension://abc", 4401, "enter it on the page"),
            ("https://evil.example", 4403, "add it to server.origins"),
        ):
            async with connect(server.ws, subprotocols=offered[:1], origin=origin) as socket:  # type: ignore[arg-type]
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == code
            assert told in closed.value.rcvd.reason
        preflight = await http.options(
            "/chat", headers={"Origin": "null", "Access-Control-Request-Method": "POST",
                              "Access-Control-Request-Headers": "authorization"},
        )  # fmt: skip
        assert preflight.headers["access-control-allow-headers"] == "authorization"
        body = {"npc_name": NPC, "user_input": "Hello!"}
        answer = await http.post("/chat", json=body, headers={"Origin": "null", **bearer(keys["game"])})
        assert answer.headers["access-control-allow-origin"] == "null"
        assert answer.status_code == 200


async def test_no_key_in_an_address(tmp_path: Path, keys: dict[str, str]) -> None:
    async with asking(tmp_path) as (_, http):
        assert (await http.get("/api/health", params={"key": keys["admin"]})).status_code == 401


@pytest.mark.parametrize("pattern", ["*", "https://*", "http://*:*", "game.example", "https://game.example/path", ""])
def test_an_origin_that_is_none_or_lets_everybody_in_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"is not an origin|every web page"):
        check_origins([pattern])


def test_patterns_of_origins() -> None:
    assert is_listed("https://a.itch.zone", ["https://*.itch.zone"])
    assert not is_listed("https://itch.zone.evil.example", ["https://*.itch.zone"])
    assert not is_listed("null", ["chrome-extension://*"])
    assert not is_listed("https://gamexexample", ["https://game.example"])


def test_a_damaged_file_opens_nothing(file: KeyFile, keys: dict[str, str]) -> None:
    before = dict(file.keys)
    file.path.write_text("[{", "utf-8")
    assert file.keys == before
    assert file.unreadable
    with pytest.raises(UserError, match=r"keys\.json: cannot be read"):
        file.create("x", "game")


def test_the_commands(rfsn: Any) -> None:
    made = rfsn("keys", "create", "--name", "demo", "--role", "operator", "--days", "2")
    text = made.stdout.strip()
    assert re.fullmatch(r"rfsn_[0-9a-f]{8}_[\w-]{43}", text)
    identity = text.split("_")[1]
    listed = rfsn("keys", "list").stdout
    assert "operator" in listed
    assert text not in listed
    new = rfsn("keys", "rotate", identity).stdout.strip()
    assert new != text
    assert "revoked" in rfsn("keys", "revoke", identity).stderr
    assert "There are no keys" in rfsn("keys", "list").stdout


def test_the_first_key_is_made_for_a_server_that_others_can_reach(serve: Any) -> None:
    server = serve("--host", "0.0.0.0")
    said = "".join(server.said)
    text = re.search(r"^  (rfsn_\S+)$", said, re.MULTILINE)
    assert text, said
    assert httpx.get(f"{server.http}/api/keys").status_code == 401
    assert httpx.get(f"{server.http}/api/keys", headers=bearer(text[1])).json()["keys"][0]["role"] == "admin"
    server.stop()
    again = serve("--host", "0.0.0.0")
    assert "rfsn_" not in "".join(again.said)
    assert httpx.get(f"{again.http}/api/keys", headers=bearer(text[1])).status_code == 200

"""The key of a server that others can reach: no reload takes it away."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from rfsn_core.contract.errors import ConfigError
from rfsn_core.server.auth import bound_address
from rfsn_core.server.listener import listen
from rfsn_core.settings.protection import is_local
from rfsn_core.testing import make_world, served

KEY = '[server]\nkey = "sekret"\n'


async def status(address: str) -> int:
    async with httpx.AsyncClient() as http:
        return (await http.get(f"{address}/api/memory/export")).status_code


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no settings any more"),
        ("# nothing\n", "holds no settings any more"),
        (None, "does not exist any more"),
        ('[server]\nkey = ""\n', "line 2: server.key: is not set any more"),
        ("[server]\nport = 8765\n", "server.key: is not set any more"),
        ("[memory]\nrecent = 3\n", "server.key: is not set any more"),
    ],
)
async def test_a_reload_that_loses_the_key_is_refused(tmp_path: Path, text: str | None, problem: str) -> None:
    make_world(tmp_path, KEY)
    async with served(tmp_path) as server:
        assert await status(server.http) == 401
        file = tmp_path / "rfsn.toml"
        file.unlink() if text is None else file.write_text(text, "utf-8")
        with pytest.raises(ConfigError, match=problem):
            await server.runtimes.reload(["rfsn.toml"])
        assert await status(server.http) == 401


async def test_settings_that_vanish_at_once_are_an_accident_also_without_a_key(tmp_path: Path) -> None:
    make_world(tmp_path, "[memory]\nrecent = 3\n")
    async with served(tmp_path) as server:
        (tmp_path / "rfsn.toml").write_text("", "utf-8")
        with pytest.raises(ConfigError, match="holds no settings any more"):
            await server.runtimes.reload()
        assert server.runtimes.current.settings.memory.recent == 3


async def test_a_key_can_be_exchanged_and_a_file_renamed(tmp_path: Path) -> None:
    make_world(tmp_path, KEY)
    async with served(tmp_path) as server:
        (tmp_path / "rfsn.toml").unlink()
        (tmp_path / "rfsn.json").write_text('{"server": {"key": "other"}}', "utf-8")
        await server.runtimes.reload()
        assert server.runtimes.current.settings.server.key == "other"


async def test_what_counts_is_the_address_that_is_really_bound(tmp_path: Path) -> None:
    """The Host check of a server on loopback stays when `server.host` becomes another before the next start."""
    make_world(tmp_path, '[memory]\nrecent = 3\n[server]\nkey = "k"\n')
    async with served(tmp_path) as server, httpx.AsyncClient() as http:
        assert server.runtimes.bound == "127.0.0.1"
        (tmp_path / "rfsn.toml").write_text('[server]\nkey = "k"\nhost = "0.0.0.0"\n', "utf-8")
        await server.runtimes.reload()
        headers = {"Host": "rebound.example", "Authorization": "Bearer k"}
        assert (await http.get(f"{server.http}/api/memory/export", headers=headers)).status_code == 421


async def test_a_socket_that_others_can_reach_needs_a_key_whatever_the_settings_say(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as local, listen("0.0.0.0", 0) as every:
        address = bound_address([local, every])
    assert address == "0.0.0.0"
    async with served(tmp_path) as server:
        assert await status(server.http) == 200
        server.runtimes.bound = address
        assert await status(server.http) == 401


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("LOCALHOST", True), ("127.8.0.1", True), ("[::1]", True), ("", False), ("0.0.0.0", False),
     ("::", False), ("0x7f.1", False), ("0", False), ("localhost.evil.example", False)],
)  # fmt: skip
def test_what_is_this_machine(host: str, local: bool) -> None:
    assert is_local(host) is local

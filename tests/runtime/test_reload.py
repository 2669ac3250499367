"""Files change under a running server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rfsn_core import protocol
from rfsn_core.plugins.discovery import discover
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.server.app import http_server, serving
from rfsn_core.server.listener import listen
from rfsn_core.testing import NPC, make_world, plugin
from rfsn_core.testing.client import Client, connected, kind
from rfsn_core.testing.scripted import Memory, Tokens


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A client of a server whose settings come from its file."""
    async with _served(tmp_path) as address, connected(address) as client:
        yield client


@asynccontextmanager
async def _served(world: Path, **hooks: Callable[..., Any]) -> AsyncIterator[str]:
    make_world(world, '[rendering]\nprovider = "a"\n')
    offers = plugin(hooks, rendering={"a": Tokens(["Aye."]), "b": Tokens(["Bah."])}, storage={"memory": Memory()})
    found = discover([offers], world=world, installed=False)
    async with serving(Runtimes(world, found, overrides={"storage": {"provider": "memory"}})) as app:
        listener = listen("127.0.0.1", 0)
        server = http_server(app, Runtimes(world, found).load().server)
        task = asyncio.create_task(server.serve([listener]))
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/v1/ws"
        server.should_exit = True
        await task


async def said(client: Client) -> str:
    (*_, last) = await client.turn(NPC)
    assert isinstance(last, protocol.TurnFinished), last
    return last.text


async def test_an_edited_file_applies_from_the_next_turn_and_everyone_is_told(client: Client, tmp_path: Path) -> None:
    assert await said(client) == "Aye."
    (tmp_path / "rfsn.toml").write_text('[rendering]\nprovider = "b"\n', "utf-8")
    (changed,) = await client.until("config.changed")
    assert isinstance(changed, protocol.ConfigChanged)
    assert (changed.files, changed.reopened) == (["rfsn.toml"], ["rendering:b"])
    assert await said(client) == "Bah."


async def test_a_file_that_changes_while_the_server_starts_is_not_missed(tmp_path: Path) -> None:
    def started(info: Any) -> None:
        (tmp_path / "rfsn.toml").write_text('[rendering]\nprovider = "b"\n', "utf-8")

    async with _served(tmp_path, rfsn_started=started) as address, connected(address) as client:
        async with asyncio.timeout(5):
            while await said(client) == "Aye.":
                pass


async def test_an_editor_that_replaces_the_file_is_seen_every_time(client: Client, tmp_path: Path) -> None:
    for name in "bab":
        new = tmp_path / ".rfsn.toml.swp"
        new.write_text(f'[rendering]\nprovider = "{name}"\n', "utf-8")
        os.replace(new, tmp_path / "rfsn.toml")
        await client.until("config.changed")
        assert await said(client) == {"a": "Aye.", "b": "Bah."}[name]


async def test_a_broken_file_is_refused_with_the_reason_and_the_old_settings_stay(
    client: Client, tmp_path: Path
) -> None:
    (tmp_path / "rfsn.toml").write_text('[rendering]\nprovider = "c"\n', "utf-8")
    (rejected,) = await client.until("config.rejected")
    assert isinstance(rejected, protocol.ConfigRejected)
    assert "line 2: rendering.provider: no rendering provider 'c'" in rejected.problems[0]
    assert await said(client) == "Aye."
    (tmp_path / "rfsn.toml").write_text('[rendering]\nprovider = "b"\n', "utf-8")
    await client.until("config.changed")
    assert await said(client) == "Bah."


async def test_a_truncated_file_is_not_taken_for_an_empty_one(client: Client, tmp_path: Path) -> None:
    with (tmp_path / "rfsn.toml").open("w") as file:
        file.write("[rendering]\n")
        file.flush()
        await asyncio.sleep(0.05)
        file.write('provider = "b"\n')
    (first,) = await client.until("config.changed", "config.rejected")
    assert kind(first) == "config.changed"
    assert await said(client) == "Bah."


async def test_new_npcs_and_their_files_reload(client: Client, tmp_path: Path) -> None:
    (tmp_path / "npcs" / "cook.toml").write_text('name = "Ansa"\n', "utf-8")
    (changed,) = await client.until("config.changed")
    assert isinstance(changed, protocol.ConfigChanged)
    assert [name.replace("\\", "/") for name in changed.files] == ["npcs/cook.toml"]
    assert kind((await client.turn("cook"))[-1]) == "turn.finished"


async def test_what_the_server_writes_itself_is_not_a_change(client: Client, tmp_path: Path) -> None:
    (tmp_path / ".rfsn").mkdir(exist_ok=True)
    (tmp_path / ".rfsn" / "notes.json").write_text("{}", "utf-8")
    (tmp_path / "npcs" / "cook.toml").write_text('name = "Ansa"\n', "utf-8")
    (changed,) = await client.until("config.changed")
    assert isinstance(changed, protocol.ConfigChanged)
    assert len(changed.files) == 1


@pytest.mark.parametrize(
    ("name", "text", "effect"),
    [
        ("rfsn.toml", '[rendering]\nprovider = "a"\n[server]\nport = 9\n', "needs a restart: server.port"),
        ("rfsn.toml", '[rendering]\nprovider = "a"\n[memory]\nrecent = 3\n', "applied: memory.recent"),
        ("rfsn.toml", '# the same\n[rendering]\nprovider = "a"\n', "nothing changed"),
        ("npcs/cook.toml", 'name = "Ansa"', "applied: NPC 'cook' (Ansa) is new"),
        ("npcs/smith.toml", 'name = "Ansa"', "applied: NPC 'smith'"),
        ("npcs/other.toml", "", "applied: NPC 'other' (Other) is gone"),
        (
            "npcs/inn/cook.toml",
            'name = "Ansa"',
            "ignored: npcs/inn/cook.toml: folders inside 'npcs' are not read; move",
        ),
        ("npcs/cook.yaml", "name: Ansa", "ignored: npcs/cook.yaml: is not read; write it as TOML, in 'cook.toml'"),
        ("npcs/cook.toml.txt", "", "ignored: npcs/cook.toml.txt: is not read; call it 'cook.toml'"),
        ("plugins/extra.py", "x = 1", "needs a restart: plugins/extra.py: plugins are loaded at the start"),
        ("lore/town.md", "A town.", "applied: lore"),
        ("lines/all.toml", '[lines]\ngreet = "Hm."', "applied: lines"),
        ("rfsn.toml.txt", "", "ignored: rfsn.toml.txt: is not read; the settings are in 'rfsn.toml'"),
    ],
)
async def test_everyone_is_told_what_became_of_a_change(tmp_path: Path, name: str, text: str, effect: str) -> None:
    make_world(tmp_path, npcs={"smith": 'name = "Berit"', "other": 'name = "Other"'})
    for folder in ("npcs/inn", "plugins", "lore", "lines"):
        (tmp_path / folder).mkdir(exist_ok=True)
    async with _served(tmp_path) as address, connected(address) as client:
        if text or name.endswith(".txt"):
            (tmp_path / name).write_text(text, "utf-8")
        else:
            (tmp_path / name).unlink()
        (changed,) = await client.until("config.changed")
    assert isinstance(changed, protocol.ConfigChanged)
    assert [line for line in changed.effects if effect in line], changed.effects

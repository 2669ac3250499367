"""A world from somebody else: what it may not do until it is trusted."""

from __future__ import annotations

import importlib.util
import json
import os
import py_compile
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from click.testing import Result
from structlog.testing import capture_logs

from rfsn_core.contract.errors import UserError
from rfsn_core.plugins.discovery import discover
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.server.address import announced, read
from rfsn_core.server.keys import KeyFile
from rfsn_core.settings.folders import data_folder, example_world
from rfsn_core.settings.trust import TrustFile, judge, load_world
from rfsn_core.testing import kernel, make_world, served
from rfsn_core.world.files import read_world

Run = Callable[..., Result]
posix = pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")


@pytest.fixture(autouse=True)
def suspicious(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RFSN_TRUST")


@pytest.fixture
def world(tmp_path: Path) -> Path:
    return make_world(tmp_path / "downloaded")


@contextmanager
def listening() -> Iterator[tuple[int, list[str]]]:
    """A program that pretends to be a server and notes each Authorization header; yields its port and the notes."""
    seen: list[str] = []

    class Pretender(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization") or "")
            answer = json.dumps({"status": "ok", "version": "0.1.0"}).encode()
            self.send_response(200 if self.path == "/health" else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    pretender = ThreadingHTTPServer(("127.0.0.1", 0), Pretender)
    Thread(target=pretender.serve_forever, daemon=True).start()
    try:
        yield pretender.server_port, seen
    finally:
        pretender.shutdown()
        pretender.server_close()


def put_plugin(world: Path, text: str = "", name: str = "evil") -> Path:
    """Write a plugin file that leaves a trace when it runs; return the trace."""
    trace = world.parent / "trace"
    (world / "plugins").mkdir(exist_ok=True)
    code = f"with open({str(trace)!r}, 'a') as file:\n    file.write('ran')\nrfsn_commands = 1\n" if not text else text
    (world / "plugins" / f"{name}.py").write_text(code, "utf-8")
    return trace


@pytest.mark.parametrize(
    "command",
    [["config", "check"], ["config", "show"], ["plugins"], ["prompt", "smith", "Hello"], ["memory", "show", "smith"],
     ["say", "smith", "Hello"], ["decision", "x"], ["doctor"]],
)  # fmt: skip
def test_no_command_runs_a_strangers_code(rfsn: Run, world: Path, command: list[str]) -> None:
    trace = put_plugin(world)
    rfsn(*command, "--world", world)
    assert not trace.exists()


def test_help_and_unknown_commands_in_the_folder_run_no_code(
    rfsn: Run, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = put_plugin(world)
    monkeypatch.chdir(world)
    assert rfsn("--help").exit_code == 0
    assert rfsn("no_such_command").exit_code == 2
    assert not trace.exists()


def test_trusting_a_world_runs_its_plugins_until_they_change(rfsn: Run, world: Path) -> None:
    trace = put_plugin(world)
    shown = rfsn("trust", world, typed="n\n")
    assert "plugins/evil.py: is a program that runs with all your rights" in shown.output
    rfsn("plugins", "--world", world)
    assert not trace.exists()
    assert rfsn("trust", world, "--yes").exit_code == 0
    rfsn("plugins", "--world", world)
    assert trace.read_text() == "ran"
    put_plugin(world, name="second")
    told = rfsn("plugins", "--world", world)
    assert "the world is not trusted; `rfsn trust" in told.output
    assert trace.read_text() == "ran"


def test_trust_can_cover_changes_be_listed_and_revoked(rfsn: Run, world: Path) -> None:
    put_plugin(world)
    rfsn("trust", world, "--yes", "--changes")
    put_plugin(world, name="second")
    assert judge(world).granted
    assert f"{world}  (with all changes)" in rfsn("trust", "--list").output
    assert "is not trusted any more" in rfsn("trust", world, "--revoke").output
    assert not judge(world).granted
    assert "was not trusted" in rfsn("trust", world, "--revoke").output


def test_trust_belongs_to_the_folder_and_not_to_its_copy(rfsn: Run, world: Path, tmp_path: Path) -> None:
    put_plugin(world)
    rfsn("trust", world, "--yes")
    copy = make_world(tmp_path / "copy")
    put_plugin(copy)
    assert judge(world).granted
    assert not judge(copy).granted


def test_nobody_is_asked_about_a_world_of_texts_the_example_or_one_that_they_made(
    rfsn: Run, world: Path, tmp_path: Path
) -> None:
    (world / "rfsn.toml").write_text(
        '[rendering]\nprovider = "ollama"\n[rendering.ollama]\nurl = "http://127.0.0.1:11434"\nmodel = "a/b:3b"\n'
        '[speech.piper]\nmodel = "models/voice.onnx"\n[server]\nport = 9\nhost = "127.0.0.1"\n',
        "utf-8",
    )
    assert judge(world).risks == ()
    assert "nothing in it needs trust" in rfsn("trust", world).output
    assert judge(example_world()).granted
    rfsn("init", tmp_path / "mine")
    put_plugin(tmp_path / "mine", "x = 1")
    assert judge(tmp_path / "mine").granted
    plugins = discover(world=tmp_path / "mine", installed=False)
    assert plugins.loaded["evil"].module.x == 1


def test_init_does_not_trust_the_plugins_that_were_in_the_folder_before(rfsn: Run, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    put_plugin(folder)
    assert rfsn("init", folder).exit_code == 0
    assert not judge(folder).granted


def test_a_variable_trusts_every_world(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_plugin(world)
    monkeypatch.setenv("RFSN_TRUST", "1")
    assert judge(world).granted


def test_a_damaged_trust_file_trusts_nothing(world: Path) -> None:
    put_plugin(world)
    file = TrustFile()
    file.grant(judge(world))
    assert judge(world).granted
    for text in ("", "{", "[]", '{"worlds": []}', json.dumps({"worlds": {str(world): True}}), "[" * 10_000, "\udcff"):
        file.path.write_bytes(text.encode("utf-8", "surrogateescape"))
        assert not judge(world).granted
    if os.name != "nt":
        file.path.unlink()
        file.path.mkdir()
        with pytest.raises(UserError, match="cannot be written"):
            file.grant(judge(world))


def test_bytecode_next_to_a_trusted_plugin_is_not_run(world: Path) -> None:
    put_plugin(world, "x = 'source'")
    plugin = world / "plugins" / "evil.py"
    evil = world / "evil_source.py"
    evil.write_text("x = 'bytecode'", "utf-8")
    cached = importlib.util.cache_from_source(str(plugin))
    py_compile.compile(str(evil), cached, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    TrustFile().grant(judge(world))
    assert discover(world=world, installed=False).loaded["evil"].module.x == "source"


RISKY = [
    ('[server]\nhost = "0.0.0.0"\nkey = "known"\n', ["server.host", "server.key"]),
    ('[server]\norigins = ["https://evil.example"]\n', ["server.origins"]),
    ('data_dir = "../escaped"\n', ["data_dir"]),
    ('data_dir = "/tmp/escaped"\n', ["data_dir"]),
    ('[rendering.openai]\nurl = "http://127.0.0.1:9/v1"\n', ["rendering.openai.url"]),
    ('[rendering.anthropic]\nurl = " https://evil.example/v1"\n', ["rendering.anthropic.url"]),
    ('[rendering.ollama]\nurl = "http://127.0.0.1:11434@evil.example"\n', ["rendering.ollama.url"]),
    ('[archive.x]\nwhere = ["redis://user:pw@evil.example"]\n', ["archive.x.where"]),
    ('[storage.sqlite]\nfile = "../../other.db"\n', ["storage.sqlite.file"]),
    ('[rendering.x]\nnested = {binary = "evil", model = "~/secret"}\n',
     ["rendering.x.nested.binary", "rendering.x.nested.model"]),
    ('[speech.piper]\nmodel = "C:\\\\secret"\n', ["speech.piper.model"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "keys"), RISKY)
def test_settings_that_reach_out_are_left_out(world: Path, text: str, keys: list[str]) -> None:
    (world / "rfsn.toml").write_text(text + "[memory]\nrecent = 3\n", "utf-8")
    settings, _, trust = load_world(world)
    assert [risk.name for risk in trust.left_out] == [f"rfsn.toml: {key}" for key in keys]
    assert settings.memory.recent == 3
    assert "known" not in str(trust.left_out[0].line).split()
    assert "pw@" not in trust.left_out[0].line
    plain = settings.model_dump()
    for key in keys:
        value: Any = plain
        for part in key.split("."):
            value = value.get(part, {}) if isinstance(value, dict) else value
        assert value in ({}, "", [], "127.0.0.1", ".rfsn")
    TrustFile().grant(trust)
    settings, _, trust = load_world(world)
    assert trust.left_out == ()


def test_what_the_user_says_is_not_left_out(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (world / "rfsn.toml").write_text('[server]\nkey = "known"\n', "utf-8")
    monkeypatch.setenv("RFSN_SERVER__KEY", "mine")
    assert load_world(world)[0].server.key == "mine"
    own = tmp_path / "own.toml"
    own.write_text('[server]\nhost = "0.0.0.0"\n', "utf-8")
    assert load_world(world, own)[0].server.host == "0.0.0.0"


def test_a_key_from_the_environment_goes_to_no_address_of_a_strangers_world(rfsn: Run, world: Path) -> None:
    with listening() as (port, seen):
        (world / "rfsn.toml").write_text(
            f'[rendering]\nprovider = "openai"\n[rendering.openai]\nurl = "http://127.0.0.1:{port}/v1"\n'
            "[operations]\nfirst_token_timeout = 2\n",
            "utf-8",
        )
        rfsn("models", "--world", world, OPENAI_API_KEY="sk-mine", HTTPS_PROXY="http://127.0.0.1:9")
        assert seen == []
        rfsn("trust", world, "--yes")
        rfsn("models", "--world", world, OPENAI_API_KEY="sk-mine")
        assert "Bearer sk-mine" in seen


@posix
@pytest.mark.parametrize("place", ["lore/x.md", "npcs/x.toml", "lines/x.toml", "prompts/turn.j2", "signals.toml"])
def test_a_link_out_of_the_world_is_not_read(world: Path, tmp_path: Path, place: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret of the user", "utf-8")
    link = world / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(secret)
    read = read_world(world, None, judge(world).allows)
    assert "the secret of the user" not in str(read)
    assert [risk.name for risk in judge(world).risks] == [place]


@posix
def test_folders_settings_and_data_that_are_links_are_not_followed(world: Path, tmp_path: Path) -> None:
    outside = make_world(tmp_path / "outside", "[memory]\nrecent = 3\n")
    (outside / "lore").mkdir()
    (outside / "lore" / "x.md").write_text("the secret of the user", "utf-8")
    for name in ("lore", "rfsn.toml", ".rfsn"):
        (world / name).symlink_to(outside / name if name != ".rfsn" else outside)
    settings, source, trust = load_world(world)
    assert (settings.memory.recent, source.path) == (6, None)
    folder = data_folder(world, settings, follow_links=trust.granted)
    assert not folder.path.is_relative_to(outside)
    assert "leads out of the world" in folder.reason
    assert read_world(world, None, trust.allows).lore == ()
    TrustFile().grant(trust)
    assert load_world(world)[0].memory.recent == 3


async def test_an_untrusted_world_serves_and_says_what_is_left_out(world: Path) -> None:
    put_plugin(world)
    (world / "rfsn.toml").write_text('[server]\norigins = ["https://evil.example"]\n', "utf-8")
    with capture_logs() as logs:
        async with served(world) as server, httpx.AsyncClient() as http:
            health = (await http.get(f"{server.http}/api/health")).json()
            page = await http.get(f"{server.http}/api/memory/export", headers={"Origin": "https://evil.example"})
            assert page.status_code == 403
            await server.runtimes.reload()
    assert health["left_out"] == [
        "plugins/evil.py: is a program that runs with all your rights",
        "rfsn.toml: server.origins: lets web pages connect: ['https://evil.example']",
    ]
    warnings = [entry for entry in logs if entry["event"] == "world.untrusted"]
    assert len(warnings) == 1
    assert "`rfsn trust" in warnings[0]["hint"]


def test_config_check_names_what_is_left_out(rfsn: Run, world: Path) -> None:
    put_plugin(world)
    told = rfsn("config", "check", "--world", world).output
    assert "This world is not trusted, so these parts are left out; `rfsn trust" in told
    assert "plugins/evil.py" in told


@pytest.mark.parametrize(
    "text",
    ["http://192.168.1.7:8765", "http://evil.example:80", "https://127.0.0.1:1", "http://127.0.0.1",
     "http://a@127.0.0.1:1",
     "http://127.0.0.1:1@evil.example:2", "http://127.0.0.1:x", "http://127.0.0.1:1/path",
     "http://localhost.evil:1", ""],
)  # fmt: skip
def test_only_an_address_of_this_machine_is_believed(tmp_path: Path, text: str) -> None:
    (tmp_path / "address").write_text(text, "utf-8")
    assert read(tmp_path) == ("", "")
    with announced(tmp_path, "http://127.0.0.1:8765", "its secret"):
        assert read(tmp_path) == ("http://127.0.0.1:8765", "its secret")
        assert os.name == "nt" or (tmp_path / "address").stat().st_mode & 0o077 == 0


def test_a_program_that_a_data_folder_names_gets_no_key(rfsn: Run, world: Path) -> None:
    with listening() as (port, seen):
        data = world / ".rfsn"
        data.mkdir()
        (data / "address").write_text(f"http://127.0.0.1:{port}\nplanted", "utf-8")
        rfsn("memory", "show", "smith", "--world", world, RFSN_SERVER__KEY="my-secret-key", RFSN_DATA_DIR=str(data))
    assert set(seen) == {"", "Bearer planted"}


async def test_keys_that_a_world_brings_along_open_nothing(world: Path) -> None:
    elsewhere = KeyFile(world.parent / "attacker")
    _, text = elsewhere.create("planted", "admin")
    (world / ".rfsn").mkdir()
    shutil.copy(elsewhere.path, world / ".rfsn" / "keys.json")
    (world / ".rfsn" / "address").write_text("http://127.0.0.1:1\nplanted", "utf-8")
    async with served(world, settings={"server": {"key": "sekret"}}) as server, httpx.AsyncClient() as http:
        for key in (text, "planted"):
            headers = {"Authorization": f"Bearer {key}"}
            assert (await http.get(f"{server.http}/api/health", headers=headers)).status_code == 401


async def test_a_kernel_of_an_untrusted_world_keeps_no_risky_provider_settings(world: Path) -> None:
    (world / "rfsn.toml").write_text('[storage.sqlite]\nfile = "../../other.db"\n', "utf-8")
    async with kernel(world) as running:
        assert not (world.parent / "other.db").exists()
        assert running.runtimes.trust is not None
        assert running.runtimes.trust.left_out


async def test_plans_carry_the_trust(world: Path) -> None:
    assert (await Runtimes(world, discover(installed=False)).check()).trust.granted
    put_plugin(world)
    assert not (await Runtimes(world, discover(installed=False)).check()).trust.granted

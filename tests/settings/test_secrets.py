"""Keys and passwords stay inside."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from pydantic import BaseModel, SecretStr

from rfsn_core.cli import main
from rfsn_core.contract.errors import ConfigError, EngineError
from rfsn_core.contract.provider import Host, Provider
from rfsn_core.contract.rendering import Prompt, RenderOptions
from rfsn_core.kit.http import api_key
from rfsn_core.plugins.discovery import discover
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.settings.source import load
from rfsn_core.telemetry import logs
from rfsn_core.telemetry.redaction import SECRETS, Secrets, secrets_in
from rfsn_core.testing import make_world, plugin, served
from rfsn_core.testing.client import connected
from rfsn_core.testing.scripted import Tokens


class Settings(BaseModel, extra="forbid"):
    key: str = ""
    url: str = ""


class Telltale:
    """A renderer that puts its key into every error."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    async def render(self, prompt: Prompt, options: RenderOptions) -> AsyncIterator[str]:
        raise EngineError(f"Illegal header value b'Bearer {self.settings.key}' for {self.settings.url}")
        yield ""


@asynccontextmanager
async def open_telltale(settings: Settings, host: Host) -> AsyncIterator[Telltale]:
    yield Telltale(settings)


TELLTALE = plugin(rendering={"telltale": Provider("telltale", Settings, open_telltale)})
TOML = """
[rendering]
provider = "telltale"
attempts = 1
breaker_failures = 1
telltale.key = "sk-VERYSECRET \\n"
telltale.url = " redis://user:hunter2%21@127.0.0.1:1/0\\n"
"""
HIDDEN = ("VERYSECRET", "hunter2")


async def test_white_space_around_keys_and_urls_is_stripped(tmp_path: Path) -> None:
    make_world(tmp_path, TOML)
    runtimes = Runtimes(tmp_path, discover([TELLTALE], world=tmp_path, installed=False))
    (choice,) = [choice for choice in (await runtimes.check()).choices if choice.name == "telltale"]
    assert choice.settings == Settings(key="sk-VERYSECRET", url="redis://user:hunter2%21@127.0.0.1:1/0")


def test_a_key_from_the_environment_may_end_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFSN_SERVER__KEY", " long-random-text\n")
    monkeypatch.setenv("SOME_API_KEY", "sk-FROMTHEENVIRONMENT\r\n")
    assert load(None)[0].server.key == "long-random-text"
    assert api_key(" ", "SOME_API_KEY", "Some") == "sk-FROMTHEENVIRONMENT"


async def test_no_text_that_leaves_the_server_holds_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_world(tmp_path, TOML)
    logs.configure("debug")
    async with served(tmp_path, TELLTALE) as server:
        async with connected(server.ws) as client:
            seen = await client.turn("smith")
            async with httpx.AsyncClient() as http:
                health = (await http.get(f"{server.http}/api/health")).text
            logging.getLogger("library").error("could not connect to redis://user:hunter2%%21@127.0.0.1:1/0")
            (tmp_path / "rfsn.toml").write_text(TOML + 'telltale.sk-VERYSECRET = "sk-VERYSECRET"\n', "utf-8")
            (rejected,) = await client.until("config.rejected")
    told = f"{seen} {health} {rejected} {capsys.readouterr().err}"
    assert "Illegal header value" in told
    assert "could not connect to redis://user:" in told
    assert not [secret for secret in HIDDEN if secret in told]


@pytest.mark.parametrize(
    "text",
    ["[rendering]\nprovider = 'telltale'\n[rendering.telltale]\nkey = 12345678", '[server]\nkey = ["sk-VERYSECRET"]'],
)
async def test_an_error_in_the_settings_shows_no_key(tmp_path: Path, text: str) -> None:
    make_world(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        await Runtimes(tmp_path, discover([TELLTALE], world=tmp_path, installed=False)).check()
    assert "12345678" not in str(refused.value)
    assert "VERYSECRET" not in str(refused.value)


def test_config_show_hides_keys_and_passwords(tmp_path: Path) -> None:
    make_world(tmp_path, '[server]\nkey = "sk-VERYSECRET"\n[storage.redis]\nurl = "redis://:hunter2@h/0"\n')
    result = CliRunner().invoke(main, ["config", "show", "--world", str(tmp_path)])
    assert not [secret for secret in HIDDEN if secret in result.output]
    shown = json.loads(result.output)
    assert shown["server"]["key"] == "(set)"
    assert shown["storage"]["redis"]["url"] == "redis://:*******@h/0"


def test_the_length_stays_the_same_and_short_words_stay() -> None:
    secrets = Secrets()
    values: dict[str, Any] = {"key": 'kä"y-1', "list": [{"token": "abc"}], "url": "pg://u:p%40ss@h", "name": "visible"}
    secrets.remember(secrets_in(values))
    text = 'kä"y-1 {"k\\u00e4\\"y-1"} abc p%40ss p@ss visible'
    assert secrets.redact(text).encode() == b'******* {"************"} abc ****** **** visible'
    assert secrets.redact("see https://example.org/a:b@c and redis://me:x@h") == (
        "see https://example.org/a:b@c and redis://me:*@h"
    )


class Hidden(BaseModel, extra="forbid"):
    pin: SecretStr = SecretStr("")


async def test_a_hidden_setting_that_changes_opens_the_provider_again(tmp_path: Path) -> None:
    @asynccontextmanager
    async def opens(settings: Hidden, host: Host) -> AsyncIterator[Tokens]:
        yield Tokens([settings.pin.get_secret_value()])

    offers = plugin(rendering={"hidden": Provider("hidden", Hidden, opens)})
    make_world(tmp_path, '[rendering]\nprovider = "hidden"\nhidden.pin = "one-2-three"\n')
    runtimes = Runtimes(tmp_path, discover([offers], world=tmp_path, installed=False))
    await runtimes.start()
    try:
        assert SECRETS.redact("pin one-2-three") == "pin ***********"
        (tmp_path / "rfsn.toml").write_text('[rendering]\nprovider = "hidden"\nhidden.pin = "four-5-six"\n', "utf-8")
        change = await runtimes.reload(["rfsn.toml"])
        assert change.reopened == ("rendering:hidden",)
        assert change.effects.lines == ["applied: rendering.hidden.pin"]
    finally:
        await runtimes.close()

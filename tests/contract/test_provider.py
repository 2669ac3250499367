"""What a plugin offers: a class is a provider in one line, and its settings are those of its opener."""

from __future__ import annotations

import logging
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from rfsn_core import Host, NoSettings, Provider

HOST = Host(Path(), Path(), logging.getLogger("rfsn.test"), random.Random(1))


class Settings(BaseModel, extra="forbid"):
    times: int = 2


class Noted:
    """Notes what happens to it."""

    fails = False

    def __init__(self, *given: Any) -> None:
        self.given, self.events = given, list[str]()

    async def start(self) -> None:
        self.events.append("start")
        if self.fails:
            raise RuntimeError("no such model")

    async def close(self) -> None:
        self.events.append("close")


class Both(Noted):
    def __init__(self, settings: Settings, host: Host) -> None:
        super().__init__(settings, host)


class One(Noted):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)


class Plain:
    """Needs nothing, and closes without being async."""

    closed = False

    def close(self) -> None:
        self.closed = True


async def test_a_class_gets_what_its_constructor_takes() -> None:
    settings = Settings(times=3)
    async with Provider.of("both", Both, Settings).open(settings, HOST) as both:
        assert both.given == (settings, HOST)
    async with Provider.of("one", One, Settings).open(settings, HOST) as one:
        assert one.given == (settings,)
    async with Provider.of("plain", Plain).open(NoSettings(), HOST) as plain:
        assert not plain.closed
    assert plain.closed


async def test_a_function_may_import_and_make_the_object() -> None:
    def make(settings: Settings) -> One:
        return One(settings)

    provider = Provider.of("made", make, Settings, "about")
    assert (provider.about, provider.settings, provider.kind) == ("about", Settings, None)
    async with provider.open(Settings(), HOST) as made:
        assert made.events == ["start"]
    assert made.events == ["start", "close"]


async def test_an_object_that_fails_to_start_is_closed() -> None:
    objects: list[One] = []

    def make(settings: Settings) -> One:
        objects.append(One(settings))
        objects[0].fails = True
        return objects[0]

    with pytest.raises(RuntimeError, match="no such model"):
        async with Provider.of("made", make, Settings).open(Settings(), HOST):
            pass
    assert objects[0].events == ["start", "close"]


def test_a_constructor_that_wants_more_is_refused_at_once() -> None:
    def make(settings: Settings, host: Host, colour: str) -> Plain:
        return Plain()

    with pytest.raises(TypeError, match=r"takes settings, host, colour; Provider\.of can give it settings and host"):
        Provider.of("made", make, Settings)  # type: ignore[arg-type]


PROBE = """
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pydantic import BaseModel
from rfsn_core import Capabilities, HasHealth, Host, Offer, Prompt, Provider, Renderer, RenderOptions

class Settings(BaseModel): ...
class Others(BaseModel): ...

class Parrot(HasHealth):
    def __init__(self, settings: Settings, host: Host) -> None: ...
    async def render(self, prompt: Prompt, options: RenderOptions) -> AsyncIterator[str]:
        yield prompt.player_text
    async def health(self) -> str:
        return "well"

class Mute:
    async def rendr(self, prompt: Prompt, options: RenderOptions) -> AsyncIterator[str]:
        yield ""

class Ill(HasHealth):
    async def heath(self) -> str:
        return "well"

@asynccontextmanager
async def opener(settings: Settings, host: Host) -> AsyncIterator[Parrot]:
    yield Parrot(settings, host)

def offers() -> Iterable[Offer[Renderer]]:
    yield Provider("good", Settings, opener)
    yield Provider.of("good", Parrot, Settings, "about", Capabilities(reports=False))
    yield Provider("bad", Others, opener)  # WRONG
    yield Provider.of("bad", Parrot, Others)  # WRONG
    yield Provider.of("bad", Mute)  # WRONG
    yield Provider.of("bad", Parrot, Settings, "about", Capabilities(report=False))  # WRONG

Ill()  # WRONG
"""


@pytest.mark.timeout(300)
def test_mypy_refuses_settings_and_objects_that_do_not_fit(tmp_path: Path) -> None:
    probe = tmp_path / "probe.py"
    probe.write_text(PROBE)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary", str(probe)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    refused = {
        int(line.removeprefix(str(probe)).split(":")[1]) for line in ran.stdout.splitlines() if ": error:" in line
    }
    wrong = {number for number, line in enumerate(PROBE.splitlines(), 1) if line.endswith("# WRONG")}
    assert refused == wrong, ran.stdout

"""A kernel that sees only what it is given: no installed plugins, a world of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfsn_core import protocol
from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import NoSettings, Provider
from rfsn_core.contract.stages import STAGES
from rfsn_core.kernel import Kernel, conversation, running
from rfsn_core.plugins.discovery import discover
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.server.app import http_server, serving
from rfsn_core.server.listener import listen
from rfsn_core.turn.outbox import Audio, Item

NPC = "smith"
"""Id of the NPC of `make_world`."""
SMITH = """\
name = "Berit"
title = "smith"
persona = "Speaks little."
fallback = "The forge is loud today."
"""


def make_world(folder: Path, settings: str = "", npcs: Mapping[str, str] | None = None) -> Path:
    """Write a world to disk: `settings` is the text of its rfsn.toml, `npcs` maps ids to the text of their files."""
    (folder / "npcs").mkdir(parents=True, exist_ok=True)
    for name, text in (npcs or {NPC: SMITH}).items():
        (folder / "npcs" / f"{name}.toml").write_text(text, "utf-8")
    if settings:
        (folder / "rfsn.toml").write_text(settings, "utf-8")
    return folder


class _Plugin:
    """What pluggy registers: hooks as attributes."""


def plugin(hooks: Mapping[str, Callable[..., Any]] | None = None, **stages: Mapping[str, Any]) -> tuple[str, _Plugin]:
    """Return a plugin made of working objects: `plugin(rendering={"tokens": Tokens(["Hi."])})`.

    :param hooks: further hook implementations by name, such as `rfsn_event`.
    :param stages: stage → provider name → the object that the provider opens to, or a whole `Provider`.
    """
    plugin_object = _Plugin()
    for stage, objects in stages.items():
        offers = [value if isinstance(value, Provider) else _provider(name, value) for name, value in objects.items()]
        setattr(plugin_object, f"rfsn_{stage}", hookimpl(_offering(offers)))
    for name, function in (hooks or {}).items():
        setattr(plugin_object, name, hookimpl(function))
    return f"given_{id(plugin_object):x}", plugin_object


def _provider(name: str, value: Any) -> Provider[Any, Any]:
    return Provider(name, NoSettings, lambda settings, host: nullcontext(value), "given by a test")


def _offering(offers: list[Provider[Any, Any]]) -> Callable[[], Iterable[Provider[Any, Any]]]:
    def offer() -> Iterable[Provider[Any, Any]]:
        return offers

    return offer


@asynccontextmanager
async def kernel(
    folder: Path, *plugins: tuple[str, Any], settings: Mapping[str, Any] | None = None
) -> AsyncIterator[Kernel]:
    """Run a kernel on the world in `folder`, which is created when it does not exist.

    What the plugins offer is chosen by `settings`, or, where it names no provider for a stage, as soon as
    a plugin offers one for it.
    """
    async with running(_runtimes(folder, plugins, settings)) as running_kernel:
        yield running_kernel


@dataclass(frozen=True)
class Served:
    """A server on loopback."""

    runtimes: Runtimes
    port: int
    stop: Callable[[], None]
    """Ask it to stop, as a signal would."""

    @property
    def http(self) -> str:
        """Its address for HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        """Its address for games."""
        return f"ws://127.0.0.1:{self.port}/v1/ws"


@asynccontextmanager
async def served(
    folder: Path, *plugins: tuple[str, Any], settings: Mapping[str, Any] | None = None
) -> AsyncIterator[Served]:
    """Run a server on a free port of this machine; otherwise as `kernel`."""
    runtimes = _runtimes(folder, plugins, settings)
    async with serving(runtimes) as app:
        listener = listen("127.0.0.1", 0)
        server = http_server(app, runtimes.current.settings.server)
        task = asyncio.create_task(server.serve(sockets=[listener]))

        def stop() -> None:
            server.should_exit = True

        try:
            while not server.started and not task.done():  # noqa: ASYNC110  (uvicorn has no event for it)
                await asyncio.sleep(0.005)
            yield Served(runtimes, listener.getsockname()[1], stop)
        finally:
            stop()
            await task


def _runtimes(folder: Path, plugins: Sequence[tuple[str, Any]], settings: Mapping[str, Any] | None) -> Runtimes:
    if not (folder / "npcs").is_dir():
        make_world(folder)
    plugins_found = discover(plugins, world=folder, installed=False)
    chosen: dict[str, Any] = {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in (settings or {}).items()
    }
    for _, plugin_object in plugins:
        for stage in STAGES:
            if not hasattr(plugin_object, f"rfsn_{stage}"):
                continue
            names = [offer.name for offer in getattr(plugin_object, f"rfsn_{stage}")()]
            if stage == "gating":
                chosen.setdefault(stage, {}).setdefault("providers", names)
            else:
                chosen.setdefault(stage, {}).setdefault("provider", names[0])
    return Runtimes(folder, plugins_found, overrides=chosen)


async def turn(running_kernel: Kernel, text: str = "Good evening!", npc: str = NPC, **fields: Any) -> list[Item]:
    """Run one turn and return all that it sent, when the store has the turn or has refused it.

    `wants` is a Hello; the rest are fields of the turn message.
    """
    wants = fields.pop("wants", protocol.Hello(text=True, visemes=True))
    message = protocol.PlayerTurn(npc=npc, text=text, **fields)
    items = [item async for item in conversation(running_kernel, message, wants)]
    await running_kernel.conversations.follower.tried()
    return items


def kinds(items: Iterable[Item]) -> list[str]:
    """Return the types of what was sent, audio as `audio`."""
    return ["audio" if isinstance(item, Audio) else str(item.__struct_config__.tag) for item in items]

"""`rfsn serve`."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
import uvicorn.server

from rfsn_core.cli.options import runtimes, world_options
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.server import supervisor as workers
from rfsn_core.server.app import ADDRESS, http_server, listen, serving
from rfsn_core.server.auth import check_bind
from rfsn_core.telemetry import logs


@click.command()
@world_options
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 picks a free one.")
@click.option(
    "--workers",
    "count",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes; several share a Redis.",
)
def serve(world: Path | None, config_file: Path | None, host: str | None, port: int | None, count: int) -> None:
    """Serve a world to games, and a page to try it on."""
    server = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    overrides = {"server": server} if server else {}
    found = runtimes(world, config_file, overrides)
    try:
        if count == 1:
            asyncio.run(run(found))
        else:
            run_several(found, overrides, count)
    except KeyboardInterrupt:
        click.echo("rfsn: stopped", err=True)


def run_several(found: Runtimes, overrides: Mapping[str, Any], count: int) -> None:
    """Serve by several processes until a signal. Raises UserError when the port is taken or the store is for one."""
    logs.configure()
    asyncio.run(workers.check(found))
    settings = found.load()
    check_bind(settings.server)
    with listen(settings.server.host, settings.server.port) as listener:
        listener.setblocking(False)  # all of them are woken by a client, and one gets it
        shown, port = _shown(settings.server.host), listener.getsockname()[1]
        with _noted(found, f"http://{_reachable(shown)}:{port}"):
            click.echo(f"RFSN serves {found.world_dir.name} by {count} workers.")
            _tell_where(shown, port)
            workers.supervise(found, overrides, listener, count, settings.server.shutdown_seconds + 10, _work)
    click.echo("rfsn: stopped", err=True)


def _work(
    world: Path, config_file: Path | None, overrides: Mapping[str, Any], listener: socket.socket, number: int
) -> None:
    workers.end_with_the_parent()
    with suppress(KeyboardInterrupt):
        asyncio.run(run(runtimes(world, config_file, overrides, workers.name(number)), listener))


async def run(found: Runtimes, given: socket.socket | None = None) -> None:
    """Serve until a signal; on a socket that is given, as one of several workers. Raises UserError when the port is
    taken.
    """
    logs.configure()
    async with serving(found) as app:
        settings = found.current.settings
        logs.configure(settings.operations.log_level, settings.operations.log_format)
        check_bind(settings.server)
        for item in found.plugins.found:
            if item.state == "failed":
                click.echo(f"rfsn: plugin {item.name} ({item.label}) failed: {item.reason}", err=True)
        for problem in found.plugins.problems:
            click.echo(f"rfsn: {problem}", err=True)
        server = http_server(app, settings.server)
        if given is not None:
            with _signals_end_here():
                await server.serve(sockets=[given])
            return
        listener = listen(settings.server.host, settings.server.port)
        shown, port = _shown(settings.server.host), listener.getsockname()[1]
        with _noted(found, f"http://{_reachable(shown)}:{port}"):
            click.echo(f"RFSN serves {found.world_dir.name} with {len(found.current.world.npcs)} NPCs.")
            _tell_where(shown, port)
            with _signals_end_here():
                await server.serve(sockets=[listener])
    click.echo("rfsn: stopped", err=True)


def _tell_where(shown: str, port: int) -> None:
    click.echo(f"Talk to them on http://{shown}:{port}/   games connect to ws://{shown}:{port}/v1/ws")
    click.echo("Ctrl+C stops it.")


@contextmanager
def _noted(found: Runtimes, address: str) -> Iterator[None]:
    """For commands that ask the server which has the store open."""
    file = found.data_dir / ADDRESS
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(address + "\n", "utf-8")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _shown(host: str) -> str:
    return host if host not in ("0.0.0.0", "::") else "127.0.0.1"


def _reachable(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@contextmanager
def _signals_end_here() -> Iterator[None]:
    """uvicorn stops on a signal, and raises it again when it has: that would end us with the stores still open."""
    handlers = {number: signal.signal(number, lambda *_: None) for number in uvicorn.server.HANDLED_SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

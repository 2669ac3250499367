"""`rfsn serve`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import uvicorn.server

from rfsn_core.cli.options import runtimes, world_options
from rfsn_core.operations import logs
from rfsn_core.runtime import Runtimes
from rfsn_core.server.app import ADDRESS, http_server, listen, serving
from rfsn_core.server.auth import check_bind


@click.command()
@world_options
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 picks a free one.")
def serve(world: Path | None, config_file: Path | None, host: str | None, port: int | None) -> None:
    """Serve a world to games, and a page to try it on."""
    server = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    found = runtimes(world, config_file, {"server": server} if server else None)
    try:
        asyncio.run(run(found))
    except KeyboardInterrupt:
        click.echo("rfsn: stopped", err=True)


async def run(found: Runtimes) -> None:
    """Serve until a signal. Raises UserError when the port is taken."""
    logs.configure()
    async with serving(found) as app:
        settings = found.current.settings
        logs.configure(settings.operations.log_level, settings.operations.log_format)
        check_bind(settings.server)
        listener = listen(settings.server.host, settings.server.port)
        port = listener.getsockname()[1]
        for item in found.plugins.found:
            if item.state == "failed":
                click.echo(f"rfsn: plugin {item.name} ({item.label}) failed: {item.reason}", err=True)
        for problem in found.plugins.problems:
            click.echo(f"rfsn: {problem}", err=True)
        shown = settings.server.host if settings.server.host not in ("0.0.0.0", "::") else "127.0.0.1"
        address = found.world_dir / settings.data_dir / ADDRESS
        address.write_text(f"http://{_reachable(shown)}:{port}\n", "utf-8")
        click.echo(f"RFSN serves {found.world_dir.name} with {len(found.current.world.npcs)} NPCs.")
        click.echo(f"Talk to them on http://{shown}:{port}/   games connect to ws://{shown}:{port}/v1/ws")
        click.echo("Ctrl+C stops it.")
        server = http_server(app, settings.server)
        try:
            with _signals_end_here():
                await server.serve(sockets=[listener])
        finally:
            address.unlink(missing_ok=True)
    click.echo("rfsn: stopped", err=True)


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

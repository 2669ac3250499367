"""`rfsn serve`: run the server, alone or as several workers."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rfsn_core.cli.options import load_runtimes, world_options

if TYPE_CHECKING:
    from rfsn_core.runtime.builder import Runtimes
    from rfsn_core.settings.schema import Settings


@click.command()
@world_options
@click.option("--host", help="Address to listen on, instead of the settings'.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 picks a free one.")
@click.option(
    "--workers",
    "count",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Number of processes; more than one needs a shared store such as Redis.",
)
def serve(world: Path | None, config_file: Path | None, host: str | None, port: int | None, count: int) -> None:
    """Serve a world to games, with a web page to try it on.

    Without --world, the world is $RFSN_WORLD, the current folder, or the example. Changes of its files apply while
    the server runs. Ctrl+C stops it.

    \b
    Example: rfsn serve --world my_world --port 8765
    """
    server = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    overrides = {"server": server} if server else {}
    runtimes = load_runtimes(world, config_file, overrides)
    try:
        if count == 1:
            asyncio.run(run(runtimes))
        else:
            run_workers(runtimes, overrides, count)
    except KeyboardInterrupt:
        click.echo("rfsn: stopped", err=True)


def run_workers(runtimes: Runtimes, overrides: Mapping[str, Any], count: int) -> None:
    """Serve with several processes until a signal arrives.

    Raises UserError when the port is taken or the store cannot be shared.
    """
    from rfsn_core.server import address, supervisor
    from rfsn_core.server.listener import listen
    from rfsn_core.telemetry import logs

    logs.configure()
    asyncio.run(supervisor.check(runtimes))
    settings = runtimes.load()
    with listen(settings.server.host, settings.server.port) as listener:
        listener.setblocking(False)  # a new client wakes all workers, and one of them gets it
        host = _connectable(settings.server.host)
        port = listener.getsockname()[1]
        with address.announced(runtimes.data_dir, f"http://{host}:{port}", secrets.token_urlsafe(32)):
            _make_key(runtimes, settings)
            _greet(runtimes, settings, port, f"{count} workers")
            supervisor.supervise(
                runtimes, overrides, listener, count, settings.server.shutdown_seconds + 10, _run_worker
            )
    click.echo("rfsn: stopped", err=True)


def _run_worker(
    world: Path, config_file: Path | None, overrides: Mapping[str, Any], listener: socket.socket, number: int
) -> None:
    from rfsn_core.server import supervisor

    supervisor.end_with_the_parent()
    with suppress(KeyboardInterrupt):
        asyncio.run(run(load_runtimes(world, config_file, overrides, supervisor.name(number)), listener))


async def run(runtimes: Runtimes, shared: socket.socket | None = None) -> None:
    """Serve until a signal arrives. Raises UserError when the port is taken.

    :param shared: the listening socket that this process shares with other workers; None opens one.
    """
    from rfsn_core.server import address
    from rfsn_core.server.app import http_server, serving
    from rfsn_core.server.collector import Collector
    from rfsn_core.server.listener import listen
    from rfsn_core.server.signals import stopping_on_signals
    from rfsn_core.telemetry import logs

    logs.configure()
    async with serving(runtimes, Collector()) as app:
        settings = runtimes.current.settings
        logs.configure(settings.operations.log_level, settings.operations.log_format, settings.operations.log_levels)
        _report_failed_plugins(runtimes)
        server = http_server(app, settings.server)
        if shared is not None:
            with stopping_on_signals(server.stop, settings.server.shutdown_seconds) as server.signalled:
                await server.serve(sockets=[shared])
            return
        listener = listen(settings.server.host, settings.server.port)
        host = _connectable(settings.server.host)
        port = listener.getsockname()[1]
        with (
            address.announced(runtimes.data_dir, f"http://{host}:{port}", app.state.authenticator.own_secret),
            stopping_on_signals(server.stop, settings.server.shutdown_seconds) as server.signalled,
        ):
            _make_key(runtimes, settings)
            _greet(runtimes, settings, port, f"{len(runtimes.current.world.npcs)} NPCs")
            await server.serve(sockets=[listener])
    click.echo("rfsn: stopped", err=True)


def _report_failed_plugins(runtimes: Runtimes) -> None:
    runtimes.plugins.offers("rfsn_routes")  # those that fail are among the problems
    for plugin in runtimes.plugins.found:
        if plugin.state == "failed":
            click.echo(f"rfsn: plugin {plugin.name} ({plugin.label}) failed: {plugin.reason}", err=True)
    for problem in runtimes.plugins.problems:
        click.echo(f"rfsn: {problem}", err=True)


def _make_key(runtimes: Runtimes, settings: Settings) -> None:
    """Make and print an admin key when others can reach the server, and there is no key."""
    from rfsn_core.server.keys import KeyFile, key_folder
    from rfsn_core.settings.protection import is_local

    file = KeyFile(key_folder(runtimes.world_dir, runtimes.data_dir))
    admins = [key for key in file.keys.values() if key.role == "admin"]
    if is_local(settings.server.host) or settings.server.key or admins:
        return
    _, text = file.create("first key", "admin")
    click.echo(f"Others can reach {settings.server.host}, so a key is needed. This admin key is shown only now:")
    click.echo(f"  {text}")
    click.echo("Enter it on the web page. `rfsn keys create --role game` makes one for a game.")


def _greet(runtimes: Runtimes, settings: Settings, port: int, size: str) -> None:
    """Print where the server listens, what it serves, and how to stop it.

    :param size: how many NPCs or workers, in words.
    """
    host = _connectable(settings.server.host)
    click.echo(f"RFSN serves the world '{runtimes.world_dir.name}' ({size}).")
    click.echo(f"  web page:     http://{host}:{port}/")
    click.echo(f"  games:        ws://{host}:{port}/v1/ws")
    click.echo(f"  world folder: {runtimes.world_dir}")
    click.echo(f"  data folder:  {runtimes.data_dir}")
    click.echo("Press Ctrl+C to stop.")


def _connectable(host: str) -> str:
    """Return the address to connect to for a server that listens on a host."""
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host

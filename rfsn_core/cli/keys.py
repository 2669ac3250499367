"""`rfsn keys`: make, list, rotate and revoke keys.

The commands change the file of keys, which running servers read again when it changes.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from rfsn_core.cli.groups import Group
from rfsn_core.cli.options import Number, json_option, load_runtimes, world_options
from rfsn_core.contract.errors import UserError
from rfsn_core.server.roles import MEANING, Role

if TYPE_CHECKING:
    from rfsn_core.server.keys import KeyFile

FORMAT = "%Y-%m-%d %H:%M"


def _file(world: Path | None, config_file: Path | None) -> KeyFile:
    from rfsn_core.server.keys import KeyFile, key_folder

    runtimes = load_runtimes(world, config_file)
    return KeyFile(key_folder(runtimes.world_dir, runtimes.data_dir))


@click.group(cls=Group)
def keys() -> None:
    """Make, list, rotate and revoke keys, while the server runs.

    A server on this machine's own address needs no key until there is one. Each role may do what those before it may:

    \b
    game       play: turns, events, memories that the game brings, rewards, snapshots
    designer   also inspect: decisions, prompts, what NPCs remember, metrics, feedback
    operator   also change: tuning, memory, learning, gates
    admin      also make, rotate and revoke keys

    \b
    Example: rfsn keys create --role game --name "the demo" --days 30
             rfsn keys list
    """


@keys.command()
@click.option("--name", required=True, help="Who or what uses the key.")
@click.option("--role", type=click.Choice(get_args(Role)), default="game", show_default=True, help="What it allows.")
@click.option("--days", type=Number(0, 36_500), default=0.0, help="Days until it expires; without it, never.")
@click.option("--rate", type=Number(0, 1e6), default=0.0, help="Requests and messages a minute; without it, any.")
@world_options
def create(name: str, role: Role, days: float, rate: float, world: Path | None, config_file: Path | None) -> None:
    """Make a key and print it. It is stored as a hash, so it cannot be shown again.

    \b
    Example: rfsn keys create --role designer --name Ada
    """
    if not 0 < len(name.strip()) <= 100:
        raise UserError("--name must have 1 to 100 characters", hint="It says in lists and logs who uses the key")
    key, text = _file(world, config_file).create(name, role, days=days, rate=rate)
    click.echo(text)
    expires = time.strftime(FORMAT, time.localtime(key.expires)) if key.expires else "never"
    click.echo(f"Key {key.id} for {name}: {role} ({MEANING[role]}). Expires: {expires}.", err=True)
    click.echo("It is not stored and cannot be shown again. Send it as `Authorization: Bearer <key>`.", err=True)


@keys.command(name="list")
@json_option("Print the list as JSON.")
@world_options
def list_keys(as_json: bool, world: Path | None, config_file: Path | None) -> None:
    """List the keys: role, limit, expiry and when each was last used.

    \b
    Example: rfsn keys list
    """
    from rich.console import Console
    from rich.table import Table

    from rfsn_core.server.key_api import shown

    file = _file(world, config_file)
    uses = file.last_uses()
    entries = [shown(key, uses.get(key.id)) for key in file.keys.values()]
    if as_json:
        click.echo(json.dumps(entries, ensure_ascii=False, indent=2))
        return
    if not entries:
        click.echo("There are no keys. `rfsn keys create --name NAME` makes one.")
        return
    table = Table("id", "name", "role", "a minute", "made", "expires", "last used", box=None)
    for entry in entries:
        times = [
            time.strftime(FORMAT, time.localtime(entry[name])) if entry[name] else "never"
            for name in ("created", "expires", "last_use")
        ]
        limit = f"{entry['rate']:g}" if entry["rate"] else "any"
        table.add_row(entry["id"], entry["name"], entry["role"], limit, *times)
    Console(highlight=False).print(table, markup=False)


@keys.command()
@click.argument("key_id")
@click.option("--grace", type=Number(0), default=0.0, help="Minutes for which the old key still works.")
@world_options
def rotate(key_id: str, grace: float, world: Path | None, config_file: Path | None) -> None:
    """Exchange a key: print a new one with the same role, limit and expiry.

    Connections that use the old one are closed, at once or after --grace.

    \b
    Example: rfsn keys rotate 1f2e3d4c --grace 60
    """
    _, text = _file(world, config_file).rotate(key_id, grace=grace * 60)
    click.echo(text)


@keys.command()
@click.argument("key_id")
@world_options
def revoke(key_id: str, world: Path | None, config_file: Path | None) -> None:
    """Revoke a key. Its connections are closed within a second.

    \b
    Example: rfsn keys revoke 1f2e3d4c
    """
    key = _file(world, config_file).revoke(key_id)
    click.echo(f"Key {key.id} of {key.name} is revoked.", err=True)

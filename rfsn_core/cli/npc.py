"""`rfsn npc`: the NPCs that a game introduced, which have no file yet."""

from __future__ import annotations

from pathlib import Path

import click

from rfsn_core.cli.groups import Group
from rfsn_core.cli.options import json_option, load_runtimes, world_options
from rfsn_core.contract.errors import UserError

NEW = """\
# {name}, as the game introduced it. It is an NPC like any other now: docs/worlds.md says what can be written here.
"""


@click.group(cls=Group)
def npc() -> None:
    """List the NPCs that the game introduced, and write one to a file.

    \b
    Example: rfsn npc list --world my_world
    """


@npc.command("list")
@world_options
@json_option("Print JSON.")
def list_guests(world: Path | None, config_file: Path | None, as_json: bool) -> None:
    """List the NPCs that the game introduced.

    \b
    Example: rfsn npc list --world my_world
    """
    import msgspec

    guests = load_runtimes(world, config_file).guests.all()
    if as_json:
        click.echo(msgspec.json.encode(guests).decode())
        return
    for npc_id, said in sorted(guests.items()):
        details = ", ".join(text for text in (said.race, said.faction, said.place) if text)
        click.echo(f"{npc_id}  {said.name}" + (f"  ({details})" if details else ""))
    if not guests:
        click.echo("The game introduced none.")


@npc.command()
@click.argument("npc_id", metavar="ID")
@click.option("--as", "new_id", default="", metavar="NAME", help="Name of the file, without .toml; else the id.")
@world_options
def promote(npc_id: str, new_id: str, world: Path | None, config_file: Path | None) -> None:
    """Write an NPC that the game introduced to a file in the world's `npcs`, to edit it.

    ID is as `rfsn npc list` shows it. Under its own id the NPC keeps its memory; with `--as` it is a new one.

    \b
    Example: rfsn npc promote 0x1a_155871 --world my_world
    """
    from rfsn_core.kit import toml_text
    from rfsn_core.world.files import read_world
    from rfsn_core.world.guests import best_kind, profile

    runtimes = load_runtimes(world, config_file)
    said = runtimes.guests.said(npc_id)
    path = runtimes.world_dir / "npcs" / f"{new_id or npc_id}.toml"
    if path.exists():
        raise UserError(f"{path} exists already", hint="Choose another name with --as; nothing was written")
    file = profile(best_kind(read_world(runtimes.world_dir).kinds, said), said)
    values = file.model_dump(exclude_defaults=True, exclude_unset=True)
    path.write_text(NEW.format(name=said.name) + toml_text(values), "utf-8")
    if not new_id:
        runtimes.guests.remove(npc_id)
    click.echo(f"wrote {path}")

"""`rfsn import` and `rfsn export`: character cards, lorebooks and other people's files, in and out of a world."""

from __future__ import annotations

from pathlib import Path

import click

from rfsn_core.cli.groups import Group
from rfsn_core.cli.options import find_world
from rfsn_core.contract.errors import UserError

world_option = click.option(
    "--world", "world", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="The world's folder. Without it: $RFSN_WORLD, or this folder.",
)  # fmt: skip


def _own_world(folder: Path | None) -> Path:
    from rfsn_core.settings.folders import is_example

    world = find_world(folder)
    if is_example(world):
        raise UserError("no world of your own is here", hint="Name one with --world; `rfsn init FOLDER` makes one")
    return world


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@world_option
@click.option("--as", "new_id", default="", metavar="ID", help="Name of the NPC's or lore's file; for one file only.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.option("--replace", is_flag=True, help="Replace files that exist already.")
def import_files(files: tuple[Path, ...], world: Path | None, new_id: str, dry_run: bool, replace: bool) -> None:
    """Bring character cards, lorebooks, World Info and Mantella's overrides into a world.

    FILES are cards (PNG, APNG, JSON or CHARX; version 1 to 3), lorebooks and World Info (JSON), and override files
    of Mantella (JSON or CSV). What they say is data: it never becomes an instruction to a model.

    \b
    Example: rfsn import tilda.png --world my_world
    """
    from rfsn_core.world import importing

    folder = _own_world(world)
    if new_id and len(files) > 1:
        raise UserError("--as is for one file", hint="Import the files one by one")
    imports = [(path, importing.read(path, new_id)) for path in files]
    taken = [folder / target for _, item in imports for target in item.files if (folder / target).exists()]
    if taken and not replace:
        raise UserError(f"{taken[0]} exists already", hint="--replace replaces it, --as chooses another name")
    for path, item in imports:
        click.echo(f"{path.name}: {item.what}")
        for line in item.report.lines():
            click.echo(line)
        for target, content in item.files.items():
            if not dry_run:
                (folder / target).parent.mkdir(parents=True, exist_ok=True)
                data = content.encode() if isinstance(content, str) else content
                (folder / target).write_bytes(data)
            if target.parts[0] != "cards":
                click.echo(f"  {'would write' if dry_run else 'wrote'} {folder / target}")


@click.group(cls=Group)
def export() -> None:
    """Write NPCs of a world in other programs' formats.

    \b
    Example: rfsn export npc tilda --card tilda.png
    """


@export.command()
@click.argument("npc_id", metavar="ID")
@click.option(
    "--card", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="The character card to write: .png or .json.",
)  # fmt: skip
@world_option
def npc(npc_id: str, card: Path, world: Path | None) -> None:
    """Write an NPC as a character card, for SillyTavern and others.

    A card that was imported keeps all that its NPC's file has no place for, and its picture.

    \b
    Example: rfsn export npc tilda --card tilda.png --world my_world
    """
    from rfsn_core.world import importing

    importing.export_card(find_world(world), npc_id, card)
    click.echo(f"wrote {card}")

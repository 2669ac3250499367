"""`rfsn plugins`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from rfsn_core.cli.options import find_world
from rfsn_core.contract.errors import UserError
from rfsn_core.contract.provider import STAGES
from rfsn_core.plugins.discovery import Plugin, Plugins, discover


@click.command()
@click.argument("name", required=False)
@click.option("--world", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="The world's folder.")
def plugins(name: str | None, world: Path | None) -> None:
    """List the plugins, or explain one."""
    found = discover(world=find_world(world))
    console = Console()
    if name is None:
        _list(console, found)
        return
    item = next((item for item in found.found if name in (item.name, item.distribution)), None)
    if item is None:
        raise UserError(f"no plugin '{name}'", hint=f"There are: {', '.join(item.name for item in found.found)}")
    _explain(console, found, item)


def _list(console: Console, found: Plugins) -> None:
    table = Table("plugin", "version", "state", "offers", box=None, pad_edge=False)
    colours = {"loaded": "green", "blocked": "yellow", "failed": "red"}
    for item in found.found:
        offers = ", ".join(f"{stage}:{name}" for stage, name in _offers(found, item)) or ", ".join(item.hooks)
        state = f"[{colours[item.state]}]{item.state}[/]"
        table.add_row(item.name, item.version, state, item.reason or offers)
    console.print(table)
    for problem in found.problems:
        console.print(f"[red]{problem}[/red]")
    console.print("[dim]rfsn plugins NAME explains one; RFSN_BLOCK=name leaves it out.[/dim]")


def _explain(console: Console, found: Plugins, item: Plugin) -> None:
    console.print(
        f"[bold]{item.name}[/bold] from {item.label}: {item.state}{f', {item.reason}' if item.reason else ''}"
    )
    if item.hooks:
        console.print(f"hooks: {', '.join(item.hooks)}")
    for stage, name in _offers(found, item):
        provider = found.providers(stage)[name][0]
        console.print(f'\n\\[{stage}] provider = "{name}"   {provider.about}')
        for key, field in provider.settings.model_fields.items():
            default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
            console.print(f"  {key} = {default:.60}   {field.description or ''}", markup=False)


def _offers(found: Plugins, item: Plugin) -> list[tuple[str, str]]:
    return [(stage, name) for stage in STAGES for name, (_, owner) in found.providers(stage).items() if owner is item]

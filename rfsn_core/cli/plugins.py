"""`rfsn plugins`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rfsn_core.cli.options import find_world
from rfsn_core.contract.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from rfsn_core.plugins.discovery import Plugin, Plugins


@click.command()
@click.argument("name", required=False)
@click.option("--world", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="The world's folder.")
def plugins(name: str | None, world: Path | None) -> None:
    """List the plugins, or explain one.

    Without NAME: which plugins are loaded, blocked or failed, and what they offer. With NAME: the plugin's hooks,
    providers and their settings.

    \b
    Example: rfsn plugins tts_espeak
    """
    from rich.console import Console

    from rfsn_core.plugins.discovery import ON_DEMAND, discover

    plugins = discover(world=find_world(world))
    for hook in ON_DEMAND:  # those that fail are among the problems
        plugins.offers(hook)
    console = Console()
    if name is None:
        _list(console, plugins)
        return
    plugin = next((plugin for plugin in plugins.found if name in (plugin.name, plugin.distribution)), None)
    if plugin is None:
        raise UserError(f"no plugin '{name}'", hint=f"There are: {', '.join(plugin.name for plugin in plugins.found)}")
    _explain(console, plugins, plugin)


def _list(console: Console, plugins: Plugins) -> None:
    from rich.table import Table

    table = Table("plugin", "version", "state", "offers", box=None, pad_edge=False)
    colours = {"loaded": "green", "blocked": "yellow", "failed": "red"}
    for plugin in plugins.found:
        offers = ", ".join(f"{stage}:{name}" for stage, name in _offers(plugins, plugin)) or ", ".join(plugin.hooks)
        state = f"[{colours[plugin.state]}]{plugin.state}[/]"
        table.add_row(plugin.name, plugin.version, state, plugin.reason or offers)
    console.print(table)
    for problem in plugins.problems:
        console.print(f"[red]{problem}[/red]")
    console.print("[dim]`rfsn plugins NAME` explains a plugin; RFSN_BLOCK=NAME in the environment blocks it.[/dim]")


def _explain(console: Console, plugins: Plugins, plugin: Plugin) -> None:
    from rfsn_core.contract.stages import PROTOCOLS, class_flaws

    reason = f", {plugin.reason}" if plugin.reason else ""
    console.print(f"[bold]{plugin.name}[/bold] from {plugin.label}: {plugin.state}{reason}")
    if plugin.hooks:
        console.print(f"hooks: {', '.join(plugin.hooks)}")
    for stage, name in _offers(plugins, plugin):
        provider = plugins.providers(stage)[name][0]
        console.print(f'\n\\[{stage}] provider = "{name}"   {provider.about}')
        if provider.kind is not None and (problems := class_flaws(stage, provider.kind)):
            protocol = PROTOCOLS[stage].__name__
            text = f"  will not open: {provider.kind.__name__} is no {protocol}: {'; '.join(problems)}"
            console.print(text, style="red", markup=False, soft_wrap=True)
        for key, field in provider.settings.model_fields.items():
            default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
            console.print(f"  {key} = {default:.60}   {field.description or ''}", markup=False)


def _offers(plugins: Plugins, plugin: Plugin) -> list[tuple[str, str]]:
    """Return (stage, provider) of each provider of a plugin."""
    from rfsn_core.contract.stages import STAGES

    return [
        (stage, name) for stage in STAGES for name, (_, owner) in plugins.providers(stage).items() if owner is plugin
    ]

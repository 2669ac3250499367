"""The `rfsn` program."""

from __future__ import annotations

import sys
from functools import cached_property

import click

from rfsn_core.cli import config, decisions, engines, episode, fetch, memory, plugins, protocol, serve, talk, world
from rfsn_core.cli.options import find_world
from rfsn_core.contract.errors import PluginError, RfsnError, StoreError, UserError
from rfsn_core.plugins.discovery import discover


class Tour(click.Group):
    """Lists commands in the order in which a newcomer meets them; mistakes end in one line and exit code 2."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of registration, plugins' commands last."""
        return [*self.commands, *sorted(self._added)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Ours, or a plugin's; plugins are only looked for when the name is not ours."""
        return self.commands.get(name) or self._added.get(name)

    @cached_property
    def _added(self) -> dict[str, click.Command]:
        added: dict[str, click.Command] = {}
        try:
            world = find_world(None)
        except RfsnError:
            world = None
        for command, plugin in discover(world=world).offers("rfsn_commands"):
            name = command.name or ""
            if name in self.commands or name in added:
                click.echo(f"rfsn: plugin {plugin.label} offers a command '{name}', which there is already", err=True)
            else:
                added[name] = command
        return added

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; our own errors become one line."""
        try:
            return super().invoke(ctx)
        except RfsnError as error:
            for line in str(error).splitlines():
                click.echo(f"rfsn: {line}", err=True)
            ctx.exit(2 if isinstance(error, UserError | StoreError | PluginError) else 1)
        except OSError as error:
            click.echo(f"rfsn: {error}", err=True)
            ctx.exit(2)


@click.group(cls=Tour, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rfsn-core", prog_name="rfsn")
def main() -> None:
    """A mind and a voice for game NPCs.

    \b
    Try it:        rfsn say innkeeper "Good evening!"
    Talk to them:  rfsn chat innkeeper
    What it knows: rfsn memory show innkeeper
    Run a game:    rfsn serve, then open the page it names
    Your world:    rfsn init my_world, then rfsn serve --world my_world
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a Windows console may lack a character; never die of it


COMMANDS = (
    serve.serve, talk.say, talk.chat, world.init, config.config, engines.doctor, engines.models,
    engines.voices, fetch.fetch, engines.prompt, memory.memory,
    plugins.plugins, decisions.decision, decisions.replay,
    episode.episode, decisions.evaluate, protocol.protocol,
)  # fmt: skip
for command in COMMANDS:
    main.add_command(command)

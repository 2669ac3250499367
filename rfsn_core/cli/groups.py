"""Command groups: commands are imported when they run, not for `rfsn --help`, and no description is cut off."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import click

from rfsn_core.cli import installed

FULL = 1000
"""Characters; longer than any description, so that click never shortens one."""


class Command(NamedTuple):
    """A built-in command, as `rfsn --help` lists it."""

    section: str
    name: str
    target: str
    """`module:attribute`."""
    summary: str


class Group(click.Group):
    """A group whose `--help` shows the whole summary of each command, at any width."""

    def sections(self, ctx: click.Context) -> list[tuple[str, list[tuple[str, str]]]]:
        """Return the titles of the sections, each with its rows of (command, summary)."""
        names = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(FULL)) for name, command in names if command and not command.hidden]
        return [("Commands", rows)]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of their definition."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections."""
        for title, rows in self.sections(ctx):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class DefaultGroup(Group):
    """A group of which one command needs not be named: `rfsn episode NPC` is `rfsn episode run NPC`."""

    def __init__(self, *args: Any, default: str, **kwargs: Any) -> None:
        kwargs.setdefault("no_args_is_help", False)
        super().__init__(*args, **kwargs)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command in front, unless another is named."""
        if not args and not self.no_args_is_help:
            args = [self.default]
        elif args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


class Program(Group):
    """The `rfsn` program: built-in commands from a table, and those of plugins.

    Mistakes of the user end in one line on standard error and exit code 2.
    """

    def __init__(self, *args: Any, table: Sequence[Command] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = {command.name: command for command in table}

    def sections(self, ctx: click.Context) -> list[tuple[str, list[tuple[str, str]]]]:
        """Return the sections of the table, then the commands of plugins. Imports none of them."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for command in self.table.values():
            sections.setdefault(command.section, []).append((command.name, command.summary))
        added = {name: f"Added by {entry.distribution}." for name, entry in self._installed().items()}
        if _world_adds_commands():
            added |= {name: command.get_short_help_str(FULL) for name, command in self._of_files().items()}
        return [*sections.items(), ("From plugins", sorted(added.items()))]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the built-in commands in the order of the table, then those of plugins."""
        of_files = self._of_files() if _world_adds_commands() else {}
        return [*self.table, *sorted({*self._installed(), *of_files})]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command. Files of the world are searched only when no other command has the name."""
        if entry := self.table.get(name):
            return _load(entry.target)
        if plugin := self._installed().get(name):
            return _load(plugin.target)
        return self._of_files().get(name)

    def _installed(self) -> dict[str, installed.PluginCommand]:
        commands: dict[str, installed.PluginCommand] = {}
        for entry in installed.plugin_commands():
            if entry.name in self.table or entry.name in commands:
                _refuse(entry.distribution, entry.name)
            else:
                commands[entry.name] = entry
        return commands

    def _of_files(self) -> dict[str, click.Command]:
        """Return the commands that plugins offer by the hook `rfsn_commands`."""
        from rfsn_core.cli.options import find_world
        from rfsn_core.contract.errors import RfsnError
        from rfsn_core.plugins.discovery import discover

        try:
            world = find_world(None)
        except (RfsnError, OSError):
            world = None
        commands: dict[str, click.Command] = {}
        for command, plugin in discover(world=world).offers("rfsn_commands"):
            name = command.name or ""
            if name in self.table or name in commands:
                _refuse(plugin.label, name)
            else:
                commands[name] = command
        return commands

    def main(self, args: Sequence[str] | None = None, *more: Any, **kwargs: Any) -> Any:
        """Run the program. A console that lacks a character shows '?' in its place."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        arguments = sys.argv[1:] if args is None else args
        return super().main([_as_utf8(argument) for argument in arguments], *more, **kwargs)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command. Errors of RFSN and of the file system become one line each and an exit code."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader of our output has closed it; click ends quietly
        except OSError as error:
            _echo_error(str(error))
            ctx.exit(2)
        except Exception as error:
            from rfsn_core.contract.errors import PluginError, RfsnError, StoreError, UserError

            if not isinstance(error, RfsnError):
                raise
            _echo_error(str(error))
            ctx.exit(2 if isinstance(error, UserError | StoreError | PluginError) else 1)


def _echo_error(message: str) -> None:
    """Print an error, without the keys and passwords that may be part of it."""
    from rfsn_core.telemetry.redaction import SECRETS

    for line in SECRETS.redact(message).splitlines():
        click.echo(f"rfsn: {line}", err=True)


def _as_utf8(argument: str) -> str:
    """Return an argument as it was typed, where the locale is ASCII and Python could not decode it."""
    return argument if argument.isascii() else os.fsencode(argument).decode("utf-8", "replace")


def _load(target: str) -> click.Command:
    module, _, attribute = target.partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command


def _refuse(owner: str, name: str) -> None:
    click.echo(f"rfsn: plugin {owner} offers a command '{name}', which exists already", err=True)


def _world_adds_commands() -> bool:
    """Return whether a plugin file of the world mentions the hook for commands. Runs none of them."""
    folder = os.path.join(os.environ.get("RFSN_WORLD") or os.curdir, "plugins")
    return any(b"rfsn_commands" in content for content in _contents(folder))


def _contents(folder: str) -> Iterable[bytes]:
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".py"))
    except OSError:
        return
    for name in names:
        try:
            with open(os.path.join(folder, name), "rb") as file:
                yield file.read()
        except OSError:
            continue

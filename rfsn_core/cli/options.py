"""What several commands share: options, finding the world, loading its plugins."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rfsn_core.contract.errors import UserError

if TYPE_CHECKING:
    from rfsn_core.runtime.builder import Runtimes

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Number(click.FloatRange):
    """A number within bounds. click lets NaN and infinity pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number, or end the command with the reason why it is none."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


def world_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--world` and `--config`."""
    command = click.option(
        "--config",
        "config_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Settings file, instead of the world's own.",
    )(command)
    return click.option(
        "--world",
        "world",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="The world's folder. Without it: $RFSN_WORLD, this folder, or the example world.",
    )(command)


def save_option(default: str = "default", help: str = "The save or campaign.") -> Decorator:
    """Return an option `--save`."""
    return click.option("--save", default=default, show_default=bool(default), help=help)


def player_option(default: str = "player", help: str = "The name of the player.") -> Decorator:
    """Return an option `--player`."""
    return click.option("--player", default=default, show_default=bool(default), help=help)


def json_option(help: str) -> Decorator:
    """Return a flag `--json`, passed as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help=help)


state_option = click.option(
    "--state",
    "state_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A file with the game's state, a JSON object.",
)


def read_state(path: Path | None) -> dict[str, Any]:
    """Read a game's state from a file; without one it is empty. Raises UserError when it is not a JSON object."""
    if path is None:
        return {}

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    try:
        state = json.loads(path.read_text("utf-8-sig"), parse_constant=refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a JSON object: {error}") from error
    if not isinstance(state, dict):
        raise UserError(f"{path}: must be a JSON object, not {type(state).__name__}")
    return state


def read_lines(file: Path) -> list[str]:
    """Return the lines of a text file. Raises UserError when it is not UTF-8."""
    try:
        return file.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: is not UTF-8 text", hint="Save it as UTF-8") from error


def find_world(folder: Path | None) -> Path:
    """Return the world's folder. Raises UserError when it is not a world."""
    named = folder or (Path(os.environ["RFSN_WORLD"]) if os.environ.get("RFSN_WORLD") else None)
    if named is not None:
        if not (named / "npcs").is_dir():
            raise UserError(f"{named} is not a world: it has no folder 'npcs'", hint="`rfsn init FOLDER` makes one")
        return named.resolve()
    if (Path.cwd() / "npcs").is_dir():
        return Path.cwd()
    from rfsn_core.settings.folders import example_world

    return example_world()


def load_runtimes(
    world: Path | None, config_file: Path | None, overrides: Mapping[str, Any] | None = None, worker: str = ""
) -> Runtimes:
    """Load the plugins for a world; its settings are read and providers opened when the runtimes are used."""
    from rfsn_core.plugins.discovery import discover
    from rfsn_core.runtime.builder import Runtimes

    folder = find_world(world)
    return Runtimes(folder, discover(world=folder), config_file=config_file, overrides=overrides, worker=worker)

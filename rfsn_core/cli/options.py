"""What several commands have in common: finding the world, and opening a kernel on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from rfsn_core.contract.errors import UserError
from rfsn_core.plugins.discovery import discover
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.settings.folders import example_world


def world_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--world` and `--config`."""
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


def find_world(given: Path | None) -> Path:
    """The world's folder. Raises UserError when it does not exist."""
    named = given or (Path(os.environ["RFSN_WORLD"]) if os.environ.get("RFSN_WORLD") else None)
    if named is not None:
        if not (named / "npcs").is_dir():
            raise UserError(f"{named} is not a world: it has no folder 'npcs'", hint="`rfsn init FOLDER` makes one")
        return named.resolve()
    if (Path.cwd() / "npcs").is_dir():
        return Path.cwd()
    return example_world()


def runtimes(
    world: Path | None, config_file: Path | None, overrides: Mapping[str, Any] | None = None, worker: str = ""
) -> Runtimes:
    """Plugins found, nothing opened yet."""
    folder = find_world(world)
    return Runtimes(folder, discover(world=folder), config_file=config_file, overrides=overrides, worker=worker)

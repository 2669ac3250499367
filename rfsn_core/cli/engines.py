"""`rfsn doctor`, `rfsn models`, `rfsn voices` and `rfsn prompt`: what the engines need, have, and are asked."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from rfsn_core import protocol
from rfsn_core.cli.options import runtimes, world_options
from rfsn_core.cli.talk import read_state
from rfsn_core.contract.errors import RfsnError, StoreInUse, UserError, contained
from rfsn_core.contract.rendering import Prompt
from rfsn_core.kernel import running
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.telemetry import logs

PATIENCE = 15.0
"""Seconds for one engine to open, and to say how it is."""


@click.command()
@world_options
def doctor(world: Path | None, config_file: Path | None) -> None:
    """Open every engine of the settings, ask how it is, and say what to do where something is wrong."""
    found = runtimes(world, config_file)
    logs.configure("error")
    console = Console(highlight=False)
    console.print(f"world: {found.world_dir}", markup=False, soft_wrap=True)
    wrong = asyncio.run(_doctor(found, console))
    for item in found.plugins.found:
        if item.state == "failed":
            wrong += 1
            _line(console, False, f"plugin {item.name}", f"{item.label}: {item.reason}")
    if wrong:
        raise UserError(f"{wrong} of them will not work")


def _line(console: Console, good: bool, what: str, text: str) -> None:
    mark = "[green]ok   [/green]" if good else "[red]wrong[/red]"
    console.print(mark, end=" ")
    console.print(f"{what}: {text}", markup=False, soft_wrap=True)


async def _doctor(found: Runtimes, console: Console) -> int:
    chosen = await found.chosen()
    _line(console, True, "settings, world and prompts", "valid")
    wrong = 0
    for stage, name in chosen:
        try:
            _line(console, True, f"{stage}, {name}", await _examined(found, stage, name))
        except StoreInUse:
            _line(console, True, f"{stage}, {name}", "in use, by a server that runs")
        except TimeoutError:
            wrong += 1
            _line(console, False, f"{stage}, {name}", f"no answer in {PATIENCE:g} s")
        except RfsnError as error:
            wrong += 1
            _line(console, False, f"{stage}, {name}", str(error))
    return wrong


async def _examined(found: Runtimes, stage: str, name: str) -> str:
    async with asyncio.timeout(PATIENCE):
        opened = await found.open_alone(stage, name)
    try:
        health = getattr(opened.value, "health", None)
        if health is None:
            return "opens"
        with contained():
            async with asyncio.timeout(PATIENCE):
                return str(await health())
    finally:
        await opened.close()


@click.command()
@click.argument("provider", required=False, default="")
@world_options
def models(provider: str, world: Path | None, config_file: Path | None) -> None:
    """List the models that the world's renderer, or PROVIDER among its fallbacks, has."""
    _list(runtimes(world, config_file), "rendering", provider, "models")


@click.command()
@click.argument("provider", required=False, default="")
@world_options
def voices(provider: str, world: Path | None, config_file: Path | None) -> None:
    """List the voices that the world's speech engine, or PROVIDER among its fallbacks, has."""
    _list(runtimes(world, config_file), "speech", provider, "voices")


def _list(found: Runtimes, stage: str, provider: str, what: str) -> None:
    async def listed() -> list[str]:
        opened = await found.open_alone(stage, provider)
        try:
            ask = getattr(opened.value, what, None)
            if ask is None:
                hint = f"Name a provider that has: rfsn {what} PROVIDER"
                raise UserError(f"'{opened.key[1]}' has no {what}", hint=hint)
            with contained():
                return [str(name) for name in await ask()]
        finally:
            await opened.close()

    logs.configure("error")
    for name in asyncio.run(listed()):
        click.echo(name)


@click.command()
@click.argument("npc")
@click.argument("text")
@world_options
@click.option("--player", default="player", show_default=True, help="Who is speaking.")
@click.option(
    "--state",
    "state_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The game's state, a JSON object.",
)
@click.option("--json", "as_json", is_flag=True, help="All of it, as JSON.")
def prompt(
    npc: str,
    text: str,
    world: Path | None,
    config_file: Path | None,
    player: str,
    state_file: Path | None,
    as_json: bool,
) -> None:
    """Print what a model would be asked if the player said TEXT to NPC. Nothing is said or remembered."""
    message = protocol.PlayerTurn(npc=npc, player=player, text=text, state=read_state(state_file) if state_file else {})
    found = runtimes(world, config_file, {"rendering": {"provider": "scripted"}, "speech": {"provider": "silent"}})
    logs.configure("warning")
    made = asyncio.run(_preview(found, message))
    if as_json:
        click.echo(json.dumps(asdict(made), indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    for part in made.messages:
        console.print(f"[dim]── {part.role} ──[/dim]")
        console.print(part.content, markup=False, soft_wrap=True)
    console.print(f"[dim]── {made.action} · {made.style} · about {made.tokens} tokens ──[/dim]")
    for note in made.notes:
        console.print(note, style="yellow", markup=False, soft_wrap=True)


async def _preview(found: Runtimes, message: protocol.PlayerTurn) -> Prompt:
    try:
        async with running(found) as kernel:
            return await kernel.preview(message)
    except StoreInUse as error:
        raise UserError(error.message, hint="Ask the server that runs: POST /api/prompt") from error

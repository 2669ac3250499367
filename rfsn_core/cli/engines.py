"""`rfsn doctor`, `models`, `voices` and `prompt`: whether providers work, what they have, and what they are asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rfsn_core.cli.options import json_option, load_runtimes, player_option, read_state, state_option, world_options
from rfsn_core.contract.errors import RfsnError, StoreInUse, UserError, contained

if TYPE_CHECKING:
    from rich.console import Console

    from rfsn_core import protocol
    from rfsn_core.contract.rendering import Prompt
    from rfsn_core.runtime.builder import Runtimes

PATIENCE = 15.0
"""Seconds for a provider to open, and again for its health check."""
NEWEST_DECISIONS = 500
"""Decisions in which unknown fields of the game's state are looked for."""


@click.command()
@world_options
def doctor(world: Path | None, config_file: Path | None) -> None:
    """Open every provider and report what does not work.

    Checks the settings, the world and its prompts, opens each provider and runs its health check. Each line that
    says "wrong" also says what to do.

    \b
    Example: rfsn doctor --world my_world
    """
    from rich.console import Console

    from rfsn_core.telemetry import logs

    runtimes = load_runtimes(world, config_file)
    logs.configure("error")
    console = Console(highlight=False)
    console.print(f"world: {runtimes.world_dir}", markup=False, soft_wrap=True)
    wrong = asyncio.run(_examine_all(runtimes, console))
    _note_unknown_fields(runtimes, console)
    for plugin in runtimes.plugins.found:
        if plugin.state == "failed":
            wrong += 1
            _line(console, False, f"plugin {plugin.name}", f"{plugin.label}: {plugin.reason}")
    if wrong:
        raise UserError("1 problem was found" if wrong == 1 else f"{wrong} problems were found")


def _note_unknown_fields(runtimes: Runtimes, console: Console) -> None:
    """Print which fields of the game's state the newest decisions do not know."""
    from rfsn_core.learning.log_files import read_tree
    from rfsn_core.learning.records import DecisionRecord
    from rfsn_core.learning.unknown_fields import unknown_fields

    decisions = read_tree(runtimes.data_dir, DecisionRecord)[-NEWEST_DECISIONS:]
    for field in unknown_fields(decisions):
        console.print("[yellow]note [/yellow]", end=" ")
        console.print(f"game state: {field.words}", markup=False, soft_wrap=True)


def _line(console: Console, good: bool, what: str, text: str) -> None:
    mark = "[green]ok   [/green]" if good else "[red]wrong[/red]"
    console.print(mark, end=" ")
    console.print(f"{what}: {text}", markup=False, soft_wrap=True)


async def _examine_all(runtimes: Runtimes, console: Console) -> int:
    """Examine the chosen providers and return how many do not work."""
    with console.status("Checking the settings and the world …"):
        chosen = await runtimes.chosen()
    _line(console, True, "settings, world and prompts", "valid")
    wrong = 0
    for stage, name in chosen:
        try:
            with console.status(f"Opening {stage}, {name} …"):
                result = await _examine(runtimes, stage, name)
            _line(console, True, f"{stage}, {name}", result)
        except StoreInUse:
            _line(console, True, f"{stage}, {name}", "in use by a running server")
        except TimeoutError:
            wrong += 1
            _line(console, False, f"{stage}, {name}", f"no answer in {PATIENCE:g} s")
        except RfsnError as error:
            wrong += 1
            _line(console, False, f"{stage}, {name}", str(error))
    return wrong


async def _examine(runtimes: Runtimes, stage: str, name: str) -> str:
    """Open a provider and return its own word on its health. Raises RfsnError or TimeoutError."""
    from rfsn_core.contract.capabilities import HasHealth

    async with asyncio.timeout(PATIENCE):
        opened = await runtimes.open_alone(stage, name)
    try:
        if not isinstance(opened.value, HasHealth):
            return "opens"
        with contained():
            async with asyncio.timeout(PATIENCE):
                return str(await opened.value.health())
    finally:
        await opened.close()


@click.command()
@click.argument("provider", required=False, default="")
@world_options
def models(provider: str, world: Path | None, config_file: Path | None) -> None:
    """List the models of the rendering provider.

    PROVIDER is the one in the settings, or one of its fallbacks; without it, the first.

    \b
    Example: rfsn models ollama --world my_world
    """
    _list(load_runtimes(world, config_file), "rendering", provider, _models)


@click.command()
@click.argument("provider", required=False, default="")
@world_options
def voices(provider: str, world: Path | None, config_file: Path | None) -> None:
    """List the voices of the speech provider.

    PROVIDER is the one in the settings, or one of its fallbacks; without it, the first.

    \b
    Example: rfsn voices espeak --world my_world
    """
    _list(load_runtimes(world, config_file), "speech", provider, _voices)


async def _models(name: str, renderer: Any) -> Sequence[str]:
    from rfsn_core.contract.capabilities import ListsModels

    if not isinstance(renderer, ListsModels):
        raise UserError(f"'{name}' has no models", hint="Name a provider that has them: rfsn models PROVIDER")
    return await renderer.models()


async def _voices(name: str, voice: Any) -> Sequence[str]:
    from rfsn_core.contract.capabilities import ListsVoices

    if not isinstance(voice, ListsVoices):
        raise UserError(f"'{name}' has no voices", hint="Name a provider that has them: rfsn voices PROVIDER")
    return await voice.voices()


def _list(runtimes: Runtimes, stage: str, provider: str, ask: Callable[[str, Any], Awaitable[Sequence[str]]]) -> None:
    from rfsn_core.telemetry import logs

    async def names() -> list[str]:
        opened = await runtimes.open_alone(stage, provider)
        try:
            with contained():
                return [str(name) for name in await ask(opened.key[1], opened.value)]
        finally:
            await opened.close()

    logs.configure("error")
    for name in asyncio.run(names()):
        click.echo(name)


@click.command()
@click.argument("npc")
@click.argument("text")
@world_options
@player_option()
@state_option
@json_option("Print the prompt with all its details as JSON.")
def prompt(
    npc: str,
    text: str,
    world: Path | None,
    config_file: Path | None,
    player: str,
    state_file: Path | None,
    as_json: bool,
) -> None:
    """Print the prompt that a model would receive.

    It is the prompt for the player saying TEXT to NPC now. No model is asked and nothing is remembered.

    \b
    Example: rfsn prompt innkeeper "When does the ferry run?"
    """
    from dataclasses import asdict

    from rich.console import Console

    from rfsn_core import protocol
    from rfsn_core.telemetry import logs

    message = protocol.PlayerTurn(npc=npc, player=player, text=text, state=read_state(state_file))
    overrides = {"rendering": {"provider": "scripted"}, "speech": {"provider": "silent"}}
    runtimes = load_runtimes(world, config_file, overrides)
    logs.configure("warning")
    prompt = asyncio.run(_preview(runtimes, message))
    if as_json:
        click.echo(json.dumps(asdict(prompt), indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    for part in prompt.messages:
        console.print(f"[dim]── {part.role} ──[/dim]")
        console.print(part.content, markup=False, soft_wrap=True)
    console.print(f"[dim]── {prompt.action} · {prompt.style} · about {prompt.tokens} tokens ──[/dim]")
    for note in prompt.notes:
        console.print(note, style="yellow", markup=False, soft_wrap=True)


async def _preview(runtimes: Runtimes, message: protocol.PlayerTurn) -> Prompt:
    from rfsn_core.kernel import running

    try:
        async with running(runtimes) as kernel:
            return await kernel.preview(message)
    except StoreInUse as error:
        raise UserError(error.message, hint="Ask the running server: POST /api/prompt") from error

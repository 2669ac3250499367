"""`rfsn say` and `rfsn chat`: turns in this process, without a server."""

from __future__ import annotations

import asyncio
import json
import wave
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from rfsn_core import protocol
from rfsn_core.cli.loudspeaker import Loudspeaker
from rfsn_core.cli.options import runtimes, world_options
from rfsn_core.contract.errors import UserError
from rfsn_core.kernel import conversation, running
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.telemetry import logs
from rfsn_core.turn.outbox import Audio, Item


@click.command()
@click.argument("npc")
@click.argument("text")
@world_options
@click.option("--player", default="player", show_default=True, help="Who is speaking.")
@click.option("--json", "as_json", is_flag=True, help="Print the wire events, one a line.")
@click.option("--wav", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the speech there.")
@click.option(
    "--state",
    "state_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The game's state, a JSON object.",
)
def say(
    npc: str, text: str, world: Path | None, config_file: Path | None, player: str, as_json: bool, wav: Path | None,
    state_file: Path | None,
) -> None:  # fmt: skip
    """Say TEXT to NPC, once, and show what comes back."""
    state = read_state(state_file) if state_file else {}
    turn = protocol.PlayerTurn(npc=npc, player=player, text=text, state=state)
    found = runtimes(world, config_file)
    logs.configure("warning")
    failed = asyncio.run(_say(found, turn, as_json, wav))
    if failed:
        raise UserError(failed)


def read_state(path: Path) -> dict[str, Any]:
    """A game state from a file. Raises UserError when it is not a JSON object."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    try:
        state = json.loads(path.read_text("utf-8-sig"), parse_constant=refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a JSON object: {error}") from error
    if not isinstance(state, dict):
        raise UserError(f"{path}: must be a JSON object, not {type(state).__name__}")
    return state


async def _say(found: Runtimes, turn: protocol.PlayerTurn, as_json: bool, wav: Path | None) -> str:
    console = Console(highlight=False)
    pcm: list[bytes] = []
    rate = 0
    async with running(found) as kernel:
        async for item in conversation(kernel, turn, protocol.Hello(audio=wav is not None, visemes=as_json)):
            if isinstance(item, Audio):
                pcm.append(protocol.read_audio_frame(item.frame).pcm)
                continue
            if isinstance(item, protocol.SpeechStarted):
                rate = item.sample_rate
            if as_json:
                click.echo(protocol.encode(item).decode())
            else:
                show(console, item)
            if isinstance(item, protocol.TurnFailed):
                return item.message
    if wav is not None:
        if not rate:
            raise UserError("there was no speech to write", hint='Set `provider = "espeak"` in [speech]')
        with wave.open(str(wav), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(b"".join(pcm))
    return ""


def show(console: Console, item: Item) -> None:
    """An event, for people."""
    match item:
        case protocol.Decision():
            forced = f", forced by {item.forced_by}" if item.forced_by else ""
            console.print(f"[dim]{item.action} · {item.style} (heard: {item.signal}{forced})[/dim]")
        case protocol.Sentence():
            console.print(item.text, markup=False)
        case protocol.SentenceBlocked():
            console.print(f"[yellow]({item.verdict}: {', '.join(item.reasons)})[/yellow]")
        case protocol.SpeechDropped():
            console.print(f"[yellow](sentence {item.sentence} is not spoken: {item.reason})[/yellow]")
        case protocol.SpeechOff():
            console.print(f"[yellow](speech is off: {item.reason})[/yellow]")
        case protocol.State():
            console.print(f"[dim]{item.mood}, {item.relationship}, trust {item.trust:.2f}, fear {item.fear:.2f}[/dim]")
        case protocol.TurnFinished() if item.reason != "complete" or not item.durable:
            console.print(f"[yellow]({item.reason}{'' if item.durable else ', not yet stored'})[/yellow]")


@click.command()
@click.argument("npc")
@world_options
@click.option("--player", default="player", show_default=True, help="Who is speaking.")
@click.option("--mute", is_flag=True, help="Only read what the NPC says.")
def chat(npc: str, world: Path | None, config_file: Path | None, player: str, mute: bool) -> None:
    """Talk with NPC until an empty line. It is heard when a voice is set and this machine can play sound."""
    found = runtimes(world, config_file)
    logs.configure("warning")
    asyncio.run(_chat(found, npc, player, mute))


async def _chat(found: Runtimes, npc: str, player: str, mute: bool) -> None:
    console = Console(highlight=False)
    async with running(found) as kernel:
        name = found.current.world.npc(npc).name
        console.print(f"[dim]You talk with {name}. An empty line ends it.[/dim]")
        speaker = None if mute else _loudspeaker(console, found)
        while True:
            try:
                text = await asyncio.to_thread(console.input, "[bold]> [/bold]")
            except EOFError:
                return
            if not text.strip():
                return
            turn = protocol.PlayerTurn(npc=npc, player=player, text=text[: protocol.MAX_TEXT])
            try:
                await _heard(console, conversation(kernel, turn, protocol.Hello(audio=speaker is not None)), speaker)
            except UserError as error:
                speaker = None
                console.print(f"({error})", style="dim", markup=False)


def _loudspeaker(console: Console, found: Runtimes) -> Loudspeaker | None:
    if not any(voice.provider.sample_rate for voice in found.current.voices):
        console.print('[dim]The NPC has no voice: `provider = "espeak"` in \\[speech] gives it one.[/dim]')
        return None
    try:
        return Loudspeaker()
    except UserError as error:
        console.print(f"({error})", style="dim", markup=False)
        return None


async def _heard(console: Console, items: AsyncGenerator[Item], speaker: Loudspeaker | None) -> None:
    """Show what comes, and play it; the next turn waits for the last word."""
    rate = 0
    try:
        async with aclosing(items) as stream:
            async for item in stream:
                if isinstance(item, Audio):
                    if speaker is not None and (pcm := protocol.read_audio_frame(item.frame).pcm):
                        await speaker.play(pcm, rate)
                    continue
                if isinstance(item, protocol.SpeechStarted):
                    rate = item.sample_rate
                show(console, item)
        if speaker is not None:
            await speaker.drain()
    finally:
        if speaker is not None:
            speaker.stop()

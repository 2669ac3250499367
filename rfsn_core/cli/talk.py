"""`rfsn say` and `rfsn chat`: turns on the running server, or in this process."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from rfsn_core import protocol
from rfsn_core.cli.options import json_option, load_runtimes, player_option, read_state, state_option, world_options
from rfsn_core.cli.play import Play
from rfsn_core.cli.running_server import address_of, turn_on
from rfsn_core.cli.typed_lines import TypedLines
from rfsn_core.contract.errors import UserError
from rfsn_core.kernel import conversation, running
from rfsn_core.telemetry import logs
from rfsn_core.turn.outbox import Audio, Item

if TYPE_CHECKING:
    from rfsn_core.cli.loudspeaker import Loudspeaker
    from rfsn_core.runtime.builder import Runtimes


@click.command()
@click.argument("npc")
@click.argument("text")
@world_options
@player_option()
@json_option("Print the events of the websocket protocol, one per line.")
@click.option("--wav", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the speech there.")
@state_option
def say(
    npc: str, text: str, world: Path | None, config_file: Path | None, player: str, as_json: bool, wav: Path | None,
    state_file: Path | None,
) -> None:  # fmt: skip
    """Say one thing to an NPC and show the answer.

    NPC is the name of its file in the world's folder `npcs`, or its own name. The turn runs on the world's server if
    one is running, else in this process, and is remembered like any other.

    \b
    Example: rfsn say innkeeper "Good evening!"
    """
    turn = protocol.PlayerTurn(npc=npc, player=player, text=text, state=read_state(state_file))
    if wav is not None and not wav.parent.is_dir():
        raise UserError(f"{wav}: there is no folder '{wav.parent}'", hint="Create it, or choose another file for --wav")
    runtimes = load_runtimes(world, config_file)
    logs.configure("warning")
    failed = asyncio.run(_say(runtimes, turn, as_json, wav))
    if failed:
        raise UserError(failed)


async def _say(runtimes: Runtimes, turn: protocol.PlayerTurn, as_json: bool, wav: Path | None) -> str:
    console = Console(highlight=False)
    pcm: list[bytes] = []
    rate = 0
    wants = protocol.Hello(audio=wav is not None, visemes=as_json)
    async with aclosing(_items(runtimes, turn, wants)) as items:
        async for item in items:
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
        with wav.open("wb") as output, wave.open(output, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(b"".join(pcm))
    return ""


async def _items(runtimes: Runtimes, turn: protocol.PlayerTurn, wants: protocol.Hello) -> AsyncGenerator[Item]:
    """Yield all that a turn sends: on the running server, else in this process."""
    address, key = await address_of(runtimes)
    if address:
        async for item in turn_on(address, key, turn, wants):
            yield item
        return
    async with running(runtimes) as kernel:
        async for item in conversation(kernel, turn, wants):
            yield item


def show(console: Console, item: Item) -> None:
    """Print an event for people."""
    match item:
        case protocol.Decision():
            forced = f", forced by {item.forced_by}" if item.forced_by else ""
            console.print(f"[dim]{item.action} · {item.style} (heard: {item.signal}{forced})[/dim]")
        case protocol.Sentence():
            console.print(item.text, markup=False)
        case protocol.Narration():
            console.print(item.text, markup=False, style="italic dim")
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
@player_option()
@click.option("--mute", is_flag=True, help="Do not play the voice.")
def chat(npc: str, world: Path | None, config_file: Path | None, player: str, mute: bool) -> None:
    """Talk with an NPC until you enter an empty line.

    You hear the NPC when the settings choose a voice and this machine can play sound. A line such as /gift or
    /promise_kept is a deed that the NPC sees, /with NPC turns to somebody else, and /flag NAME sets a flag of the game.
    The facts that you are told are flags, too.

    \b
    Example: rfsn chat innkeeper
    """
    runtimes = load_runtimes(world, config_file)
    logs.configure("warning")
    asyncio.run(_chat(runtimes, npc, player, mute))


async def _chat(runtimes: Runtimes, npc: str, player: str, mute: bool) -> None:
    console = Console(highlight=False)
    async with running(runtimes) as kernel:
        play = Play(kernel, runtimes.current.world.npc(npc).id, player)
        console.print(f"[dim]You talk with {play.name}. Enter an empty line to stop.[/dim]")
        speaker = None if mute else _open_loudspeaker(console, runtimes)
        lines = TypedLines()
        while True:
            console.print("[bold]> [/bold]", end="")
            try:
                text = await lines.next()
            except EOFError:
                return
            if not text.strip():
                return
            try:
                done = await play.command(text)
            except UserError as error:
                done = f"({error})"
            if done is not None:
                console.print(done, style="dim", markup=False)
                continue
            try:
                events = conversation(kernel, play.turn(text), protocol.Hello(audio=speaker is not None))
                await _show_and_play(console, play.noted(events), speaker)
            except UserError as error:
                speaker = None
                console.print(f"({error})", style="dim", markup=False)


def _open_loudspeaker(console: Console, runtimes: Runtimes) -> Loudspeaker | None:
    """Open the audio device; None, with a note, when there is no voice or no device."""
    from rfsn_core.cli.loudspeaker import Loudspeaker

    if not any(voice.provider.sample_rate for voice in runtimes.current.voices):
        console.print('[dim]The NPC has no voice: `provider = "espeak"` in \\[speech] gives it one.[/dim]')
        return None
    try:
        return Loudspeaker()
    except UserError as error:
        console.print(f"({error})", style="dim", markup=False)
        return None


async def _show_and_play(console: Console, items: AsyncGenerator[Item], speaker: Loudspeaker | None) -> None:
    """Show the events of a turn and play its speech until the last word."""
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

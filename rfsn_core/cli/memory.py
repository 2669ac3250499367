"""`rfsn memory`: show and edit what NPCs remember, by asking the server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from rfsn_core.cli.ask_server import ask_server, get, post, read_answer
from rfsn_core.cli.groups import Group
from rfsn_core.cli.options import json_option, player_option, save_option, world_options
from rfsn_core.contract.errors import UserError

if TYPE_CHECKING:
    import httpx
    from rich.console import Console

# ── what the commands share ──────────────────────────────────────────────────────────────────────


@click.group(cls=Group)
def memory() -> None:
    """Show and edit what NPCs remember; snapshots and backups.

    If a server runs on the world, it does the work, so the commands are safe while a game is played.

    \b
    Example: rfsn memory show innkeeper
             rfsn memory backups --make
    """


def conversation_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--player` and `--save`, which name one conversation of an NPC."""
    return player_option()(save_option()(command))


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--npc`, `--player` and `--save`, each of which restricts what the command touches."""
    command = player_option("", "Only this player.")(save_option("", "Only this save or campaign.")(command))
    return click.option("--npc", default="", help="Only this NPC, by its id.")(command)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _format_time(moment: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment)) if moment else ""


# ── showing ──────────────────────────────────────────────────────────────────────────────────────


@memory.command()
@click.argument("npc")
@conversation_options
@json_option("Print the whole answer as JSON.")
@world_options
def show(npc: str, player: str, save: str, as_json: bool, **place: Any) -> None:
    """Show what an NPC knows about a player.

    Each memory has its source, its confidence and its status: active, quarantined, forgotten or expired. An asterisk
    marks those that come to mind first.

    \b
    Example: rfsn memory show innkeeper --player Aldric
    """
    from rich.table import Table

    known = get(place, f"/api/memory/{quote(npc)}", player=player, save=save)
    if as_json:
        click.echo(json.dumps(known, ensure_ascii=False, indent=2))
        return
    console = _console()
    console.print(f"{known['name']} and {player}, in {save}", style="bold", markup=False)
    if known["state"] is None:
        console.print("They have not met.")
        return
    state = known["state"]
    console.print(
        f"{state['mood']}, {state['relationship']}, affinity {state['affinity']:.2f}, trust {state['trust']:.2f},"
        f" fear {state['fear']:.2f}, after {state['turns']} turns"
    )
    if counted := {k: v for k, v in (known["card"] or {}).items() if k not in ("trust", "affinity", "trajectory")}:
        console.print("card: " + json.dumps(counted, ensure_ascii=False), markup=False)
    if moods := (known["card"] or {}).get("trajectory"):
        console.print("moods: " + " → ".join(f"{mood} {affinity:+.2f}" for _, mood, affinity in moods[-8:]))
    table = Table("id", "memory", "source", "confidence", "time", "status")
    for memory in known["memories"]:
        status = "expired" if memory["expired"] else memory["status"]
        reason = f"{status}: {memory['reason']}" if memory["reason"] else status
        mark = "*" if memory["memory_id"] in known["salient"] else ""
        table.add_row(
            memory["memory_id"] + mark, memory["text"], f"{memory['source']}, {memory['kind']}",
            f"{memory['confidence']:.2f}", _format_time(memory["time"]), reason,
            style="" if status == "active" else "dim",
        )  # fmt: skip
    if known["memories"]:
        console.print(table, markup=False)
        console.print("* comes to mind first. `rfsn memory judge` activates or forgets a memory.", style="dim")
    for turn in known["turns"]:
        console.print(f"{_format_time(turn['time'])}  {turn['player_text']}", markup=False)
        if turn["npc_text"]:
            console.print(f"                  {turn['npc_text']}", markup=False, style="dim")


@memory.command()
@click.argument("npc")
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 100), help="Most turns to show.")
@conversation_options
@world_options
def search(npc: str, words: tuple[str, ...], limit: int, player: str, save: str, **place: Any) -> None:
    """Find turns that contain words, the most relevant first.

    \b
    Example: rfsn memory search innkeeper ferry
    """
    query = " ".join(words)
    path = f"/api/memory/{quote(npc)}/search"
    turns = get(place, path, player=player, save=save, q=query, limit=limit)["turns"]
    for turn in turns:
        _console().print(
            f"{turn['relevance']:6.2f}  {_format_time(turn['time'])}  {turn['player_text']} — {turn['npc_text']}",
            markup=False,
        )
    if not turns:
        click.echo("Nothing found.")


@memory.command()
@click.argument("npc")
@world_options
def stats(npc: str, **place: Any) -> None:
    """Show how much an NPC remembers, since when, and which operations changed the store.

    \b
    Example: rfsn memory stats innkeeper
    """
    stats = get(place, f"/api/memory/{quote(npc)}/stats")
    for name, value in stats.items():
        if name != "done":
            click.echo(f"{name}: {_format_time(value) if name in ('first', 'last') else value}")
    for operation in stats.get("done", ()):
        click.echo(f"{_format_time(operation['time'])}  {operation['what']}")


# ── editing ──────────────────────────────────────────────────────────────────────────────────────


@memory.command()
@click.argument("npc")
@click.argument("text")
@conversation_options
@world_options
def tell(npc: str, text: str, player: str, save: str, **place: Any) -> None:
    """Add a memory: NPC knows TEXT about a player.

    \b
    Example: rfsn memory tell innkeeper "The player limps." --player Aldric
    """
    memory = post(place, f"/api/memory/{quote(npc)}", player=player, save=save, text=text)
    reason = f", {memory['reason']}" if memory["reason"] else ""
    click.echo(f"{memory['memory_id']}: {memory['status']}{reason}")


@memory.command()
@click.argument("npc")
@click.argument("memory_id")
@click.argument("status", type=click.Choice(["active", "quarantined", "forgotten"]))
@click.option("--reason", default="", help="Stored with the memory.")
@conversation_options
@world_options
def judge(npc: str, memory_id: str, status: str, reason: str, player: str, save: str, **place: Any) -> None:
    """Set the status of a memory: active, quarantined or forgotten.

    `rfsn memory show` lists the ids.

    \b
    Example: rfsn memory judge innkeeper 5f02 forgotten --reason "a lie"
    """
    path = f"/api/memory/{quote(npc)}/records/{quote(memory_id)}"
    memory = post(place, path, status=status, reason=reason, player=player, save=save)
    click.echo(f"{memory['memory_id']}: {memory['status']}: {memory['text']}")


# ── snapshots ────────────────────────────────────────────────────────────────────────────────────────


@memory.command()
@world_options
def snapshots(**place: Any) -> None:
    """List the snapshots of saves, which `rfsn memory rollback` can restore.

    \b
    Example: rfsn memory snapshots
    """
    for item in get(place, "/api/snapshots")["snapshots"]:
        click.echo(f"{_format_time(item['time'])}  {item['save']}: {item['tag']}, {item['turns']} turns")


@memory.command()
@click.argument("tag")
@save_option()
@world_options
def snapshot(tag: str, save: str, **place: Any) -> None:
    """Take a snapshot of what all NPCs know now.

    TAG names it; a snapshot of the same tag is replaced.

    \b
    Example: rfsn memory snapshot before-the-siege
    """
    answer = post(place, f"/api/saves/{quote(save, safe='')}/snapshots", tag=tag)
    click.echo(f"{answer['save']}: {answer['tag']}, {answer['turns']} turns")


@memory.command()
@click.argument("tag")
@save_option()
@world_options
def rollback(tag: str, save: str, **place: Any) -> None:
    """Roll all NPCs back to what they knew at a snapshot.

    Snapshots that were taken later keep their turns.

    \b
    Example: rfsn memory rollback before-the-siege
    """
    turns = post(place, f"/api/saves/{quote(save, safe='')}/rollback", tag=tag)["turns"]
    click.echo(f"rolled back: {turns} turns are remembered")


# ── backups and erasing ──────────────────────────────────────────────────────────────────────────


@memory.command()
@click.argument("npc")
@world_options
def reset(npc: str, **place: Any) -> None:
    """Make an NPC forget everyone. A backup is taken first.

    \b
    Example: rfsn memory reset innkeeper
    """
    backup = post(place, f"/api/memory/{quote(npc)}/safe_reset")["backup"]
    click.echo(f"Forgotten. To undo: rfsn memory restore {backup['name']}")


@memory.command()
@click.option("--make", is_flag=True, help="Make a backup first.")
@world_options
def backups(make: bool, **place: Any) -> None:
    """List the backups of the store, the newest first.

    \b
    Example: rfsn memory backups --make
    """
    if make:
        post(place, "/api/memory/backups")
    for backup in get(place, "/api/memory/backups")["backups"]:
        click.echo(f"{_format_time(backup['time'])}  {backup['name']}  {backup['size'] / 1e6:.1f} MB")


@memory.command()
@click.argument("name")
@world_options
def restore(name: str, **place: Any) -> None:
    """Replace the whole store by a backup. The present state is backed up first.

    `rfsn memory backups` lists the names.

    \b
    Example: rfsn memory restore memory-20260101-120000.db
    """
    post(place, "/api/memory/restore", name=name)
    click.echo(f"{name} was restored.")


@memory.command()
@world_options
def rebuild(**place: Any) -> None:
    """Make the store again from the log, after a backup.

    For a store that is damaged or lost. The log must go back to the first turn: see `log.keep_days`.

    \b
    Example: rfsn memory rebuild
    """
    click.echo(f"The store has {post(place, '/api/memory/rebuild')['turns']} turns.")


@memory.command()
@world_options
def check(**place: Any) -> None:
    """Read the whole store and report what is damaged.

    \b
    Example: rfsn memory check
    """
    damaged = get(place, "/api/memory/check")["damaged"]
    for line in damaged:
        click.echo(line)
    if damaged:
        raise UserError(f"{len(damaged)} damaged parts", hint="`rfsn memory backups` lists what can be restored")
    click.echo("No damage found.")


@memory.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@filter_options
@world_options
def export(file: Path, npc: str, player: str, save: str, **place: Any) -> None:
    """Export turns to a file, one line of JSON per turn.

    \b
    Example: rfsn memory export turns.ndjson --npc innkeeper
    """

    async def ask(client: httpx.AsyncClient) -> int:
        query = {"npc": npc, "player": player, "save": save}
        lines = 0
        async with client.stream("GET", "/api/memory/export", params=query) as response:
            if not response.is_success:
                await read_answer(response)
            with file.open("wb") as out:
                async for chunk in response.aiter_bytes():
                    lines += chunk.count(b"\n")
                    out.write(chunk)
        return lines

    click.echo(f"{ask_server(place, ask)} turns in {file}")


@memory.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@world_options
def load(file: Path, **place: Any) -> None:
    """Import turns from an exported file. Existing turns are not changed.

    \b
    Example: rfsn memory import turns.ndjson
    """

    async def chunks() -> AsyncIterator[bytes]:
        with file.open("rb") as read:
            while chunk := await asyncio.to_thread(read.read, 65536):
                yield chunk

    async def ask(client: httpx.AsyncClient) -> Any:
        return await read_answer(await client.post("/api/memory/import", content=chunks()))

    click.echo(f"{ask_server(place, ask)['turns']} turns were read")


@memory.command()
@filter_options
@click.option("--backups", is_flag=True, help="Erase from the backups, too.")
@click.confirmation_option(prompt="This cannot be undone. Erase?")
@world_options
def erase(npc: str, player: str, save: str, backups: bool, **place: Any) -> None:
    """Erase all turns, memories and decisions of an NPC, a player or a save.

    At least one of --npc, --player and --save is needed.

    \b
    Example: rfsn memory erase --player Aldric --backups
    """
    erased = post(place, "/api/memory/erase", npc=npc, player=player, save=save, backups=backups)
    click.echo(f"{erased['turns']} turns and {erased['decisions']} decisions were erased.")
    if not backups:
        click.echo("The backups still contain them; erase those with --backups.")

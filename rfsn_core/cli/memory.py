"""`rfsn memory`: what NPCs know and why, and everything that can be done about it.

The commands ask the server that is running on the world, over HTTP; when there is none, the same application runs
here for as long as the answer takes, with the scripted renderer and no voice.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import httpx
from rich.console import Console
from rich.table import Table

from rfsn_core.cli.options import runtimes, world_options
from rfsn_core.contract.errors import UserError
from rfsn_core.server.app import ADDRESS, serving
from rfsn_core.telemetry import logs

QUIET = {"rendering": {"provider": "scripted", "fallback": []}, "speech": {"provider": "silent", "fallback": []}}
"""No engine is loaded only to look at memory."""
PATIENCE = 600.0
Ask = Callable[[httpx.AsyncClient], Awaitable[Any]]


@asynccontextmanager
async def _client(world: Path | None, config_file: Path | None) -> AsyncIterator[httpx.AsyncClient]:
    found = runtimes(world, config_file, QUIET)
    settings = found.load()
    headers = {"Authorization": f"Bearer {settings.server.key}"} if settings.server.key else {}
    if (address := _noted(found.data_dir / ADDRESS)) and await _answers(address):
        async with httpx.AsyncClient(base_url=address, headers=headers, timeout=PATIENCE) as client:
            yield client
        return
    async with serving(found) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1", headers=headers, timeout=PATIENCE
        ) as client:
            yield client


def _noted(file: Path) -> str:
    """Where the server that uses this data says that it listens."""
    try:
        return file.read_text("utf-8").strip()
    except OSError:
        return ""


async def _answers(address: str) -> bool:
    """False for one that was killed."""
    try:
        async with httpx.AsyncClient(timeout=2) as client:
            return (await client.get(f"{address}/health")).is_success
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


def _ask(place: dict[str, Any], ask: Ask) -> Any:
    logs.configure("error")

    async def run() -> Any:
        async with _client(place["world"], place["config_file"]) as client:
            try:
                return await ask(client)
            except httpx.TransportError as error:
                raise UserError(f"the server does not answer: {error}", hint="Is it still running?") from error

    return asyncio.run(run())


async def _answer(response: httpx.Response) -> Any:
    await response.aread()
    if response.is_success:
        return response.json()
    try:
        problem = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        problem = f"the server answered {response.status_code}"
    raise UserError(problem)


def _get(place: dict[str, Any], path: str, **query: Any) -> Any:
    async def ask(client: httpx.AsyncClient) -> Any:
        return await _answer(await client.get(path, params=query))

    return _ask(place, ask)


def _post(place: dict[str, Any], path: str, **body: Any) -> Any:
    async def ask(client: httpx.AsyncClient) -> Any:
        return await _answer(await client.post(path, json=body))

    return _ask(place, ask)


# ── what they have in common ─────────────────────────────────────────────────────────────────────


@click.group()
def memory() -> None:
    """What NPCs know and why; saves, backups, and erasing."""


def _whose(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--save", default="default", show_default=True, help="The save or campaign."),
        click.option("--player", default="player", show_default=True, help="With whom."),
    ):
        command = option(command)
    return command


def _some(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--save", default="", help="Only this save or campaign."),
        click.option("--player", default="", help="Only this player."),
        click.option("--npc", default="", help="Only this NPC, by its id."),
    ):
        command = option(command)
    return command


def _console() -> Console:
    return Console(highlight=False)


def _when(moment: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment)) if moment else ""


# ── looking ──────────────────────────────────────────────────────────────────────────────────────


@memory.command()
@click.argument("npc")
@_whose
@click.option("--json", "as_json", is_flag=True, help="The whole answer, as JSON.")
@world_options
def show(npc: str, player: str, save: str, as_json: bool, **place: Any) -> None:
    """What NPC knows of a player, where it is from, and what it does not believe."""
    known = _get(place, f"/api/memory/{quote(npc)}", player=player, save=save)
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
    table = Table("id", "what", "from", "sure", "when", "status")
    for each in known["memories"]:
        status = "expired" if each["expired"] else each["status"]
        why = f"{status}: {each['reason']}" if each["reason"] else status
        style = "" if status == "active" else "dim"
        mark = "*" if each["memory_id"] in known["salient"] else ""
        table.add_row(
            each["memory_id"] + mark, each["text"], f"{each['source']}, {each['kind']}", f"{each['confidence']:.2f}",
            _when(each["time"]), why, style=style,
        )  # fmt: skip
    if known["memories"]:
        console.print(table, markup=False)
        console.print(
            "* comes to mind first. `rfsn memory judge` lets out what is quarantined, or forgets.", style="dim"
        )
    for turn in known["turns"]:
        console.print(f"{_when(turn['time'])}  {turn['player_text']}", markup=False)
        if turn["npc_text"]:
            console.print(f"                  {turn['npc_text']}", markup=False, style="dim")


@memory.command()
@click.argument("npc")
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 100))
@_whose
@world_options
def search(npc: str, words: tuple[str, ...], limit: int, player: str, save: str, **place: Any) -> None:
    """Turns with NPC that contain WORDS, the most useful first."""
    query = " ".join(words)
    found = _get(place, f"/api/memory/{quote(npc)}/search", player=player, save=save, q=query, limit=limit)
    for turn in found["turns"]:
        _console().print(
            f"{turn['relevance']:6.2f}  {_when(turn['time'])}  {turn['player_text']} — {turn['npc_text']}", markup=False
        )
    if not found["turns"]:
        click.echo("Nothing.")


@memory.command()
@click.argument("npc")
@world_options
def stats(npc: str, **place: Any) -> None:
    """How much NPC remembers, since when, and what was done to the memory of all."""
    found = _get(place, f"/api/memory/{quote(npc)}/stats")
    for name, value in found.items():
        if name != "done":
            click.echo(f"{name}: {_when(value) if name in ('first', 'last') else value}")
    for each in found.get("done", ()):
        click.echo(f"{_when(each['time'])}  {each['what']}")


# ── telling and judging ──────────────────────────────────────────────────────────────────────────


@memory.command()
@click.argument("npc")
@click.argument("text")
@_whose
@world_options
def tell(npc: str, text: str, player: str, save: str, **place: Any) -> None:
    """Let NPC know TEXT of a player, on your word."""
    told = _post(place, f"/api/memory/{quote(npc)}", player=player, save=save, text=text)
    click.echo(f"{told['memory_id']}: {told['status']}" + (f", {told['reason']}" if told["reason"] else ""))


@memory.command()
@click.argument("npc")
@click.argument("memory_id")
@click.argument("status", type=click.Choice(["active", "quarantined", "forgotten"]))
@click.option("--reason", default="", help="Kept with it.")
@_whose
@world_options
def judge(npc: str, memory_id: str, status: str, reason: str, player: str, save: str, **place: Any) -> None:
    """Make a memory of NPC believed, set aside, or forgotten."""
    path = f"/api/memory/{quote(npc)}/records/{quote(memory_id)}"
    told = _post(place, path, status=status, reason=reason, player=player, save=save)
    click.echo(f"{told['memory_id']}: {told['status']}: {told['text']}")


# ── saves ────────────────────────────────────────────────────────────────────────────────────────


@memory.command()
@world_options
def saves(**place: Any) -> None:
    """Saves that the NPCs can go back to."""
    for each in _get(place, "/api/saves")["saves"]:
        click.echo(f"{_when(each['time'])}  {each['save']}: {each['tag']}, {each['turns']} turns")


@memory.command()
@click.argument("tag")
@click.option("--save", default="default", show_default=True, help="The save or campaign.")
@world_options
def keep(tag: str, save: str, **place: Any) -> None:
    """Keep what all NPCs know now, under TAG."""
    kept = _post(place, f"/api/saves/{quote(save, safe='')}", tag=tag)
    click.echo(f"{kept['save']}: {kept['tag']}, {kept['turns']} turns")


@memory.command()
@click.argument("tag")
@click.option("--save", default="default", show_default=True, help="The save or campaign.")
@world_options
def rollback(tag: str, save: str, **place: Any) -> None:
    """Take all NPCs back to what they knew at TAG. What came later stays for later tags."""
    turns = _post(place, f"/api/saves/{quote(save, safe='')}/rollback", tag=tag)["turns"]
    click.echo(f"{turns} turns are remembered")


# ── backups and erasing ──────────────────────────────────────────────────────────────────────────


@memory.command()
@click.argument("npc")
@world_options
def reset(npc: str, **place: Any) -> None:
    """Make NPC forget everyone, after a backup."""
    saved = _post(place, f"/api/memory/{quote(npc)}/safe_reset")["backup"]
    click.echo(f"Forgotten. Back again: rfsn memory restore {saved['name']}")


@memory.command()
@click.option("--make", is_flag=True, help="Make one now.")
@world_options
def backups(make: bool, **place: Any) -> None:
    """Backups, the newest first."""
    if make:
        _post(place, "/api/memory/backups")
    for each in _get(place, "/api/memory/backups")["backups"]:
        click.echo(f"{_when(each['time'])}  {each['name']}  {each['size'] / 1e6:.1f} MB")


@memory.command()
@click.argument("name")
@world_options
def restore(name: str, **place: Any) -> None:
    """Replace all memory by a backup; what is there is backed up before."""
    _post(place, "/api/memory/restore", name=name)
    click.echo(f"{name} is restored.")


@memory.command()
@world_options
def check(**place: Any) -> None:
    """Read everything, and say what is damaged."""
    damaged = _get(place, "/api/memory/check")["damaged"]
    for line in damaged:
        click.echo(line)
    if damaged:
        raise UserError(f"{len(damaged)} damaged", hint="`rfsn memory backups` lists what can be restored")
    click.echo("All is whole.")


@memory.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_some
@world_options
def export(file: Path, npc: str, player: str, save: str, **place: Any) -> None:
    """Write turns to FILE, a line of JSON each."""

    async def ask(client: httpx.AsyncClient) -> int:
        query = {"npc": npc, "player": player, "save": save}
        lines = 0
        async with client.stream("GET", "/api/memory/export", params=query) as response:
            if not response.is_success:
                await _answer(response)
            with file.open("wb") as out:
                async for chunk in response.aiter_bytes():
                    lines += chunk.count(b"\n")
                    out.write(chunk)
        return lines

    click.echo(f"{_ask(place, ask)} turns in {file}")


@memory.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@world_options
def load(file: Path, **place: Any) -> None:
    """Take over turns that were exported. Those that are there stay as they are."""

    async def chunks() -> AsyncIterator[bytes]:
        with file.open("rb") as read:
            while chunk := await asyncio.to_thread(read.read, 65536):
                yield chunk

    async def ask(client: httpx.AsyncClient) -> Any:
        return await _answer(await client.post("/api/memory/import", content=chunks()))

    click.echo(f"{_ask(place, ask)['turns']} turns were read")


@memory.command()
@_some
@click.option("--backups", is_flag=True, help="In backups too.")
@click.confirmation_option(prompt="There is no way back. Erase?")
@world_options
def erase(npc: str, player: str, save: str, backups: bool, **place: Any) -> None:
    """Leave no trace of an NPC, of a player, or of a save: turns, memories, decisions."""
    gone = _post(place, "/api/memory/erase", npc=npc, player=player, save=save, backups=backups)
    click.echo(f"{gone['turns']} turns and {gone['decisions']} decisions are erased.")
    if not backups:
        click.echo("Backups still have them: --backups")

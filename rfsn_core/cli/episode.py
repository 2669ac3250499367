"""`rfsn episode`: play many turns with an NPC, log them and plot them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rfsn_core.cli.groups import DefaultGroup
from rfsn_core.cli.options import load_runtimes, world_options
from rfsn_core.contract.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from rfsn_core import protocol
    from rfsn_core.kernel import Kernel
    from rfsn_core.learning.episodes.episodes import EpisodeTurn, ScriptLine, Summary
    from rfsn_core.learning.episodes.simulated_player import SimulatedPlayer
    from rfsn_core.runtime.builder import Runtimes


@click.group(cls=DefaultGroup, default="run", no_args_is_help=True)
def episode() -> None:
    """Play many turns with an NPC and plot them.

    \b
    Example: rfsn episode innkeeper --turns 100 --out first
             rfsn episode compare first second
    """


@episode.command()
@click.argument("npc")
@world_options
@click.option(
    "--turns", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="How many turns to play."
)
@click.option(
    "--script",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="What the player says: a line of text or JSON per turn, repeated as needed.",
)
@click.option(
    "--player",
    type=click.Choice(["simulated"]),
    help="Who plays: the simulated player, who gives rewards. This is the default.",
)
@click.option("--strangers", is_flag=True, help="Play each turn with a new player, so that no turn depends on another.")
@click.option("--policy", help="Selection provider to use instead of the world's.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of all randomness.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR",
              help="Folder for the results; must be new or empty.")  # fmt: skip
def run(
    npc: str, world: Path | None, config_file: Path | None, turns: int, script: Path | None, player: str | None,
    strangers: bool, policy: str | None, seed: int, out: Path,
) -> None:  # fmt: skip
    """Play an episode with NPC.

    Writes episode.jsonl, episode.png, summary.json and the log to the folder that --out names.

    \b
    Example: rfsn episode innkeeper --turns 100 --policy linucb --out first
    """
    from dataclasses import asdict

    import msgspec
    from rich.console import Console

    from rfsn_core.learning.episodes.episodes import plot, read_script, summarise, with_rewards
    from rfsn_core.telemetry import logs

    if script and player:
        raise UserError("--script and --player exclude each other")
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty", hint="Choose a new folder: an episode does not add to another")
    lines = read_script(script) if script else None
    overrides: dict[str, Any] = {
        "data_dir": str(out.resolve()),
        "world": {"seed": seed},
        "speech": {"provider": "silent"},
        "operations": {"reload": False},
    }
    if policy:
        overrides["selection"] = {"provider": policy}
    runtimes = load_runtimes(world, config_file, overrides)
    logs.configure("error")
    console = Console(highlight=False)
    out.mkdir(parents=True, exist_ok=True)
    played = asyncio.run(_play(runtimes, npc, turns, lines, seed, strangers, out / "episode.jsonl", console))
    played = with_rewards(played, out / "log")
    (out / "episode.jsonl").write_bytes(b"".join(msgspec.json.encode(turn) + b"\n" for turn in played))
    summary = summarise(played)
    name = policy or runtimes.load().selection.provider
    plot({name: played}, out / "episode.png")
    console.print(f"The world's settings, except: {', '.join(_settings(overrides))}", style="dim", soft_wrap=True)
    console.print("Updates do not wait for the cooldown: turns follow each other at once.", style="dim")
    _show_summaries(console, {name: summary})
    (out / "summary.json").write_text(json.dumps(asdict(summary), indent=2), "utf-8")
    console.print(f"[dim]{out / 'episode.jsonl'}, {out / 'episode.png'}; the log is in {out / 'log'}[/dim]")


def _settings(overrides: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield each setting as `table.key = value`."""
    for name, value in overrides.items():
        if isinstance(value, dict):
            yield from _settings(value, f"{path}{name}.")
        else:
            yield f"{path}{name} = {json.dumps(value)}"


async def _play(
    runtimes: Runtimes, npc: str, turns: int, script: list[ScriptLine] | None, seed: int, strangers: bool, path: Path,
    console: Console,
) -> list[EpisodeTurn]:  # fmt: skip
    import msgspec
    from rich.progress import Progress

    from rfsn_core.kernel import running
    from rfsn_core.learning.episodes.episodes import ScriptLine
    from rfsn_core.learning.episodes.simulated_player import SimulatedPlayer

    player = SimulatedPlayer(seed)
    played: list[EpisodeTurn] = []
    progress = Progress(console=console, transient=True) if console.is_terminal else nullcontext(None)
    async with running(runtimes) as kernel:
        with progress as bar, path.open("wb") as file:
            task = bar.add_task(f"{turns} turns with {npc}", total=turns) if bar else None
            for number in range(turns):
                if script is None:
                    signal, text, state = player.speak()
                    line = ScriptLine(text, signal, state)
                else:
                    line = script[number % len(script)]
                name = f"player {number + 1}" if strangers else "player"
                turn = await _turn(kernel, npc, number, name, line, player if script is None else None)
                played.append(turn)
                file.write(msgspec.json.encode(turn) + b"\n")
                if bar and task is not None:
                    bar.advance(task)
    return played


async def _turn(
    kernel: Kernel, npc: str, number: int, name: str, line: ScriptLine, player: SimulatedPlayer | None
) -> EpisodeTurn:
    from rfsn_core import protocol
    from rfsn_core.kernel import conversation
    from rfsn_core.learning.episodes.episodes import EpisodeTurn

    message = protocol.PlayerTurn(npc=npc, player=name, text=line.text, signal=line.signal, state=line.state)
    decision: protocol.Decision | None = None
    text = ""
    async for item in conversation(kernel, message, protocol.Hello(audio=False)):
        if isinstance(item, protocol.Decision):
            decision = item
        elif isinstance(item, protocol.TurnFinished):
            text = item.text
        elif isinstance(item, protocol.TurnFailed):
            raise UserError(f"turn {number + 1} failed: {item.message}")
    assert decision is not None
    reward = player.reward(decision.signal, decision.action, decision.style) if player else line.reward
    if reward is not None:
        await kernel.reward(protocol.Reward(decision_id=decision.decision_id, value=reward))
    await kernel.learner.settle()
    record = await kernel.turn_log.decision(decision.decision_id)
    assert record is not None
    after = await kernel.state(npc, message.player, message.save)
    return EpisodeTurn(
        turn=number + 1,
        timestamp=record.time,
        player_signal=decision.signal,
        player_text=line.text,
        state_before=record.state,
        candidates=record.action.arms,
        scores=record.action.scores,
        bandit_key=decision.key,
        selected_action=decision.action,
        selected_style=decision.style,
        npc_text=text,
        reward=reward,
        state_after=after,
        decision_id=decision.decision_id,
    )


@episode.command()
@click.argument("first", type=click.Path(exists=True, path_type=Path))
@click.argument("second", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--plot",
    "picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write plots to a PNG file.",
)
def compare(first: Path, second: Path, picture: Path | None) -> None:
    """Compare two episodes side by side.

    FIRST and SECOND are folders that `rfsn episode` wrote.

    \b
    Example: rfsn episode compare first second --plot both.png
    """
    from rich.console import Console

    from rfsn_core.learning.episodes.episodes import plot, read_episode, summarise

    episodes = {path.name if path.is_dir() else path.parent.name: read_episode(path) for path in (first, second)}
    if len(episodes) < 2:
        episodes = {str(path): read_episode(path) for path in (first, second)}
    _show_summaries(Console(highlight=False), {name: summarise(turns) for name, turns in episodes.items()})
    if picture:
        plot(dict(episodes), picture)


def _show_summaries(console: Console, summaries: dict[str, Summary]) -> None:
    from rich.table import Table

    table = Table("", *summaries, box=None, pad_edge=False)
    table.add_row("turns", *(str(summary.turns) for summary in summaries.values()))
    for label, name in (
        ("mean reward", "mean_reward"), ("first fifth", "first_fifth"), ("last fifth", "last_fifth"),
        ("affinity at the end", "final_affinity"),
    ):  # fmt: skip
        table.add_row(label, *(f"{getattr(summary, name):+.3f}" for summary in summaries.values()))
    actions: list[str] = []
    for summary in summaries.values():
        actions += [action for action in list(summary.actions)[:8] if action not in actions]
    for action in actions:
        table.add_row(f"  {action}", *(f"{s.actions.get(action, 0) / s.turns:.3f}" for s in summaries.values()))
    console.print(table)

"""`rfsn decision`, `rfsn replay`, `rfsn evaluate`, `rfsn episode`: look at decisions, and at what came of them."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from rfsn_core import config, events
from rfsn_core.cli.options import find_world, runtimes, world_options
from rfsn_core.errors import UserError
from rfsn_core.kernel import Kernel, conversation, running
from rfsn_core.learning import evaluation
from rfsn_core.learning.episodes import (
    EpisodeTurn,
    ScriptLine,
    Summary,
    plot,
    read_episode,
    read_script,
    summarise,
)
from rfsn_core.learning.journal import FILES, log_files, read_lines
from rfsn_core.learning.records import DecisionRecord, RewardRecord, Slot, UpdateRecord
from rfsn_core.learning.simulated import SimulatedPlayer
from rfsn_core.operations import logs
from rfsn_core.plugins import discover
from rfsn_core.providers import Policy
from rfsn_core.runtime import Runtimes

log_option = click.option(
    "--log", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR",
    help="A folder with decisions.jsonl. Without it: that of the world.",
)  # fmt: skip


def _log_folder(folder: Path | None, world: Path | None) -> Path:
    if folder is not None:
        return folder
    path = find_world(world)
    return path / config.load(config.find_file(path))[0].data_dir / "learning"


def _records(folder: Path, kind: Any) -> list[Any]:
    return [record for path in log_files(folder, FILES[kind]) for _, _, record in read_lines(path, kind)]


# ── one decision ─────────────────────────────────────────────────────────────────────────────────


@click.command()
@click.argument("decision_id")
@world_options
@log_option
@click.option("--json", "as_json", is_flag=True, help="The whole record, as JSON.")
def decision(
    decision_id: str, world: Path | None, config_file: Path | None, folder: Path | None, as_json: bool
) -> None:
    """Explain a decision: what came into question, why this was chosen, and what came of it.

    The beginning of an id is enough.
    """
    path = _log_folder(folder, world)
    found = [record for record in _records(path, DecisionRecord) if record.decision_id.startswith(decision_id)]
    if not found:
        raise UserError(f"no decision '{decision_id}' in {path}")
    if len({record.decision_id for record in found}) > 1:
        raise UserError(f"{len(found)} decisions begin with '{decision_id}'; give more of the id")
    record = found[0]
    rewards = [reward for reward in _records(path, RewardRecord) if reward.decision_id == record.decision_id]
    updates = [update for update in _records(path, UpdateRecord) if update.decision_id == record.decision_id]
    if as_json:
        whole = {"decision": record, "rewards": rewards, "updates": updates}
        click.echo(msgspec.json.format(msgspec.json.encode(whole), indent=2).decode())
        return
    _explain(Console(highlight=False), record, rewards, updates)


def _explain(
    console: Console, record: DecisionRecord, rewards: list[RewardRecord], updates: list[UpdateRecord]
) -> None:
    feels = ", ".join(f"{name} {record.state[name]}" for name in ("mood", "relationship", "affinity", "trust", "fear"))
    console.print(
        f"[bold]{record.npc}[/bold] to {record.player}, in world {record.world}; decision {record.decision_id}"
    )
    console.print(f"It felt: {feels}. It heard: {record.signal}.")
    console.print(f"Situation: {record.key}", markup=False)
    forced = f", forced by {record.forced_by}" if record.forced_by else ""
    console.print(f"\n[bold]{record.action.chosen}[/bold] in style [bold]{record.style.chosen}[/bold]{forced}")
    table = Table("action", "probability", "score", "prior", "made of", "because", box=None, pad_edge=False)
    order = sorted(range(len(record.action.arms)), key=lambda index: -record.action.scores[index])
    for index in order:
        arm = record.action.arms[index]
        terms = " ".join(f"{name} {value:+.2f}" for name, value in record.terms[index].items() if abs(value) >= 0.005)
        table.add_row(
            arm, f"{record.action.propensities[index]:.3f}", f"{record.action.scores[index]:+.3f}",
            f"{record.action.priors[index]:+.3f}", terms, record.reasons[index],
            style="bold" if arm == record.action.chosen else "",
        )  # fmt: skip
    console.print(table)
    if record.vetoes:
        console.print("Forbidden: " + ", ".join(f"{action} ({rule})" for action, rule in record.vetoes.items()))
    console.print(f"Policy: {record.policy}; {_drawn(record.action)}")
    for reward in rewards:
        console.print(f"Reward {reward.value:+.2f} {reward.signal} ({reward.source})")
    for update in updates:
        what = f"[yellow]{update.rejected}[/yellow]" if update.rejected else f"moved the weights by {update.step:.4f}"
        back = f", credit from {update.steps_back} turns later" if update.steps_back else ""
        console.print(f"Lesson on {update.slot} {update.arm}: {update.reward:+.3f}{back}; {what}")
    if not record.delivered:
        console.print("The player never saw or heard it.")


def _drawn(slot: Slot) -> str:
    return "it took the best" if slot.draw is None else f"it drew {slot.draw:.6f}"


@click.command()
@click.argument("decision_id", required=False)
@world_options
@log_option
def replay(decision_id: str | None, world: Path | None, config_file: Path | None, folder: Path | None) -> None:
    """Make logged decisions again from their records, and say whether they come out the same."""
    path = _log_folder(folder, world)
    records = [r for r in _records(path, DecisionRecord) if r.decision_id.startswith(decision_id or "")]
    if not records:
        raise UserError(f"no decision{f' {decision_id}' if decision_id else ''} in {path}")
    for record in records:
        for slot in (record.action, record.style):
            if slot.repeated() != slot.chosen:
                raise UserError(f"{record.decision_id}: the log says {slot.chosen}, its numbers say {slot.repeated()}")
    click.echo(f"{len(records)} decision{'s' * (len(records) != 1)}: the same")


# ── evaluation ───────────────────────────────────────────────────────────────────────────────────


@click.command()
@click.argument("logdir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--policy", default="uniform", show_default=True, help="uniform, prior, or a selection provider.")
@click.option("--train", type=click.FloatRange(0, 0.9), default=0.5, show_default=True,
              help="Share of the log that a learning policy is taught on first; the rest is evaluated.")  # fmt: skip
@click.option("--world", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="For its settings.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
@click.option("--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="A PNG.")
def evaluate(logdir: Path, policy: str, train: float, world: Path | None, as_json: bool, picture: Path | None) -> None:
    """Say what another policy would have earned, from the log in LOGDIR alone."""
    logs.configure("error")
    log = evaluation.read_log(logdir)
    if policy in ("uniform", "prior"):
        report = evaluation.evaluate(log, evaluation.target(log, policy))
    else:
        report = asyncio.run(_evaluate(log, policy, train, find_world(world)))
    if picture:
        _plot_report(report, policy, picture)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2, ensure_ascii=False))
        return
    _show_report(Console(highlight=False), report, policy)


async def _evaluate(log: evaluation.Log, name: str, share: float, world: Path) -> evaluation.Report:
    found = Runtimes(world, discover(world=world), overrides={"selection": {"provider": name}})
    async with _policy(found) as policy:
        cut = int(len(log.records) * share)
        evaluation.train(log.part(range(cut)), policy)
        rest = log.part(range(cut, len(log.records)))
        return evaluation.evaluate(rest, evaluation.target(rest, policy))


class _policy:
    """A selection provider, opened by itself, with the world's settings for it."""

    def __init__(self, found: Runtimes) -> None:
        self._found = found

    async def __aenter__(self) -> Policy:
        self._opened = await self._found.open_alone("selection")
        value: Policy = self._opened.value
        return value

    async def __aexit__(self, *_: object) -> None:
        await self._opened.close()


def _show_report(console: Console, report: evaluation.Report, policy: str) -> None:
    console.print(f"{report.decisions} decisions in {report.sessions} sessions", end="")
    left = "; ".join(f"{count} left out: {reason}" for reason, count in report.left_out.items())
    console.print(f" ({left})" if left else "")
    table = Table("", "reward a turn", "95 % interval", "", box=None, pad_edge=False)
    notes = {"DM": "takes its model of the reward for true", "DR": "right if the model or the probabilities are"}
    table.add_row(
        "logged policy", f"{report.logged.value:+.4f}", f"{report.logged.low:+.4f} … {report.logged.high:+.4f}", ""
    )
    for name, estimate in report.estimates.items():
        shown = name == "DM" or not report.refused
        interval = f"{estimate.low:+.4f} … {estimate.high:+.4f}" if shown else "–"
        table.add_row(f"{policy}, {name}", f"{estimate.value:+.4f}" if shown else "–", interval, notes.get(name, ""))
    console.print(table)
    console.print(
        f"Effective sample size {report.effective_size:.0f}, mean weight {report.mean_weight:.3f},"
        f" largest {report.largest_weight:.1f}"
    )
    for warning in report.warnings:
        console.print(f"[yellow]{warning}[/yellow]")
    if report.refused:
        console.print(f"[red]Refused: {report.refused}.[/red] Log more, or with a higher floor.")
    shares = Table("action", "logged", policy, box=None, pad_edge=False)
    for action, (logged, wanted) in list(report.actions.items())[:12]:
        shares.add_row(action, f"{logged:.3f}", f"{wanted:.3f}")
    console.print(shares)
    keys = Table("situation", "decisions", "mean reward", box=None, pad_edge=False)
    for key, (count, mean) in list(report.by_key.items())[:8]:
        keys.add_row(key, str(count), f"{mean:+.3f}")
    console.print(keys)


def _plot_report(report: evaluation.Report, policy: str, path: Path) -> None:
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        raise UserError("plots need matplotlib", hint="pip install matplotlib") from error
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), constrained_layout=True)
    rows = {"logged": report.logged, **report.estimates}
    for place, (_, estimate) in enumerate(rows.items()):
        left.plot([estimate.low, estimate.high], [place, place], lw=3)
        left.plot(estimate.value, place, "ko")
    left.set(yticks=range(len(rows)), yticklabels=list(rows), xlabel="reward a turn", title=f"{policy}: 95 % intervals")
    left.grid(alpha=0.3)
    names = list(report.actions)[:12]
    right.barh([n - 0.2 for n in range(len(names))], [report.actions[name][0] for name in names], 0.4, label="logged")
    right.barh([n + 0.2 for n in range(len(names))], [report.actions[name][1] for name in names], 0.4, label=policy)
    right.set(yticks=range(len(names)), yticklabels=names, xlabel="share", title="Actions")
    right.invert_yaxis()
    right.legend(frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


# ── episodes ─────────────────────────────────────────────────────────────────────────────────────


class _Episodes(click.Group):
    """`rfsn episode NPC …` runs one; `rfsn episode compare A B` compares."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` in front of an NPC's name."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Episodes)
def episode() -> None:
    """Play many turns with an NPC, log them, plot them: rfsn episode NPC --turns 100 --out DIR."""


@episode.command()
@click.argument("npc")
@world_options
@click.option("--turns", type=click.IntRange(1, 1_000_000), default=100, show_default=True)
@click.option("--script", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="What the player says.")
@click.option("--player", type=click.Choice(["simulated"]), help="A player with likes and dislikes of its own.")
@click.option("--strangers", is_flag=True, help="Every turn is with another player, so that none depends on the last.")
@click.option("--policy", help="Selection provider, instead of the world's.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="A new folder.")
def run(
    npc: str, world: Path | None, config_file: Path | None, turns: int, script: Path | None, player: str | None,
    strangers: bool, policy: str | None, seed: int, out: Path,
) -> None:  # fmt: skip
    """Play an episode with NPC."""
    if script and player:
        raise UserError("--script and --player exclude each other")
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty", hint="Choose a new folder: episodes are kept whole")
    lines = read_script(script) if script else None
    learning: dict[str, Any] = {
        "cooldown": 0,
        "detect": bool(lines) and all(line.reward is None for line in lines or ()),
    }
    if lines is None:
        learning["credit_steps"] = 0  # this player says after each turn what it thought of that turn
    overrides: dict[str, Any] = {
        "data_dir": str(out.resolve()),
        "world": {"seed": seed},
        "speech": {"provider": "silent"},
        "learning": learning,
        "operations": {"reload": False},
    }
    if policy:
        overrides["selection"] = {"provider": policy}
    found = runtimes(world, config_file, overrides)
    logs.configure("error")
    console = Console(highlight=False)
    out.mkdir(parents=True, exist_ok=True)
    played = asyncio.run(_play(found, npc, turns, lines, seed, strangers, out / "episode.jsonl", console))
    summary = summarise(played)
    name = policy or found.load().selection.provider
    plot({name: played}, out / "episode.png")
    _show_summaries(console, {name: summary})
    (out / "summary.json").write_text(json.dumps(asdict(summary), indent=2), "utf-8")
    console.print(f"[dim]{out / 'episode.jsonl'}, {out / 'episode.png'}; the log is in {out / 'learning'}[/dim]")


async def _play(
    found: Runtimes, npc: str, turns: int, script: list[ScriptLine] | None, seed: int, strangers: bool, path: Path,
    console: Console,
) -> list[EpisodeTurn]:  # fmt: skip
    player = SimulatedPlayer(seed)
    played: list[EpisodeTurn] = []
    progress = Progress(console=console, transient=True) if console.is_terminal else nullcontext(None)
    async with running(found) as kernel:
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
    message = events.Turn(npc=npc, player=name, text=line.text, signal=line.signal, state=line.state)
    made: events.Decision | None = None
    text = ""
    async for item in conversation(kernel, message, events.Hello(audio=False)):
        if isinstance(item, events.Decision):
            made = item
        elif isinstance(item, events.TurnFinished):
            text = item.text
        elif isinstance(item, events.TurnFailed):
            raise UserError(f"turn {number + 1} failed: {item.message}")
    assert made is not None
    reward = player.reward(made.signal, made.action, made.style) if player else line.reward
    if reward is not None:
        await kernel.reward(events.Reward(decision_id=made.decision_id, value=reward))
        await kernel.learner.settle()
    record = await kernel.journal.decision(made.decision_id)
    assert record is not None
    after = await kernel.state(npc, message.player, message.world)
    return EpisodeTurn(
        turn=number + 1,
        timestamp=record.time,
        player_signal=made.signal,
        player_text=line.text,
        state_before=record.state,
        candidates=record.action.arms,
        scores=record.action.scores,
        bandit_key=made.key,
        selected_action=made.action,
        selected_style=made.style,
        npc_text=text,
        reward=reward,
        state_after=after,
        decision_id=made.decision_id,
    )


@episode.command()
@click.argument("first", type=click.Path(exists=True, path_type=Path))
@click.argument("second", type=click.Path(exists=True, path_type=Path))
@click.option("--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="A PNG.")
def compare(first: Path, second: Path, picture: Path | None) -> None:
    """Put two episodes side by side."""
    episodes = {path.name if path.is_dir() else path.parent.name: read_episode(path) for path in (first, second)}
    if len(episodes) < 2:
        episodes = {str(path): read_episode(path) for path in (first, second)}
    _show_summaries(Console(highlight=False), {name: summarise(turns) for name, turns in episodes.items()})
    if picture:
        plot(dict(episodes), picture)


def _show_summaries(console: Console, summaries: dict[str, Summary]) -> None:
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

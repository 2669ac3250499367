"""`rfsn decision` and `rfsn evaluate`: explain and evaluate logged decisions."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rfsn_core.cli.explain import details, why
from rfsn_core.cli.options import find_world, json_option, world_options
from rfsn_core.contract.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from rfsn_core.learning import evaluation
    from rfsn_core.learning.records import DecisionRecord, RewardRecord, Slot, UpdateRecord

log_option = click.option(
    "--log", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR",
    help="A folder with a log; without it, that of the world.",
)  # fmt: skip


def log_folder(folder: Path | None, world: Path | None, config_file: Path | None) -> Path:
    """Return the folder with the log that a command reads: the given one, or that of the world."""
    if folder is not None:
        return folder
    from rfsn_core.settings.folders import data_folder
    from rfsn_core.settings.trust import load_world

    path = find_world(world)
    settings, _, trust = load_world(path, config_file)
    return data_folder(path, settings, follow_links=trust.granted).path


# ── one decision ─────────────────────────────────────────────────────────────────────────────────


@click.command()
@click.argument("decision_id")
@world_options
@log_option
@json_option("Print the whole record as JSON.")
def decision(
    decision_id: str, world: Path | None, config_file: Path | None, folder: Path | None, as_json: bool
) -> None:
    """Explain a decision and show its rewards.

    Shows the candidates with their probabilities and scores, why this one was chosen, and the rewards and updates
    that followed. The beginning of DECISION_ID is enough.

    \b
    Example: rfsn decision 8f31c2
    """
    import msgspec
    from rich.console import Console

    from rfsn_core.learning.log_files import read_tree
    from rfsn_core.learning.records import DecisionRecord, RewardRecord, UpdateRecord

    path = log_folder(folder, world, config_file)
    records = [record for record in read_tree(path, DecisionRecord) if record.decision_id.startswith(decision_id)]
    if not records:
        raise UserError(f"no decision '{decision_id}' in {path}")
    if (matches := len({record.decision_id for record in records})) > 1:
        raise UserError(f"{matches} decisions begin with '{decision_id}'", hint="Give more of the id")
    record = records[0]
    rewards = [reward for reward in read_tree(path, RewardRecord) if reward.decision_id == record.decision_id]
    updates = [update for update in read_tree(path, UpdateRecord) if update.decision_id == record.decision_id]
    if as_json:
        whole = {"decision": record, "rewards": rewards, "updates": updates}
        click.echo(msgspec.json.format(msgspec.json.encode(whole), indent=2).decode())
        return
    _explain(Console(highlight=False), record, rewards, updates)


def _explain(
    console: Console, record: DecisionRecord, rewards: list[RewardRecord], updates: list[UpdateRecord]
) -> None:
    from rich.table import Table

    feels = ", ".join(f"{name} {record.state[name]}" for name in ("mood", "relationship", "affinity", "trust", "fear"))
    console.print(f"[bold]{record.npc}[/bold] to {record.player}, in save {record.save}; decision {record.decision_id}")
    console.print(why(record), markup=False)
    for label, words in details(record):
        console.print(f"  {label + ':':12}{words}", markup=False, soft_wrap=True)
    console.print(f"\nState: {feels}. Signal: {record.signal}.")
    console.print(f"Situation: {record.key}", markup=False)
    forced = f", forced by {record.forced_by}" if record.forced_by else ""
    console.print(f"\n[bold]{record.action.chosen}[/bold] in style [bold]{record.style.chosen}[/bold]{forced}")
    table = Table("action", "probability", "score", "prior", "parts of the score", "because", box=None, pad_edge=False)
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
        console.print("Vetoed: " + ", ".join(f"{action} ({rule})" for action, rule in record.vetoes.items()))
    console.print(f"Policy: {record.policy}; {_drawn(record.action)}")
    for reward in rewards:
        console.print(f"Reward {reward.value:+.2f} {reward.signal} ({reward.source})")
    for update in updates:
        result = f"[yellow]{update.rejected}[/yellow]" if update.rejected else f"moved the weights by {update.step:.4f}"
        back = f", credit from {update.steps_back} turns later" if update.steps_back else ""
        console.print(f"Update of {update.slot} {update.arm}: {update.reward:+.3f}{back}; {result}")
    if not record.delivered:
        console.print("The player did not see or hear the answer.")


def _drawn(slot: Slot) -> str:
    return "chose the best score" if slot.draw is None else f"drew {slot.draw:.6f}"


# ── evaluation ───────────────────────────────────────────────────────────────────────────────────


@click.command()
@click.argument("logdir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--policy", default="uniform", show_default=True, help="`uniform`, `prior`, or a selection provider.")
@click.option("--train", type=click.FloatRange(0, 0.9), default=0.5, show_default=True,
              help="Share of the log to train a learning policy on; the rest is evaluated.")  # fmt: skip
@click.option(
    "--world",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="The world whose settings the policy gets.",
)
@json_option("Print the report as JSON.")
@click.option(
    "--plot",
    "picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write plots to a PNG file.",
)
def evaluate(logdir: Path, policy: str, train: float, world: Path | None, as_json: bool, picture: Path | None) -> None:
    """Estimate from a log what another policy would have earned.

    LOGDIR is a folder with a log. Nothing is played: the estimates (direct method, IPS, SNIPS and doubly
    robust, with 95 % intervals) come from the log alone.

    \b
    Example: rfsn evaluate my_world/.rfsn/log --policy linucb
    """
    from dataclasses import asdict

    from rich.console import Console

    from rfsn_core.learning import evaluation
    from rfsn_core.telemetry import logs

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


async def _evaluate(log: evaluation.EvaluationLog, name: str, share: float, world: Path) -> evaluation.EvaluationReport:
    from rfsn_core.learning import evaluation
    from rfsn_core.plugins.discovery import discover
    from rfsn_core.runtime.builder import Runtimes

    runtimes = Runtimes(world, discover(world=world), overrides={"selection": {"provider": name}})
    opened = await runtimes.open_alone("selection")
    try:
        cut = int(len(log.records) * share)
        evaluation.train(log.part(range(cut)), opened.value)
        rest = log.part(range(cut, len(log.records)))
        return evaluation.evaluate(rest, evaluation.target(rest, opened.value))
    finally:
        await opened.close()


def _show_report(console: Console, report: evaluation.EvaluationReport, policy: str) -> None:
    from rich.table import Table

    console.print(f"{report.decisions} decisions in {report.conversations} conversations", end="")
    left = "; ".join(f"{count} left out: {reason}" for reason, count in report.left_out.items())
    console.print(f" ({left})" if left else "")
    table = Table("", "reward a turn", "95 % interval", "", box=None, pad_edge=False)
    notes = {"DM": "right if its model of the reward is", "DR": "right if the model or the probabilities are"}
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


def _plot_report(report: evaluation.EvaluationReport, policy: str, path: Path) -> None:
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

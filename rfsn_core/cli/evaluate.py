"""`rfsn evaluate`: whether learning beats not learning, and what another policy would have earned."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rfsn_core.cli.decisions import log_folder
from rfsn_core.cli.options import Number, find_world, json_option, world_options
from rfsn_core.contract.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from rfsn_core.learning import evaluation

FEWEST = 100
"""Decisions of the policy's own that a log must be worth for its estimate to be more than a hint."""
SLOTS = {"action": "its actions, the styles as logged", "style": "its styles, the actions as logged", "both": "both"}


@click.command()
@click.argument("logdir", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
@world_options
@click.option("--policy", default="uniform", show_default=True, help="`uniform`, `prior`, or a selection provider.")
@click.option("--train", type=Number(0, 0.9), default=0.5, show_default=True,
              help="Share of the log to train a learning policy on; the rest is evaluated.")  # fmt: skip
@json_option("Print the report as JSON.")
@click.option("--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write plots to a PNG file.")  # fmt: skip
def evaluate(
    logdir: Path | None, world: Path | None, config_file: Path | None, policy: str, train: float, as_json: bool,
    picture: Path | None,
) -> None:  # fmt: skip
    """Say whether learning beats not learning, and what another policy would have earned.

    The first sentence compares learned choices with those of the default policy, which keeps a share of the talk. Then
    come estimates for another policy: for its actions alone, its styles alone, and both. Nothing is played, and a
    server may run meanwhile. LOGDIR is a folder with a log; without it, that of the world.

    \b
    Example: rfsn evaluate --world my_world --policy linucb
    """
    from dataclasses import asdict

    from rich.console import Console

    from rfsn_core.learning import evaluation
    from rfsn_core.telemetry import logs

    logs.configure("error")
    folder = log_folder(logdir, world, config_file)
    answer = evaluation.read_hold_out(folder)
    report, problem = None, ""
    try:
        report = _report(evaluation.read_log(folder), policy, train, world)
    except UserError as error:
        problem = str(error)
    if picture:
        plot(answer, report, policy, picture)
    if as_json:
        whole = {"answer": answer.sentence, "hold_out": asdict_of(answer), "problem": problem}
        click.echo(json.dumps(whole | (asdict(report) if report else {}), indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    console.print(answer.sentence, style="bold", markup=False)
    if report is None:
        console.print(f"Other policies cannot be evaluated: {problem}", markup=False)
        return
    _show(console, report, policy)


def asdict_of(answer: evaluation.HoldOut) -> dict[str, float | int | None]:
    """Return the numbers of the comparison; null for a bound that is not known."""
    found = answer.difference
    return {
        "difference": found.value,
        "low": found.low if math.isfinite(found.low) else None,
        "high": found.high if math.isfinite(found.high) else None,
        "learned": answer.learned,
        "default": answer.default,
        "turns": answer.turns,
    }


def _report(
    log: evaluation.EvaluationLog, policy: str, share: float, world: Path | None
) -> evaluation.EvaluationReport:
    from rfsn_core.learning import evaluation

    if policy in ("uniform", "prior"):
        return evaluation.evaluate(log, evaluation.target(log, policy))
    return asyncio.run(evaluate_provider(log, policy, share, find_world(world)))


async def evaluate_provider(
    log: evaluation.EvaluationLog, name: str, share: float, world: Path
) -> evaluation.EvaluationReport:
    """Train a selection provider on the first part of a log, and evaluate it on the rest."""
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


def _show(console: Console, report: evaluation.EvaluationReport, policy: str) -> None:
    from rich.table import Table

    console.print(f"\n{report.decisions} decisions in {report.conversations} conversations can be evaluated", end="")
    left = "; ".join(f"{count} left out: {reason}" for reason, count in report.left_out.items())
    console.print(f" ({left})" if left else "")
    table = Table("", "reward a turn", "95 % interval", "worth", "never tried", box=None, pad_edge=False)
    logged = report.logged
    table.add_row("as logged", f"{logged.value:+.3f}", f"{logged.low:+.3f} … {logged.high:+.3f}", "", "")
    for name, slot in report.slots.items():
        one = slot.estimate
        table.add_row(
            f"{policy}: {SLOTS[name]}", f"{one.value:+.3f}", f"{one.low:+.3f} … {one.high:+.3f}",
            f"{slot.worth:.0f} decisions", f"{slot.uncovered:.0%}",
        )  # fmt: skip
    console.print(table)
    thin = [SLOTS[name] for name, slot in report.slots.items() if slot.worth < FEWEST]
    if thin:
        console.print(f"[yellow]A hint only, below {FEWEST} decisions: {'; '.join(thin)}.[/yellow]")
    for warning in report.warnings:
        console.print(f"[yellow]{warning}[/yellow]")
    both = report.slots["both"]
    others = ", ".join(
        f"{name} {one.value:+.3f} ({one.low:+.3f} … {one.high:+.3f})" for name, one in both.others.items()
    )
    console.print(f"Other estimators, both slots: {others}", style="dim")
    console.print(f"Mean weight {both.mean_weight:.2f}, largest {both.largest_weight:.0f}", style="dim")
    shares = Table("action", "logged", policy, box=None, pad_edge=False)
    for action, (was, wanted) in list(report.actions.items())[:12]:
        shares.add_row(action, f"{was:.3f}", f"{wanted:.3f}")
    console.print(shares)
    keys = Table("situation", "decisions", "mean reward", box=None, pad_edge=False)
    for key, (count, mean) in list(report.by_key.items())[:8]:
        keys.add_row(key, str(count), f"{mean:+.3f}")
    console.print(keys)


def plot(answer: evaluation.HoldOut, report: evaluation.EvaluationReport | None, policy: str, path: Path) -> None:
    """Plot the answer, how it came about, and the policy's estimates. Raises UserError without matplotlib."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        raise UserError("plots need matplotlib", hint="pip install matplotlib") from error
    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(15, 4.5), constrained_layout=True)
    figure.suptitle(answer.sentence, wrap=True, fontsize=11)
    found = answer.difference
    left.axvspan(-2, 0, color="#f6d5d5")
    left.axvspan(0, 2, color="#d9efd9")
    if math.isfinite(found.low):
        left.plot([found.low, found.high], [0, 0], lw=4, color="#333333")
    left.plot(found.value, 0, "o", ms=11, color="#333333")
    reach = max(0.3, *(abs(bound) * 1.2 for bound in (found.value, found.low, found.high) if math.isfinite(bound)))
    left.set(xlim=(-reach, reach), ylim=(-1, 1), yticks=[], xlabel="reward of a learned choice minus the default's")
    left.text(-reach * 0.95, 0.8, "learning is worse", color="#a03030")
    left.text(reach * 0.95, 0.8, "learning is better", color="#207020", ha="right")
    left.set_title("Is learning better than not learning?")
    for acts, color in (("learned", "#2060a0"), ("default", "#c07020")):
        places, means, total = [], [], 0.0
        for place, (who, value) in enumerate(answer.story):
            if who == acts:
                total += value
                places.append(place)
                means.append(total / len(places))
        middle.plot(places, means, color=color, label=f"{acts} policy: {len(places)} decisions")
    middle.set(title="Mean reward so far, where the two differ", xlabel="decision", ylabel="reward")
    middle.legend(frameon=False)
    middle.grid(alpha=0.3)
    if report is not None:
        rows = {"as logged": report.logged} | {SLOTS[name]: slot.estimate for name, slot in report.slots.items()}
        for place, one in enumerate(rows.values()):
            right.plot([one.low, one.high], [place, place], lw=3, color="#2060a0")
            right.plot(one.value, place, "o", color="#333333")
        right.set(yticks=range(len(rows)), yticklabels=list(rows), xlabel="reward a turn", xlim=(-1.05, 1.05))
        right.axvline(report.logged.value, ls=":", color="#888888")
        right.invert_yaxis()
    right.set_title(f"What `{policy}` would have earned")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)

"""`rfsn exam`: examine the NPCs of a world with suites of conversations, and compare exams."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rfsn_core.cli.groups import DefaultGroup
from rfsn_core.cli.options import Number, find_world, json_option, world_options
from rfsn_core.contract.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from rfsn_core.exam.results import CaseResult
    from rfsn_core.exam.run import Exam
    from rfsn_core.exam.scores import Summary
    from rfsn_core.exam.speed import Speed


@click.group(cls=DefaultGroup, default="run")
def exam() -> None:
    """Examine the NPCs of a world: knowledge, feelings, memory, wording, times.

    `rfsn exam` runs all built-in suites. The world's own memory is neither read nor written.

    \b
    Example: rfsn exam innkeeper --suite knowledge --out first
             rfsn exam compare first second
    """


@exam.command()
@click.argument("npcs", nargs=-1)
@world_options
@click.option(
    "--suite", "suites", multiple=True, metavar="NAME", help="A built-in suite or a TOML file; may be repeated."
)
@click.option(
    "--arm", "arms", multiple=True, metavar="NAME:KEY=VALUE,…",
    help="Settings to examine side by side, such as big:rendering.ollama.model=qwen3; may be repeated.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything that varies.")
@click.option("--sample", type=click.IntRange(0), default=0, help="Cases of each conversation and NPC at most; 0: all.")
@click.option("--at-once", type=click.IntRange(1, 256), default=4, show_default=True,
              help="Conversations at the same time. More is faster, and each turn takes longer.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Folder for results and reports. An exam that was stopped resumes there.")  # fmt: skip
@json_option("Print the report as JSON.")
def run(
    npcs: tuple[str, ...], world: Path | None, config_file: Path | None, suites: tuple[str, ...], arms: tuple[str, ...],
    seed: int, sample: int, at_once: int, out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Run suites with NPCS, or with all NPCs of the world.

    The exit code is 1 when a bar is missed. With several arms, --out gets a folder for each.

    \b
    Example: rfsn exam run innkeeper --suite knowledge
             rfsn exam run --arm small:rendering.ollama.model=a --arm big:rendering.ollama.model=b --out models
    """
    from rich.console import Console

    from rfsn_core.exam.run import Exam, results_folder
    from rfsn_core.exam.suite import read_suites
    from rfsn_core.telemetry import logs

    logs.configure("error")
    console = Console(highlight=False, stderr=as_json)
    chosen = read_suites(suites)
    folder = find_world(world)
    reports: dict[str, Any] = {}
    summaries: dict[str, tuple[Summary, list[CaseResult]]] = {}
    with results_folder(out) as results:
        for name, settings in _arms(arms).items():
            one = Exam(
                world=folder, suites=chosen, npcs=npcs, config_file=config_file, arm=settings, arm_name=name,
                seed=seed, sample=sample, at_once=at_once,
            )  # fmt: skip
            place = results / name if name else results
            summaries[name], reports[name] = _examine(one, place, console, keep=out is not None)
    if as_json:
        click.echo(
            json.dumps(reports if len(reports) > 1 else next(iter(reports.values())), indent=2, ensure_ascii=False)
        )
    elif len(summaries) > 1:
        _show_arms(console, summaries)
    else:
        _show(console, *next(iter(summaries.values())))
    if out is not None and not as_json:
        console.print(
            f"[dim]Reports: {out}/{'*/' if len(summaries) > 1 else ''}report.html, report.json, junit.xml[/dim]"
        )
    if any(summary.failed for summary, _ in summaries.values()):
        raise SystemExit(1)


def _arms(texts: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return name → settings of the arms. Raises UserError."""
    import tomllib

    arms: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, colon, pairs = text.partition(":")
        if not colon or not name.replace("-", "").replace("_", "").isalnum() or name in arms:
            raise UserError(f"--arm '{text}': must be a new name, a colon and settings", hint="a:rendering.provider=x")
        settings: dict[str, Any] = {}
        for pair in pairs.split(","):
            key, equals, value = pair.partition("=")
            if not equals or not key.strip():
                raise UserError(f"--arm '{text}': '{pair}' is not key=value", hint="a:rendering.provider=scripted")
            table = settings
            *path, last = key.strip().split(".")
            for part in path:
                table = table.setdefault(part, {})
                if not isinstance(table, dict):
                    raise UserError(f"--arm '{text}': '{key.strip()}' is inside a value that is given, too")
            try:
                table[last] = tomllib.loads(f"value = {value}")["value"]
            except tomllib.TOMLDecodeError:
                table[last] = value
        arms[name] = settings
    return arms or {"": {}}


def _examine(
    one: Exam, folder: Path, console: Console, *, keep: bool
) -> tuple[tuple[Summary, list[CaseResult]], dict[str, object]]:
    """Run an exam with a progress bar; return its summary and results, and its report."""
    from rich.progress import Progress

    from rfsn_core.exam.reports import as_json, write_reports
    from rfsn_core.exam.results import read_results
    from rfsn_core.exam.run import run as run_exam
    from rfsn_core.exam.scores import summarise

    with Progress(console=console, transient=True) if console.is_terminal else nullcontext(None) as bar:
        task = bar.add_task(one.arm_name or "exam", total=None) if bar else None

        def tell(done: int, total: int, last: str) -> None:
            if bar and task is not None:
                bar.update(task, completed=done, total=total)

        results = asyncio.run(run_exam(one, folder, tell))
    summary = summarise(results, one.suites)
    header, _ = read_results(folder)
    if keep:
        write_reports(folder, header, summary, results)
    return (summary, results), as_json(header, summary, results)


def _show(console: Console, summary: Summary, results: list[CaseResult]) -> None:
    from rich.table import Table

    from rfsn_core.exam.reports import WORST, faults, shown, weakest

    found = faults(results)
    table = Table("suite", "metric", "value", "95 % interval", "n", "bar", "", box=None, pad_edge=False)
    for suite, scores in summary.suites.items():
        for score in scores:
            if score.bar:
                interval = f"{shown(score, score.low)} … {shown(score, score.high)}"
                colour = {"failed": "red", "unsure": "yellow"}.get(score.verdict, "green")
                table.add_row(
                    suite, score.metric, shown(score, score.value), interval, str(score.count), score.bar,
                    f"[{colour}]{score.verdict}[/{colour}]",
                )  # fmt: skip
    console.print(table)
    for suite, score in summary.failed:
        console.print(f"\n[bold]{suite}, {score.metric}[/bold]: {shown(score, score.value)}, the bar is {score.bar}")
        for result, point in found.get((suite, score.metric), [])[:WORST]:
            where = f"{result.id}, turn {point.turn}" if point.turn else result.id
            console.print(f"  {where}: {point.why}", markup=False, soft_wrap=True)
    for npc, score in weakest(summary):
        console.print(f"Weak: {npc} in {score.metric}, {shown(score, score.value)} of {score.count}", markup=False)
    console.print(f"\n{100 * summary.pass_rate:.0f} % of the bars reached, {len(results)} conversations.")


def _show_arms(console: Console, summaries: dict[str, tuple[Summary, list[CaseResult]]]) -> None:
    """Show the arms side by side, each with what its tokens and times come to."""
    from rich.table import Table

    from rfsn_core.exam.reports import shown

    table = Table("suite", "metric", *summaries, box=None, pad_edge=False)
    scores = {
        name: {(suite, score.metric): score for suite, scores in summary.suites.items() for score in scores}
        for name, (summary, _) in summaries.items()
    }
    for suite, metric in dict.fromkeys(key for of_arm in scores.values() for key in of_arm):
        cells = []
        for of_arm in scores.values():
            score = of_arm.get((suite, metric))
            mark = " [red]✗[/red]" if score and score.verdict == "failed" else ""
            cells.append(f"{shown(score, score.value)}{mark}" if score else "")
        table.add_row(suite, metric, *cells)
    for label, name in (("prompt tokens a turn", "prompt"), ("written tokens a turn", "completion")):
        table.add_row("all", label, *(f"{_mean_tokens(results, name):.0f}" for _, results in summaries.values()))
    console.print(table)
    console.print("Whether a difference is more than chance: `rfsn exam compare` with the folders of two arms.")


def _mean_tokens(results: list[CaseResult], name: str) -> float:
    counts = [turn.tokens.get(name, 0) for result in results for turn in result.turns if turn.tokens]
    return sum(counts) / len(counts) if counts else 0.0


@exam.command()
@click.argument("first", type=click.Path(exists=True, path_type=Path))
@click.argument("second", type=click.Path(exists=True, path_type=Path))
@json_option("Print the differences as JSON.")
def compare(first: Path, second: Path, as_json: bool) -> None:
    """Compare two exams: is the second better?

    FIRST and SECOND are folders that --out named. Only conversations that both have are compared. The exit code is 1
    when something became worse.

    \b
    Example: rfsn exam compare models/small models/big
    """
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from rfsn_core.exam.metrics import TIMES
    from rfsn_core.exam.results import read_results
    from rfsn_core.exam.scores import compare as compare_results

    differences = compare_results(read_results(first)[1], read_results(second)[1])
    if not differences:
        raise UserError("the two exams have no conversation in common", hint="Run the same suites with the same NPCs")
    if as_json:
        click.echo(json.dumps([asdict(one) | {"verdict": one.verdict} for one in differences], indent=2))
    else:
        table = Table("suite", "metric", first.name, second.name, "p", "conversations", "", box=None, pad_edge=False)
        for one in differences:
            values = (f"{v:,.0f} ms" if one.metric in TIMES else f"{100 * v:.1f} %" for v in (one.first, one.second))
            colour = {"worse": "red", "better": "green"}.get(one.verdict, "dim")
            if one.differing:
                differ = f"{one.differing} of {one.conversations} differ"
                verdict = f"[{colour}]{one.verdict}[/{colour}]"
                table.add_row(one.suite, one.metric, *values, f"{one.p:.3f}", differ, verdict)
        console = Console(highlight=False)
        console.print(table)
        same = sum(not one.differing for one in differences)
        console.print(f"{same} more are equal in every conversation." if same else "")
    if any(one.verdict == "worse" for one in differences):
        raise SystemExit(1)


@exam.command()
def suites() -> None:
    """List the built-in suites, with their bars.

    \b
    Example: rfsn exam suites
    """
    from rfsn_core.exam.suite import read_suites

    for suite in read_suites(()):
        bars = ", ".join(f"{metric} {bar}" for metric, bar in suite.bars.items())
        click.echo(f"{suite.name}: {suite.description}\n    {bars}")


@exam.command()
@world_options
@click.option(
    "--npcs", "counts", default="1,100,500", show_default=True, help="How many NPCs talk at once: several numbers."
)
@click.option("--seconds", type=Number(0.5, 600), default=5.0, show_default=True, help="Of each number.")
@click.option("--start", "start_npcs", type=click.IntRange(0, 100_000), default=1000, show_default=True,
              help="NPC files of the world whose start is measured; 0: none.")  # fmt: skip
@json_option("Print the figures as JSON.")
def speed(
    world: Path | None, config_file: Path | None, counts: str, seconds: float, start_npcs: int, as_json: bool
) -> None:
    """Measure whether this machine is fast enough for the world: our own delay, without a model and a voice.

    The exit code is 1 when 100 NPCs have a delay of 150 ms at the 95th percentile, or 500 NPCs one of 250 ms.

    \b
    Example: rfsn exam speed --npcs 100,500,1000
    """
    import tempfile

    import msgspec
    from rich.console import Console

    from rfsn_core.exam.speed import measure
    from rfsn_core.telemetry import logs

    logs.configure("error")
    try:
        numbers = [int(part) for part in counts.split(",")]
    except ValueError as error:
        raise UserError(f"--npcs '{counts}': must be numbers", hint="--npcs 1,100,500") from error
    if not numbers or min(numbers) < 1 or max(numbers) > 20_000:
        raise UserError(f"--npcs '{counts}': each must be 1 to 20,000")
    with tempfile.TemporaryDirectory(prefix="rfsn-speed-", ignore_cleanup_errors=True) as folder:
        found = asyncio.run(measure(find_world(world), config_file, Path(folder), numbers, seconds, start_npcs))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        _show_speed(Console(highlight=False), found)
    if any(load.verdict == "failed" for load in found.loads):
        raise SystemExit(1)


def _show_speed(console: Console, found: Speed) -> None:
    from rich.table import Table

    table = Table("NPCs", "delay of", "p50", "p95", "p99", "bar", "aim", "turns/s", "core", box=None, pad_edge=False)
    colours = {"failed": "red", "unsure": "yellow"}
    for load in found.loads:
        colour = colours.get(load.verdict, "green")
        bar = f"{load.bar:g} [{colour}]{load.verdict}[/{colour}]" if load.bar else ""
        own = [bar, f"{load.aim:g}" if load.aim else "", f"{load.turns_a_second:g}", f"{load.busy:.0%}"]
        for name, spread in (("sentences", load.sentence), ("decisions", load.decision), ("timers", load.timers)):
            row = [f"{value:,.1f} ms" for value in (spread.p50, spread.p95, spread.p99)]
            first = name == "sentences"
            table.add_row(str(load.npcs) if first else "", name, *row, *(own if first else []))
    console.print(table)
    if any(load.starved for load in found.loads):
        console.print("[yellow]Other programs use the processor: the delays are not this program's alone.[/yellow]")
    console.print(f"At saturation: {found.turns_a_second:g} turns a second, {found.cpu_ms:g} ms of CPU a turn")
    if found.start_npcs:
        console.print(f"Start with {found.start_npcs:,} NPCs: {found.start_seconds:g} s of CPU")
    if found.idle_kb is not None:
        console.print(
            f"Memory: {found.idle_kb:g} kB for each idle conversation, {found.talking_kb:g} kB more for each that talks"
        )

"""`rfsn replay`: check that a log is whole and unchanged, and compute its decisions again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rfsn_core.cli.decisions import log_folder, log_option
from rfsn_core.cli.options import load_runtimes, world_options
from rfsn_core.contract.errors import UserError

if TYPE_CHECKING:
    from rfsn_core.learning.log_lines import Chain
    from rfsn_core.learning.records import DecisionRecord
    from rfsn_core.learning.replay import Rules

MOST_SHOWN = 20
"""Problems that are printed; the rest are counted."""


@click.command()
@click.argument("decision_id", required=False)
@click.option("--now", is_flag=True, help="Decide again under today's rules, weights, policy and NPC files instead.")
@click.option("--head", metavar="HASH", help="A head that was printed earlier: fail if the log does not contain it.")
@click.option("--same-rules", is_flag=True, help="The world has not changed: any difference is an error.")
@world_options
@log_option
def replay(
    decision_id: str | None, now: bool, head: str | None, same_rules: bool, world: Path | None,
    config_file: Path | None, folder: Path | None,
) -> None:  # fmt: skip
    """Check the log, and recompute its decisions.

    Every line names the hash of the line before it, so a line that was changed, removed or inserted is found. Each
    decision is computed again from the numbers in its record, and from the NPC's state under the world's rules as they
    are now. With DECISION_ID, only that one is; the beginning of an id is enough.

    A decision that comes out differently under the rules is no error, since the world may have changed; with
    --same-rules it is one. With --log, the rules of --world are used, if it is given.

    With --now, the decisions are made again as the world would make them today, and what would be different is
    listed. That shows what an edit of a rule, a weight or an NPC's file changes.

    The head is the hash of the last line. Note it somewhere else: with --head, lines that are missing at the end
    are found, too.

    \b
    Example: rfsn replay --world my_world
    """
    from rfsn_core.learning.log_files import read_tree
    from rfsn_core.learning.records import DecisionRecord

    path = log_folder(folder, world, config_file)
    problems = [] if now else _chain_problems(path, head)
    records = [r for r in read_tree(path, DecisionRecord) if r.decision_id.startswith(decision_id or "")]
    if not records and not problems:
        raise UserError(f"no decision{f' {decision_id}' if decision_id else ''} in {path}")
    if now:
        from rfsn_core.cli.hindsight import replay_now

        replay_now(records, world, config_file)
        return
    rules = _rules(world, config_file) if records and (folder is None or world is not None) else None
    problems += _decision_problems(records, rules, same_rules)
    for problem in problems[:MOST_SHOWN]:
        click.echo(problem, err=True)
    if problems:
        raise UserError(f"{len(problems)} problem{'s' * (len(problems) != 1)}: the log was changed or is damaged")
    click.echo(f"{len(records)} decision{'s' * (len(records) != 1)}: the same")


def _chain_problems(path: Path, head: str | None) -> list[str]:
    """Print the head of each log in a folder; return what is wrong with their lines."""
    from rfsn_core.learning.log_files import log_folders
    from rfsn_core.learning.log_lines import Chain

    problems: list[str] = []
    heads: set[str] = set()
    for folder in log_folders(path):
        chain = Chain()
        problems += _check(folder, chain, heads)
        erased = f", {chain.erased} of them erased" if chain.erased else ""
        click.echo(f"{folder}: {chain.lines} lines{erased}; head {chain.head}")
    if head and head not in heads:
        problems.append(f"no line has the hash {head}: lines are missing, or were changed")
    return problems


def _decision_problems(records: list[DecisionRecord], rules: Rules | None, same_rules: bool) -> list[str]:
    """Return which decisions come out differently; print how many do so because the rules changed."""
    from rfsn_core.learning.replay import differences, own_differences

    problems = [problem for record in records for problem in own_differences(record)]
    changed = [line for record in records for line in differences(record, rules)] if rules else []
    if changed and not same_rules:
        count = len({line.split(":")[0] for line in changed})
        click.echo(f"{count} of {len(records)} come out differently under the rules as they are now, such as")
        click.echo(f"  {changed[0]}")
        return problems
    return problems + changed


def _rules(world: Path | None, config_file: Path | None) -> Rules:
    from rfsn_core.learning.replay import Rules
    from rfsn_core.telemetry import logs

    runtimes = load_runtimes(world, config_file)
    logs.configure("error")
    plan = asyncio.run(runtimes.check())
    return Rules(world=plan.world, actions=plan.actions, safety=plan.rules, weights=plan.settings.world.weights)


def _check(folder: Path, chain: Chain, heads: set[str]) -> Iterator[str]:
    """Yield what is wrong with the lines of a log; add the hash of each."""
    from rfsn_core.learning import log_lines
    from rfsn_core.learning.log_files import all_records, lines_of, log_files
    from rfsn_core.learning.records import Operation

    def lines() -> Iterator[tuple[str, bytes]]:
        for path in log_files(folder):
            for _, line in lines_of(path):
                yield path.name, line
                heads.add(chain.head)

    yield from log_lines.check(lines(), chain)
    erasures = (record for record in all_records(folder) if isinstance(record, Operation) and record.name == "erase")
    if chain.erased > (counted := sum(erasure.lines for erasure in erasures)):
        yield f"{folder}: {chain.erased} lines are marked as erased, but only {counted} were"

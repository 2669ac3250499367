"""`rfsn decision`: explain a logged decision."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rfsn_core.cli.options import find_world, json_option, world_options
from rfsn_core.contract.errors import UserError
from rfsn_core.learning.decision_words import details, why_words

if TYPE_CHECKING:
    from rich.console import Console

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


def find_decision(folder: Path, decision_id: str) -> DecisionRecord:
    """Return the decision whose id begins like this. Raises UserError when there is none, or more than one."""
    from rfsn_core.learning.log_files import read_tree
    from rfsn_core.learning.records import DecisionRecord

    records = [record for record in read_tree(folder, DecisionRecord) if record.decision_id.startswith(decision_id)]
    if not records:
        raise UserError(f"no decision '{decision_id}' in {folder}")
    if (matches := len({record.decision_id for record in records})) > 1:
        raise UserError(f"{matches} decisions begin with '{decision_id}'", hint="Give more of the id")
    return records[0]


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
    from rfsn_core.learning.records import RewardRecord, UpdateRecord

    path = log_folder(folder, world, config_file)
    record = find_decision(path, decision_id)
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
    console.print(why_words(record), markup=False)
    for label, words in details(record):
        console.print(f"  {label + ':':12}{words}", markup=False, soft_wrap=True)
    console.print(f"\nState: {feels}. Signal: {record.signal}.")
    console.print(f"Situation: {record.key}", markup=False)
    forced = f", forced by {record.forced_by}" if record.forced_by else ""
    console.print(f"\n[bold]{record.action.chosen}[/bold] in style [bold]{record.style.chosen}[/bold]{forced}")
    parts = record.action.parts
    heads = ("action", "probability", "score", "prior", *parts, "parts of the prior", "because")
    table = Table(*heads, box=None, pad_edge=False)
    order = sorted(range(len(record.action.arms)), key=lambda index: -record.action.scores[index])
    for index in order:
        arm = record.action.arms[index]
        terms = " ".join(f"{name} {value:+.2f}" for name, value in record.terms[index].items() if abs(value) >= 0.005)
        table.add_row(
            arm, f"{record.action.propensities[index]:.3f}", f"{record.action.scores[index]:+.3f}",
            f"{record.action.priors[index]:+.3f}", *(f"{values[index]:+.3f}" for values in parts.values()), terms,
            record.reasons[index],
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

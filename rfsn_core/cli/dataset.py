"""`rfsn dataset`: make training data for adapters from the log."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rfsn_core.cli.decisions import log_folder, log_option
from rfsn_core.cli.options import Number, json_option, load_runtimes, read_lines, world_options
from rfsn_core.contract.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rfsn_core.dataset.turns import Log
    from rfsn_core.runtime.builder import Runtimes


@click.command()
@click.argument("npcs", nargs=-1)
@world_options
@log_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR",
              help="Folder for the data set; must be new or empty.")  # fmt: skip
@click.option("--consent", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="The players who agreed to it: one id a line.")  # fmt: skip
@click.option("--everyone", is_flag=True, help="Take all players of the world's log: you answer for their consent.")
@click.option("--format", "form", type=click.Choice(["messages", "prompt-completion", "kto"]), default="messages",
              show_default=True, help="The columns.")  # fmt: skip
@click.option("--min-reward", type=Number(-1, 1), default=0.0, show_default=True,
              help="Lowest reward of a decision; those without a reward count as none.")  # fmt: skip
@click.option("--rewarded-only", is_flag=True, help="Leave out decisions without a reward.")
@click.option("--any-quality", is_flag=True, help="Keep replies whose style, friendliness, persona or lore is wrong.")
@click.option(
    "--context", type=click.IntRange(0, 20), default=3, show_default=True, help="Earlier turns in an example."
)
@click.option("--splits", default="0.1,0.1", show_default=True, help="Shares of players in validation and in test.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the splits.")
@json_option("Print the statistics as JSON.")
def dataset(
    npcs: tuple[str, ...], world: Path | None, config_file: Path | None, folder: Path | None, out: Path,
    consent: Path | None, everyone: bool, form: str, min_reward: float, rewarded_only: bool, any_quality: bool,
    context: int, splits: str, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Make training data for adapters from the log: chat JSONL for each archetype and task.

    All of a player is in one split. A data card says what is in it and what was left out.

    \b
    Example: rfsn dataset --consent agreed.txt --out data
    """
    from rfsn_core.dataset.examples import Maker, Wish
    from rfsn_core.dataset.files import split, write
    from rfsn_core.dataset.turns import read_log
    from rfsn_core.telemetry import logs

    logs.configure("error")
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty", hint="Choose a new folder: a data set does not add to another")
    wish = Wish(
        consent=_consent(consent, everyone, is_own=folder is None),
        min_reward=-1.0 if form == "kto" else min_reward,
        rewarded_only=rewarded_only or form == "kto",
        quality=not any_quality,
        context=context,
        npcs=frozenset(npcs),
    )
    shares = _shares(splits)
    runtimes = load_runtimes(world, config_file)
    log = read_log(log_folder(folder, world, config_file))
    plan = asyncio.run(runtimes.check())
    for name in npcs:
        plan.world.npc(name)
    maker = Maker(plan.world, plan.actions, wish, asyncio.run(_blocked(runtimes, log)), salt=str(seed))
    parts, leaked = split(maker.examples(log), seed, shares)
    left_out = dict(maker.left_out) | ({"its reply is in another split": leaked} if leaked else {})
    if not any(parts.values()):
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items()) or "the log has no turns"
        raise UserError("no turn is left for the data set", hint=reasons)
    about = {
        "World": plan.world.path.name,
        "Consent": "of the players in a list" if consent else "not recorded: all players were taken",
        "Rewards": f"{wish.min_reward:+g} at least" + ("; no turn without one" if wish.rewarded_only else ""),
        "Quality": "by the rules of `rfsn exam`" if wish.quality else "not checked",
        "Gate": "texts that the world's gates stop are left out",
    }
    out.mkdir(parents=True, exist_ok=True)
    stats = write(out, parts, form, left_out, about)
    if as_json:
        click.echo(json.dumps(stats, indent=2, ensure_ascii=False))
        return
    click.echo("\n".join(f"{count:7,} {name}" for name, count in stats["examples"].items()))
    click.echo(
        "Left out: " + (", ".join(f"{count} {reason}" for reason, count in stats["left_out"].items()) or "nothing")
    )
    click.echo(f"Written to {out}; README.md is the data card.")


def _consent(path: Path | None, everyone: bool, *, is_own: bool) -> frozenset[str] | None:
    """Return the players who agreed; None for all. Raises UserError when nobody was asked."""
    if path is not None:
        players = frozenset(line.strip() for line in read_lines(path) if line.strip())
        if not players:
            raise UserError(f"{path}: no players", hint="Write one id a line")
        return players
    if not everyone:
        raise UserError(
            "whose conversations may be used?", hint="--consent FILE names the players, --everyone takes all"
        )
    if not is_own:
        raise UserError(
            "--everyone takes only the world's own log: a copy still has players who were erased since",
            hint="Name the players with --consent FILE",
        )
    return None


def _shares(text: str) -> tuple[float, float]:
    try:
        validation, test = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(f"--splits '{text}': must be two shares", hint="--splits 0.1,0.1") from error
    if min(validation, test) < 0 or validation + test >= 1:
        raise UserError(f"--splits '{text}': the shares must be 0 or more, and leave some for training")
    return validation, test


async def _blocked(runtimes: Runtimes, log: Log) -> frozenset[str]:
    """Return the texts of a log that the world's gates stop today."""
    from rfsn_core.contract.gating import Utterance
    from rfsn_core.oversight import gates

    opened = [await runtimes.open_alone("gating", name) for stage, name in await runtimes.chosen() if stage == "gating"]
    try:
        blocked = set()
        for side, npc, text in _texts(log):
            verdict = await gates.check([gate.value for gate in opened], Utterance(text, side, npc), 5.0)
            if verdict.kind not in ("allow", "rewrite"):
                blocked.add(text)
        return frozenset(blocked)
    finally:
        for gate in opened:
            await gate.close()


def _texts(log: Log) -> Iterable[tuple[str, str, str]]:
    """Yield (side, NPC, text) of all that was said, each once."""
    return dict.fromkeys(
        (side, scope.npc, text)
        for scope, turns in log.conversations.items()
        for played in turns
        for side, text in (("player", played.turn.player_text), ("npc", played.turn.npc_text))
        if text
    )

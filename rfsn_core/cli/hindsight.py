"""`rfsn why`, `rfsn what-if` and `rfsn replay --now`: decisions as they are, would be, and would be today."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rfsn_core.cli.decisions import find_decision, log_folder, log_option
from rfsn_core.cli.options import Number, json_option, load_runtimes, read_state, state_option, world_options
from rfsn_core.contract.errors import UserError
from rfsn_core.learning.decision_words import details, why_words

if TYPE_CHECKING:
    from rfsn_core.learning.hindsight import Flip, Hindsight
    from rfsn_core.learning.records import DecisionRecord
    from rfsn_core.turn.runtime import Runtime
    from rfsn_core.world.decision import Deliberation

MOST_FLIPS = 6
MOST_CHANGES = 20


@asynccontextmanager
async def present(world: Path | None, config_file: Path | None) -> AsyncIterator[Runtime]:
    """Open the world as it is today with what its policy has learned, but not its store, which a server may have."""
    from rfsn_core.kernel import running
    from rfsn_core.telemetry import logs

    logs.configure("error")
    learned = load_runtimes(world, config_file).data_dir / "learning" / "checkpoints"
    with tempfile.TemporaryDirectory() as folder:
        if learned.is_dir():
            shutil.copytree(learned, Path(folder) / "learning" / "checkpoints")
        settings: dict[str, Any] = {
            "data_dir": folder,
            "storage": {"provider": "sqlite"},
            "archive": {"provider": []},
            "embedding": {"provider": "none"},
            "rendering": {"provider": "scripted", "fallback": []},
            "speech": {"provider": "silent", "fallback": []},
            "operations": {"reload": False},
        }
        async with running(load_runtimes(world, config_file, settings)) as kernel:
            yield kernel.runtimes.current


@click.command()
@click.argument("decision_id")
@world_options
@log_option
def why(decision_id: str, world: Path | None, config_file: Path | None, folder: Path | None) -> None:
    """Say why an NPC did that, and what would change it.

    The first sentence says what was chosen and because of what. Then come the nearest changes of feelings, rules and
    weights that lead to another action under today's settings. The beginning of DECISION_ID is enough.

    \b
    Example: rfsn why 8f31c2
    """
    from rfsn_core.contract.storage import Scope
    from rfsn_core.learning.hindsight import Hindsight

    record = find_decision(log_folder(folder, world, config_file), decision_id)
    click.echo(why_words(record))
    for label, words in details(record):
        click.echo(f"  {label + ':':12}{words}")

    async def look() -> list[Flip]:
        async with present(world, config_file) as runtime:
            hindsight = Hindsight(runtime)
            if (npc := hindsight.npc(record)) is None:
                raise UserError(f"the world has no NPC '{record.npc}' any more")
            acts = record.trial.acts if record.trial else "learned"
            scope = Scope(record.save, record.npc, record.player)
            return list(hindsight.flips(hindsight.situation(record, npc), npc, scope, acts))

    _show_flips(asyncio.run(look()))


def _show_flips(flips: Sequence[Flip]) -> None:
    if not flips:
        click.echo("No small change of a feeling, a rule or a weight leads to another action.")
        return
    click.echo("It would have chosen")
    for flip in flips[:MOST_FLIPS]:
        click.echo(f"  {flip.words}")


@click.command("what-if")
@click.argument("npc")
@click.argument("text")
@world_options
@click.option("--affinity", type=Number(-1, 1), help="How fond the NPC is of the player, -1 to 1.")
@click.option("--trust", type=Number(0, 1), help="How far it trusts the player, 0 to 1.")
@click.option("--fear", type=Number(0, 1), help="How much it fears the player, 0 to 1.")
@click.option("--signal", default="", help="What the player does, when the game knows it.")
@state_option
@json_option("Print the candidates as JSON.")
def what_if(
    npc: str, text: str, world: Path | None, config_file: Path | None, affinity: float | None, trust: float | None,
    fear: float | None, signal: str, state_file: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Show what an NPC would do, and why.

    The player says TEXT. Shows the candidates with their scores, and what would change the choice.
    Nothing is said, stored or learned. Feelings that are not given are those towards a stranger.

    \b
    Example: rfsn what-if innkeeper "Who stole the lantern?" --trust 0.9
    """
    import json

    feelings = {name: value for name, value in (("affinity", affinity), ("trust", trust), ("fear", fear))
                if value is not None}  # fmt: skip
    game = read_state(state_file)

    async def look() -> tuple[Deliberation, list[Flip]]:
        async with present(world, config_file) as runtime:
            return await _what_if(runtime, npc, text, signal, game, feelings)

    made, flips = asyncio.run(look())
    rows = sorted(zip(made.arms, made.action.scores, strict=True), key=lambda row: -row[1])
    if as_json:
        candidates = [{"action": arm.name, "score": score, "prior": arm.prior} for arm, score in rows]
        click.echo(json.dumps({"action": made.event.action, "style": made.event.style, "signal": made.event.signal,
                               "candidates": candidates, "vetoes": made.options.vetoes,
                               "flips": [flip.words for flip in flips]}, indent=2))  # fmt: skip
        return
    forced = f", forced by {made.event.forced_by}" if made.event.forced_by else ""
    click.echo(f"{npc} would choose {made.event.action} in style {made.event.style}{forced}: "
               f"the words are understood as {made.event.signal}.")  # fmt: skip
    for arm, score in rows:
        click.echo(f"  {arm.name:16}{score:+.2f}   {made.options.reasons[arm.name]}")
    _show_flips(flips)


async def _what_if(
    runtime: Runtime, npc: str, text: str, signal: str, game: dict[str, Any], feelings: dict[str, float]
) -> tuple[Deliberation, list[Flip]]:
    from rfsn_core import protocol
    from rfsn_core.learning.hindsight import Hindsight, with_feelings
    from rfsn_core.turn import decide, player_input
    from rfsn_core.turn.outbox import Outbox
    from rfsn_core.turn.request import new_request

    someone = runtime.world.npc(npc)
    message = protocol.PlayerTurn(npc=someone.id, text=text, signal=signal, state=game)
    request = new_request(message, someone, 1, Outbox(), protocol.Hello())
    state = with_feelings(someone.initial, feelings)
    player = await player_input.gate_input(request, runtime, state)
    state = with_feelings(decide.perceived(request, player, state), feelings)
    made = decide.decide(request, runtime, player, state, "what-if")
    hindsight = Hindsight(runtime)
    flips = [] if player.stopped_by else list(hindsight.flips(made.situation, someone, request.scope))
    return made, flips


# ── a whole log ──────────────────────────────────────────────────────────────────────────────────


def replay_now(records: Sequence[DecisionRecord], world: Path | None, config_file: Path | None) -> None:
    """Decide logged decisions again under today's rules, weights, policy and NPC files, and print what changes."""
    from rfsn_core.learning.hindsight import Hindsight

    async def look() -> list[tuple[DecisionRecord, str, str]]:
        async with present(world, config_file) as runtime:
            return list(_changes(Hindsight(runtime), records))

    changes = asyncio.run(look())
    click.echo(f"Of {len(records)} decisions {len(changes)} would be different today.")
    kinds = Counter((record.npc, record.signal, was, now) for record, was, now in changes)
    for (npc, signal, was, now), count in kinds.most_common(MOST_CHANGES):
        example = next(record for record, *_ in changes if (record.npc, record.signal) == (npc, signal))
        click.echo(f"  {count:5}  {npc}, {signal}: {was} → {now}   (such as {example.decision_id[:12]})")
    if len(kinds) > MOST_CHANGES:
        click.echo(f"  and {len(kinds) - MOST_CHANGES} more kinds")


def _changes(hindsight: Hindsight, records: Sequence[DecisionRecord]) -> Any:
    from rfsn_core.learning.hindsight import expected

    for record in records:
        npc = hindsight.npc(record)
        action, style = expected(record)
        was = f"{action}/{style}" if style else action
        if npc is None:
            yield record, was, "(no such NPC)"
            continue
        made = hindsight.again(record, npc)
        rules = sorted(set(made.options.vetoes.values()) - set(record.vetoes.values()))
        now = f"{made.event.action}/{made.event.style}" if style else made.event.action
        if now != was:
            yield record, was, now + (f" by rule {', '.join(rules)}" if rules else "")

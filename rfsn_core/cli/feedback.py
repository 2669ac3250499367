"""`rfsn feedback`: what a designer thinks of a line."""

from __future__ import annotations

from pathlib import Path

import click

from rfsn_core.cli.ask_server import post
from rfsn_core.cli.options import world_options
from rfsn_core.contract.errors import UserError


@click.command()
@click.argument("decision_id")
@click.argument("verdict", type=click.Choice(["good", "bad", "should"]))
@click.argument("action", required=False, default="")
@world_options
def feedback(decision_id: str, verdict: str, action: str, world: Path | None, config_file: Path | None) -> None:
    """Judge a line: good, bad, or what it should be.

    With `should`, ACTION is what the NPC should have done. A judgement teaches a policy that learns, as much as several
    rewards of the game. After three of a kind, a change of the NPC's file is suggested, as text to paste. If a server
    runs on the world, it takes the judgement.

    \b
    Example: rfsn feedback 8f31c2… should offer
    """
    if (verdict == "should") != bool(action):
        raise UserError("`should` needs an action, `good` and `bad` have none")
    place = {"world": world, "config_file": config_file}
    result = post(place, "/api/feedback", decision_id=decision_id, verdict=verdict, action=action)
    click.echo(f"{result['verdict']}: judgement {result['of_a_kind']} of this kind")
    if result["suggestion"]:
        click.echo(f"\n{result['suggestion']}", nl=False)

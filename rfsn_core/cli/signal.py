"""`rfsn signal`: what a line of the player is understood as, and why."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rfsn_core.cli.options import json_option, load_runtimes, world_options
from rfsn_core.contract.errors import contained
from rfsn_core.learning.decision_words import SOURCES

if TYPE_CHECKING:
    from rfsn_core.contract.understanding import Understanding


@click.command()
@click.argument("text")
@world_options
@json_option("Print everything as JSON.")
def signal(text: str, world: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Show how a line of the player is understood.

    \b
    Example: rfsn signal "how much for the rope?"
    """
    understanding = asyncio.run(_understand(text, world, config_file))
    if as_json:
        click.echo(json.dumps(asdict(understanding), indent=2, ensure_ascii=False))
        return
    source = SOURCES.get(understanding.source, understanding.source)
    click.echo(f"{understanding.signal}, {understanding.confidence:.0%} sure, by {source}")
    for label, value in _details(understanding):
        click.echo(f"  {label + ':':14}{value}")


def _details(understanding: Understanding) -> list[tuple[str, str]]:
    """Return (label, value) of all that is known besides the signal."""
    details = [
        ("or", ", ".join(f"{name} {share:.0%}" for name, share in understanding.alternatives)),
        ("question", understanding.question.replace("_", " ")),
        ("asks for", understanding.asks.replace("_", " ")),
        ("acts", "; ".join(understanding.acts)),
        ("about", ", ".join(understanding.topics)),
        ("names", ", ".join(f"{entity.name} ({entity.kind})" for entity in understanding.entities)),
        ("language", understanding.language),
        ("sentiment", f"{understanding.sentiment:+.2f}"),
    ]
    return [(label, value) for label, value in details if value]


async def _understand(text: str, world: Path | None, config_file: Path | None) -> Understanding:
    from rfsn_core.contract.understanding import UnderstandingContext

    runtimes = load_runtimes(world, config_file)
    plan = await runtimes.check()
    opened = await runtimes.open_alone("understanding")
    try:
        with contained():
            context = UnderstandingContext(names=plan.world.names, examples=plan.world.examples)
            understanding: Understanding = opened.value.understand(text, context)
    finally:
        await opened.close()
    return understanding

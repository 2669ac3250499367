"""`rfsn report`: what somebody who helps needs to know, in one file, without keys and without what players said."""

from __future__ import annotations

import asyncio
import json
import platform
import sys
import time
import zipfile
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rfsn_core.cli.options import load_runtimes, world_options

if TYPE_CHECKING:
    from rfsn_core.runtime.builder import Runtimes

NEWEST = 200
"""Lines of the log of decisions that go into a report."""
PLAIN_FIELDS = (
    "kind", "time", "decision_id", "prior_decision_id", "npc", "key", "key_version", "signal", "policy", "explored",
    "forced_by", "delivered", "final_json", "vetoes", "action", "style", "value", "source", "slot", "arm", "reward",
    "step", "rejected",
)  # fmt: skip
"""Fields of the log that hold nothing that a player wrote."""


@click.command()
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), default=Path("rfsn-report.zip"), show_default=True,
    metavar="FILE", help="The file to write.",
)  # fmt: skip
@world_options
def report(output: Path, world: Path | None, config_file: Path | None) -> None:
    """Write a report for somebody who helps, as a zip file.

    It holds versions, plugins, the settings, the problems that `config check` finds, metrics of a running server,
    and the newest decisions. It holds no key or password, no name of a player, and nothing that anybody said. Look
    into it before you send it.

    \b
    Example: rfsn report --world my_world
    """
    from rfsn_core.telemetry import logs
    from rfsn_core.telemetry.redaction import SECRETS

    logs.configure("error")
    runtimes = load_runtimes(world, config_file)
    names = []
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in _files(runtimes):
            archive.writestr(name, SECRETS.redact(text))
            names.append(name)
    click.echo(f"{output}: {', '.join(names)}")


def _files(runtimes: Runtimes) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each file; a part that fails says why in its place."""
    for name, part in (
        ("settings.json", _settings), ("check.txt", _check), ("plugins.txt", _plugins), ("versions.txt", _versions),
        ("world.txt", _world), ("metrics.txt", _metrics), ("decisions.jsonl", _decisions),
    ):  # fmt: skip
        try:
            yield name, part(runtimes)
        except Exception as error:  # noqa: BLE001  (a report about what is broken must not break)
            yield name, f"could not be read: {type(error).__name__}: {error}\n"


def _settings(runtimes: Runtimes) -> str:
    from rfsn_core.cli.config import without_secrets

    return json.dumps(without_secrets(runtimes.load().model_dump(mode="json")), indent=2, ensure_ascii=False)


def _check(runtimes: Runtimes) -> str:
    plan = asyncio.run(runtimes.check())
    left_out = [f"left out, not trusted: {risk.line}" for risk in plan.trust.left_out]
    return "\n".join([*plan.warnings, *left_out]) or "fine"


def _plugins(runtimes: Runtimes) -> str:
    return "\n".join(
        f"{plugin.name} {plugin.label}: {plugin.state} {plugin.reason}" for plugin in runtimes.plugins.found
    )


def _versions(runtimes: Runtimes) -> str:
    lines = [f"Python {sys.version}", platform.platform(), time.strftime("%Y-%m-%d %H:%M:%S %z")]
    return "\n".join([*lines, *sorted({f"{item.name} {item.version}" for item in distributions()})])


def _world(runtimes: Runtimes) -> str:
    """Return the world's files with their sizes; nobody's words."""
    lines = []
    for path in sorted(runtimes.world_dir.rglob("*")):
        name = path.relative_to(runtimes.world_dir)
        if path.is_file() and not any(part.startswith((".", "__")) for part in name.parts):
            lines.append(f"{name.as_posix()} {path.stat().st_size}")
    return "\n".join(lines)


def _metrics(runtimes: Runtimes) -> str:
    import httpx

    from rfsn_core.server.address import read

    address, secret = read(runtimes.data_dir)
    if not address:
        return "no server runs"
    try:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        return httpx.get(f"{address}/metrics", headers=headers, timeout=10).text
    except httpx.HTTPError as error:
        return f"no server answers: {error}"


def _decisions(runtimes: Runtimes) -> str:
    import msgspec

    from rfsn_core.learning.log_files import read_tree
    from rfsn_core.learning.records import DecisionRecord

    records = sorted(read_tree(runtimes.data_dir, DecisionRecord), key=lambda record: record.time)[-NEWEST:]
    lines = []
    for record in records:
        fields: dict[str, Any] = msgspec.to_builtins(record)
        lines.append(json.dumps({name: fields[name] for name in PLAIN_FIELDS if name in fields}))
    return "\n".join(lines)

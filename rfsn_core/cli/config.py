"""`rfsn config`: check, show and describe the settings."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import click

from rfsn_core.cli.options import runtimes, world_options
from rfsn_core.contract.provider import STAGES
from rfsn_core.plugins.discovery import Plugins, discover
from rfsn_core.settings.schema import Settings
from rfsn_core.telemetry import logs

SECRET = re.compile(r"(^|_)(key|token|secret|password)$")
"""Names of settings that nobody should read over a shoulder, or find in a bug report."""


@click.group()
def config() -> None:
    """Check, show or describe the settings."""


@config.command()
@world_options
def check(world: Path | None, config_file: Path | None) -> None:
    """Say whether the settings and the world's files are right, and if not, where."""
    found = runtimes(world, config_file)
    logs.configure("error")
    plan = asyncio.run(found.check())
    file = plan.source.path or "defaults (no settings file)"
    warnings = [*plan.warnings, *_broken_plugins(found.plugins)]
    counts = f"{len(plan.world.npcs)} NPCs, {len(plan.world.lore)} lore files"
    click.echo(f"{file} ({counts}): fine{', but:' if warnings else ''}")
    for warning in warnings:
        click.echo(f"  {warning}")


def _broken_plugins(plugins: Plugins) -> list[str]:
    """Return a line for each plugin that cannot be used, with its file and line where they are known."""
    failed = [item for item in plugins.found if item.state == "failed"]
    return [f"plugin {item.name} ({item.label}) failed: {item.reason}" for item in failed]


@config.command()
@world_options
def show(world: Path | None, config_file: Path | None) -> None:
    """Print the settings that apply, defaults, file and environment together, as JSON. Keys are hidden."""
    found = runtimes(world, config_file)
    click.echo(json.dumps(_without_secrets(found.load().model_dump()), indent=2, ensure_ascii=False))


def _without_secrets(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _without_secrets(item, key) for key, item in value.items()}
    if not isinstance(value, str) or not value:
        return value
    return "(set)" if SECRET.search(name) else re.sub(r"//[^/@\s]*@", "//(set)@", value)


@config.command()
def schema() -> None:
    """Print the settings' JSON Schema, with those of all installed providers."""
    click.echo(json.dumps(settings_schema(discover()), indent=2, ensure_ascii=False))


def settings_schema(plugins: Plugins) -> dict[str, Any]:
    """The JSON Schema of a settings file; editors complete and check with it."""
    document: dict[str, Any] = Settings.model_json_schema()
    definitions = document["$defs"]
    for stage in STAGES:
        base = definitions[type(Settings.model_fields[stage].default).__name__]
        table = {**base, "properties": dict(base["properties"]), "additionalProperties": False, "title": stage}
        for name, (provider, _) in sorted(plugins.providers(stage).items()):
            own = provider.settings.model_json_schema(ref_template="#/$defs/{model}")
            definitions.update(own.pop("$defs", {}))
            own.setdefault("description", provider.about)
            table["properties"][name] = own
        document["properties"][stage] = table
    return document

"""`rfsn config`: check, show and describe the settings."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rfsn_core.cli.groups import Group
from rfsn_core.cli.options import load_runtimes, world_options

if TYPE_CHECKING:
    from rfsn_core.plugins.discovery import Plugins


@click.group(cls=Group)
def config() -> None:
    """Check, show or describe the settings.

    \b
    Example: rfsn config check --world my_world
    """


@config.command()
@world_options
def check(world: Path | None, config_file: Path | None) -> None:
    """Check the settings and the files of the world.

    Every mistake is listed with its file, line and key. Nothing is opened or changed.

    \b
    Example: rfsn config check --world my_world
    """
    from rfsn_core.telemetry import logs

    runtimes = load_runtimes(world, config_file)
    logs.configure("error")
    plan = asyncio.run(runtimes.check())
    file = plan.source.path or "defaults (no settings file)"
    warnings = [*plan.warnings, *_broken_plugins(runtimes.plugins)]
    npcs, lore = len(plan.world.npcs), len(plan.world.lore)
    counts = f"{npcs} NPC{'s' * (npcs != 1)}, {lore} lore file{'s' * (lore != 1)}"
    click.echo(f"{file} ({counts}): fine{', but:' if warnings else ''}")
    for warning in warnings:
        click.echo(f"  {warning}")
    if plan.trust.left_out:
        click.echo(f"This world is not trusted, so these parts are left out; {plan.trust.hint}:")
        for risk in plan.trust.left_out:
            click.echo(f"  {risk.line}")


def _broken_plugins(plugins: Plugins) -> list[str]:
    """Return a line for each plugin that cannot be used, with its file and line where they are known."""
    failed = [plugin for plugin in plugins.found if plugin.state == "failed"]
    return [f"plugin {plugin.name} ({plugin.label}) failed: {plugin.reason}" for plugin in failed]


@config.command()
@world_options
def show(world: Path | None, config_file: Path | None) -> None:
    """Print the settings in effect as JSON.

    They combine the defaults, the settings file and the environment. Keys and passwords are hidden.

    \b
    Example: rfsn config show --world my_world
    """
    settings = load_runtimes(world, config_file).load()
    click.echo(json.dumps(without_secrets(settings.model_dump()), indent=2, ensure_ascii=False))


def without_secrets(value: Any, name: str = "") -> Any:
    """Return nested settings without keys and passwords."""
    from rfsn_core.telemetry.redaction import SECRET_NAME, SECRETS

    if isinstance(value, dict):
        return {key: without_secrets(item, key) for key, item in value.items()}
    if not isinstance(value, str) or not value:
        return value
    return "(set)" if SECRET_NAME.search(name) else SECRETS.redact(value)


@config.command()
def schema() -> None:
    """Print the JSON Schema of rfsn.toml.

    It includes the settings of all installed providers; an editor can complete and check with it.

    \b
    Example: rfsn config schema > rfsn.schema.json
    """
    from rfsn_core.plugins.discovery import discover

    click.echo(json.dumps(settings_schema(discover()), indent=2, ensure_ascii=False))


def settings_schema(plugins: Plugins) -> dict[str, Any]:
    """Return the JSON Schema of a settings file."""
    from rfsn_core.contract.stages import STAGES
    from rfsn_core.settings.schema import Settings

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

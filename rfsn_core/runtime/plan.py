"""What the settings ask for: everything that can be checked before a provider is opened."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError

from rfsn_core.contract.actions import SafetyRule
from rfsn_core.contract.dialects import Dialect, DialectSettings
from rfsn_core.contract.errors import ConfigError, contained
from rfsn_core.contract.provider import Provider
from rfsn_core.contract.stages import STAGES
from rfsn_core.kit.explain import explain_errors, nearest
from rfsn_core.plugins.discovery import Plugin, Plugins
from rfsn_core.settings.schema import ArchiveStage, GatingStage, Settings, Stage
from rfsn_core.settings.source import Source, misnamed_files, unknown_provider
from rfsn_core.settings.trust import Trust, load_world
from rfsn_core.telemetry.redaction import SECRETS
from rfsn_core.world import candidates
from rfsn_core.world.actions import BUILT_IN, Actions
from rfsn_core.world.files import World, read_world

INSTALL = {
    "anthropic": "rfsn-llm-anthropic", "espeak": "rfsn-tts-espeak", "kokoro": "rfsn-tts-kokoro",
    "linucb": "rfsn-policy-linucb", "llamacpp": "rfsn-llm-llamacpp", "ollama": "rfsn-llm-ollama",
    "openai": "rfsn-llm-openai", "piper": "rfsn-tts-piper", "postgres": "rfsn-memory-postgres",
    "redis": "rfsn-memory-redis", "vllm": "rfsn-llm-vllm", "wordllama": "rfsn-embed-wordllama",
    "xvasynth": "rfsn-tts-xvasynth",
}  # fmt: skip
"""Provider → the distribution of RFSN's own that offers it."""
DIALECTS = ("mantella", "openai")
"""The dialects of RFSN's own."""
SUBSTITUTES = {"rendering": "scripted", "speech": "silent"}
"""Stage → what is always there, and takes over from a provider that is not installed."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A provider that the settings choose, with its settings."""

    stage: str
    name: str
    provider: Provider[Any, Any]
    plugin: Plugin
    settings: BaseModel

    @property
    def key(self) -> tuple[str, str, str, str]:
        """(stage, provider, distribution version, settings as JSON): equal keys are the same opened provider."""
        # pydantic writes every SecretStr as stars; a key that was exchanged must open the provider again.
        secrets = "".join(_hidden(self.settings.model_dump()))
        digest = hashlib.blake2b(secrets.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest() if secrets else ""
        return self.stage, self.name, self.plugin.version, self.settings.model_dump_json() + digest


@dataclass(frozen=True, kw_only=True)
class DialectChoice:
    """A dialect that the server speaks, with its settings."""

    dialect: Dialect[Any]
    plugin: Plugin
    settings: DialectSettings


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Settings and world, checked, and the providers to open."""

    settings: Settings
    source: Source
    trust: Trust
    world: World
    actions: Actions
    rules: tuple[SafetyRule, ...]
    choices: tuple[Choice, ...]
    dialects: tuple[DialectChoice, ...]
    warnings: tuple[str, ...]
    """What is probably a mistake, one line each."""


async def make_plan(
    world_dir: Path, plugins: Plugins, config_file: Path | None, overrides: Mapping[str, Any],
    previous: World | None = None,
) -> Plan:  # fmt: skip
    """Read settings and world and check them. Raises ConfigError or WorldError with all problems.

    :param previous: the world as it was read before: what has not changed since is not read again.
    """
    settings, source, trust = await asyncio.to_thread(load_world, world_dir, config_file, overrides)
    choosing = _Choosing(plugins, settings, source)
    choices = tuple(choosing.choices())
    dialects = tuple(choosing.dialects())
    problems = [*choosing.problems, *_unknown_variants(plugins, settings, source)]
    if problems:
        raise ConfigError(problems)
    actions, rules = _actions(plugins, settings), _rules(plugins, settings)
    problems += _unknown_actions(settings, source, actions)
    if problems:
        raise ConfigError(problems)
    world = await asyncio.to_thread(read_world, world_dir, actions, trust.allows, settings.world.language, previous)
    misnamed = misnamed_files(world_dir) if config_file is None else []
    return Plan(
        settings=settings,
        source=source,
        trust=trust,
        world=world,
        actions=actions,
        rules=rules,
        choices=choices,
        dialects=dialects,
        warnings=(*misnamed, *source.warnings, *choosing.warnings, *world.warnings),
    )


def _actions(plugins: Plugins, settings: Settings) -> Actions:
    return Actions([*(offer for offer, _ in plugins.offers("rfsn_actions")), *settings.world.actions])


def _rules(plugins: Plugins, settings: Settings) -> tuple[SafetyRule, ...]:
    return (
        *candidates.BUILT_IN,
        *(offer for offer, _ in plugins.offers("rfsn_safety_rules")),
        *settings.world.rules,
    )


def _unknown_variants(plugins: Plugins, settings: Settings, source: Source) -> Iterator[str]:
    """Yield a line for each action of the settings that is a variant of one that does not exist."""
    offered = (offer.name for offer, _ in plugins.offers("rfsn_actions"))
    names = {action.name for action in (*BUILT_IN, *settings.world.actions)} | set(offered)
    for index, action in enumerate(settings.world.actions):
        if action.variant_of and action.variant_of not in names:
            where = source.where(["world", "actions", index, "variant_of"])
            yield f"{where}: no action '{action.variant_of}'{nearest(action.variant_of, names)}"


def _unknown_actions(settings: Settings, source: Source, actions: Actions) -> Iterator[str]:
    """Yield a line for each action that a rule or trigger of the settings names and that does not exist."""
    for index, trigger in enumerate(settings.world.triggers):
        for name in trigger.actions:
            if name not in actions:
                where = source.where(["world", "triggers", index, "actions"])
                yield f"{where}: no action '{name}'{nearest(name, actions)}"
    for index, rule in enumerate(settings.world.rules):
        named = {"forbid": rule.forbid, "favour": rule.favour, "force": [rule.force] if rule.force else []}
        for key, names in named.items():
            for name in names:
                if name not in actions:
                    where = source.where(["world", "rules", index, key])
                    yield f"{where}: no action '{name}'{nearest(name, actions)}"


def _hidden(values: Any) -> Iterator[str]:
    """Yield what nested settings hold as SecretStr."""
    if isinstance(values, SecretStr):
        yield values.get_secret_value()
    elif isinstance(values, Mapping | list | tuple):
        for value in values.values() if isinstance(values, Mapping) else values:
            yield from _hidden(value)


class _Choosing:
    """Finds the providers that the settings name, and checks their settings."""

    def __init__(self, plugins: Plugins, settings: Settings, source: Source) -> None:
        self._plugins, self._settings, self._source = plugins, settings, source
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def choices(self) -> Iterator[Choice]:
        """Yield the providers of all stages, in the order in which they are tried."""
        for stage in STAGES:
            table = self._settings.stage(stage)
            self._check_tables(stage, table)
            found = False
            for position, name in enumerate(table.chosen()):
                if choice := self._choice(stage, table, name, position):
                    found = True
                    yield choice
            if not found and stage in SUBSTITUTES and not self.problems:
                substitute = self._choice(stage, table, SUBSTITUTES[stage], 0)
                if substitute:
                    yield substitute

    def dialects(self) -> Iterator[DialectChoice]:
        """Yield the dialects that are not switched off, with their settings."""
        tables = self._settings.dialects
        offered: dict[str, tuple[Dialect[Any], Plugin]] = {}
        for dialect, plugin in self._plugins.offers("rfsn_dialects"):
            if dialect.name in offered:
                first = offered[dialect.name][1]
                self.problems.append(f"dialect '{dialect.name}' is offered twice: by {first.label} and {plugin.label}")
            offered.setdefault(dialect.name, (dialect, plugin))
        for name in tables:
            if name not in offered:
                where = self._source.where(["dialects", name])
                hint = f" is not installed: pip install rfsn-dialect-{name}" if name in DIALECTS else ""
                self.problems.append(f"{where}: dialect '{name}'{hint or ' does not exist' + nearest(name, offered)}")
        for dialect, plugin in offered.values():
            try:
                settings = dialect.settings.model_validate(tables.get(dialect.name, {}))
            except ValidationError as error:
                key = ["dialects", dialect.name]
                self.problems += explain_errors(error, self._source, dialect.settings, key)
                continue
            if settings.enabled:
                yield DialectChoice(dialect=dialect, plugin=plugin, settings=settings)

    def _choice(self, stage: str, table: Stage | GatingStage | ArchiveStage, name: str, position: int) -> Choice | None:
        offered = self._plugins.providers(stage)
        if name not in offered:
            self._missing(stage, name, position)
            return None
        provider, plugin = offered[name]
        values = (table.model_extra or {}).get(name, {})
        try:
            with contained():
                settings = provider.settings.model_validate(values)
        except ValidationError as error:
            self.problems += explain_errors(error, self._source, provider.settings, [stage, name])
            return None
        except Exception as error:  # noqa: BLE001  a validator of the plugin's
            where = self._source.where([stage, name])
            self.problems.append(f"{where}: plugin {plugin.name} ({plugin.label}): {type(error).__name__}: {error}")
            return None
        SECRETS.remember(_hidden(settings.model_dump()))
        return Choice(stage=stage, name=name, provider=provider, plugin=plugin, settings=settings)

    def _missing(self, stage: str, name: str, position: int) -> None:
        """Report a provider that no plugin offers. Rendering and speech have a substitute; other stages have none."""
        first = position == 0 or stage == "archive"
        key = "providers" if stage == "gating" else "provider" if first else "fallback"
        plugin = next((item for item in self._plugins.found if item.state != "loaded" and name in item.name), None)
        if plugin is not None:
            reason = f" (plugin {plugin.name}, {plugin.label}, is {plugin.state}: {plugin.reason})"
        elif name in INSTALL:
            reason = f" is not installed: pip install {INSTALL[name]}"
        else:
            reason = ""
        if reason and stage in SUBSTITUTES:
            where = self._source.where([stage, key])
            rest = [other for other in self._settings.stage(stage).chosen() if other in self._plugins.providers(stage)]
            self.warnings.append(f"{where}: '{name}'{reason}; '{(rest or [SUBSTITUTES[stage]])[0]}' takes its place")
        elif name in INSTALL and plugin is None:
            self.problems.append(f"{self._source.where([stage, key])}: '{name}'{reason}")
        else:
            offered = list(self._plugins.providers(stage))
            self.problems.append(unknown_provider(stage, name, offered, self._source, [stage, key]) + reason)

    def _check_tables(self, stage: str, table: Stage | GatingStage | ArchiveStage) -> None:
        """Check the keys of a stage's table that are not the stage's own: each should be a provider's table."""
        offered = self._plugins.providers(stage)
        for name, value in (table.model_extra or {}).items():
            where = self._source.where([stage, name])
            if name == "fallback":
                self.problems.append(f"{where}: [{stage}] has no fallback; [rendering] and [speech] have")
            elif name not in offered and not isinstance(value, Mapping):
                self.problems.append(f"{where}: no such setting{self._right_place(stage, table, name)}")
            elif name not in offered and name not in INSTALL:
                self.problems.append(unknown_provider(stage, name, list(offered), self._source, [stage, name]))
            elif name not in table.chosen():
                chosen = " then ".join(f"'{other}'" for other in table.chosen())
                self.warnings.append(f"{where}: [{stage}.{name}] is not used: provider is {chosen or 'not set'}")

    def _right_place(self, stage: str, table: Stage | GatingStage | ArchiveStage, name: str) -> str:
        for provider in (*table.chosen(), *self._plugins.providers(stage)):
            offered = self._plugins.providers(stage).get(provider)
            if offered and name in offered[0].settings.model_fields:
                return f"; it belongs into [{stage}.{provider}]"
        return nearest(name, type(table).model_fields)

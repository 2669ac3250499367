"""Where settings come from: defaults, the file (TOML, JSON or YAML), the environment, and the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rfsn_core.contract.errors import ConfigError
from rfsn_core.kit.documents import Document, DocumentError, read_document
from rfsn_core.kit.explain import explain_errors, nearest
from rfsn_core.settings.environment import EnvironmentValues
from rfsn_core.settings.schema import Settings
from rfsn_core.telemetry.redaction import SECRETS, secrets_in

NAMES = ("rfsn.toml", "rfsn.json", "rfsn.yaml", "rfsn.yml")
"""What a world's settings file may be called."""


class Source:
    """The file and the environment that settings were read from: where each key is, and what looks wrong.

    :param warnings: what is probably a mistake, one line each.
    """

    def __init__(self, document: Document, environment: EnvironmentValues, warnings: Sequence[str] = ()) -> None:
        self.path = document.path
        self.warnings = (*warnings, *environment.warnings)
        self._document, self._environment = document, environment

    @property
    def is_empty(self) -> bool:
        """Whether there is no file, or nothing in it."""
        return not self._document.values

    def where(self, key: Sequence[str | int]) -> str:
        """Return `file, line 3: rendering.provider`, or the environment variable that set the key."""
        dotted = ".".join(str(part) for part in key)
        if variable := self._environment.variable(tuple(str(part) for part in key)):
            return f"{variable}: {dotted}"
        return self._document.where(key) if self.path else f"settings: {dotted}"


def find_file(world: Path) -> Path | None:
    """Return the world's settings file, or None. Raises ConfigError when there are two."""
    files = [world / name for name in NAMES if (world / name).is_file()]
    if len(files) > 1:
        raise ConfigError([f"{world}: two settings files: {', '.join(path.name for path in files)}; keep one"])
    return files[0] if files else None


def misnamed_files(world: Path) -> list[str]:
    """Return a line for each file that looks like a settings file and is not read, with the right name."""
    files = sorted(world.iterdir()) if world.is_dir() else []
    return [f"{path}: {problem}" for path in files if path.is_file() and (problem := misnamed(path))]


def misnamed(path: Path) -> str:
    """Return what to call a file that looks like a settings file and is not read; empty for all others."""
    name = path.name.lower()
    right = next((known for known in NAMES if name in (known, known + ".txt")), "")
    if name in ("rfsn.txt", "rfsn.ini", "rfsn.cfg", "rfsn.conf", "rfsn"):
        right = NAMES[0]
    if not right or path.name in NAMES:
        return ""
    proper = path.with_name(right)
    if not proper.exists():
        return f"is not read; a settings file is called '{right}'"
    # Where capitals do not matter both names are the same file, which is read.
    return "" if path.exists() and proper.samefile(path) else f"is not read; the settings are in '{right}'"


def load(
    path: Path | None,
    overrides: Mapping[str, Any] | None = None,
    allowed: Callable[[Mapping[str, Any]], dict[str, Any]] = dict,
) -> tuple[Settings, Source]:
    """Return the settings of a file (None: defaults only) and the environment.

    :param overrides: what the command line says, as nested tables; it wins over the environment.
    :param allowed: returns the file's values without those that its world may not set; see `trust`.
    Raises ConfigError with one line for each problem: file, line, key, and the nearest valid key.
    """
    try:
        document = read_document(path) if path else Document(None, {}, {})
    except DocumentError as error:
        raise ConfigError([str(error)]) from error
    environment = EnvironmentValues(os.environ)
    for values in (document.values, environment.values, overrides or {}):
        SECRETS.remember(secrets_in(values))  # before anything can go wrong with them
    source = Source(document, environment)
    problems = list(environment.problems)
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(merge(merge(allowed(document.values), environment.values), overrides or {}))
    except ValidationError as error:
        problems += explain_errors(error, source, Settings)
    if problems or settings is None:
        raise ConfigError(problems)
    return settings, source


def merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested tables in which `high` wins over `low`."""
    merged = dict(low)
    for key, value in high.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def unknown_provider(stage: str, name: str, names: Sequence[str], source: Source, key: Sequence[str]) -> str:
    """Return the line for a provider that no loaded plugin offers."""
    return f"{source.where(key)}: no {stage} provider '{name}'{nearest(name, names)}"

"""What installed distributions say about themselves, read from the names and entry points of their folders.

`importlib.metadata` does the same, but importing it takes as long as importing click, which `rfsn --help` cannot spare.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

PLUGINS = "rfsn"
COMMANDS = "rfsn.commands"
"""The entry-point groups of plugins and of their commands."""


class PluginCommand(NamedTuple):
    """A command that an installed plugin names in its entry points."""

    name: str
    target: str
    """`module:attribute`."""
    distribution: str


def plugin_commands() -> Iterator[PluginCommand]:
    """Yield the commands of installed plugins, except those that `RFSN_BLOCK` or `RFSN_PLUGINS` leaves out."""
    for distribution, _, folder in sorted(_distributions()):
        try:
            with open(os.path.join(folder, "entry_points.txt"), encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError):
            continue
        if f"[{COMMANDS}]" not in text:
            continue
        groups = _entry_points(text)
        if _allowed(groups.get(PLUGINS, {})):
            for name, target in groups[COMMANDS].items():
                yield PluginCommand(name, target, distribution.replace("_", "-"))


def version() -> str:
    """Return the version of rfsn-core."""
    for distribution, number, _ in _distributions():
        if distribution == "rfsn_core":
            return number
    from rfsn_core.contract.version import version

    return version()


def _distributions() -> Iterator[tuple[str, str, str]]:
    """Yield (name, version, metadata folder) of each distribution, the first on the path where there are several."""
    seen = set()
    for place in sys.path:
        try:
            names = os.listdir(place or os.curdir)
        except OSError:
            continue
        for entry in names:
            if entry.endswith(".dist-info"):
                name, _, number = entry.removesuffix(".dist-info").partition("-")
                if name not in seen:
                    seen.add(name)
                    yield name, number, os.path.join(place, entry)


def _entry_points(text: str) -> dict[str, dict[str, str]]:
    groups: dict[str, dict[str, str]] = {}
    group: dict[str, str] = {}
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            group = groups.setdefault(line.strip("[]"), {})
        elif "=" in line and not line.startswith(("#", ";")):
            name, _, target = line.partition("=")
            group[name.strip()] = target.partition("[")[0].strip()
    return groups


def _allowed(plugins: dict[str, str]) -> bool:
    """Return whether the environment lets one of a distribution's plugins load."""
    allowed = os.environ.get("RFSN_PLUGINS")
    names = set(plugins)
    if allowed is not None:
        names &= {name.strip() for name in allowed.split(",")}
    return bool(names - {name.strip() for name in os.environ.get("RFSN_BLOCK", "").split(",")})

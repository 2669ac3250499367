"""The contract of the six stages: what a provider is, what it gets, and what it must do.

A plugin offers `Provider` descriptors from its stage hook (see `hookspecs`); the runtime validates the
provider's settings, opens it once, and calls the opened object on every turn. The six protocols below are
structural: nothing has to be inherited.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

T = TypeVar("T")

STAGES = ("abstraction", "selection", "rendering", "gating", "speech", "storage", "embedding")
"""The six places a plugin can fill; also the tables of the settings file."""


class Clock(Protocol):
    """Where providers get the time, so that a run can be repeated."""

    def time(self) -> float:
        """Seconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds that never go backwards."""


@dataclass(frozen=True)
class Host:
    """What the kernel lends a provider while it is open."""

    data_dir: Path
    """A folder for the provider's own files. It exists when storage providers open; others create it."""
    world_dir: Path
    """The world's folder: paths in a provider's settings are relative to it."""
    log: logging.Logger
    clock: Clock
    random: Random
    """Seeded by the settings: use it for everything that may vary between runs."""


@dataclass(frozen=True)
class Provider(Generic[T]):
    """A named implementation of a stage, as a plugin offers it.

    `open(settings, host)` returns an async context manager that yields the working object. It is entered
    and left in one task, so anything may be acquired inside; import the heavy engine there, not at the
    top of the module.
    """

    name: str
    """What the settings file says: `provider = "name"`."""
    settings: type[BaseModel]
    """Validated before anything opens. Describe each field: the documentation is made from it."""
    open: Callable[[Any, Host], AbstractAsyncContextManager[T]]
    about: str = ""
    """One line for `rfsn plugins`."""


class NoSettings(BaseModel, extra="forbid"):
    """For a provider that has nothing to set."""


# ── abstraction ──────────────────────────────────────────────────────────────────────────────────


# ── selection ────────────────────────────────────────────────────────────────────────────────────


# ── rendering ────────────────────────────────────────────────────────────────────────────────────


# ── gating ───────────────────────────────────────────────────────────────────────────────────────


# ── speech ───────────────────────────────────────────────────────────────────────────────────────


# ── storage ──────────────────────────────────────────────────────────────────────────────────────

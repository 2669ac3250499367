"""What a plugin offers to a stage, and what the kernel gives it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Generic, TypeVar, cast, overload

from pydantic import BaseModel

from rfsn_core.contract.capabilities import DEFAULT, Capabilities, Closable, Startable

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
S = TypeVar("S", bound=BaseModel)
S2 = TypeVar("S2", bound=BaseModel)


Opener = Callable[[str, str, Mapping[str, Any]], AbstractAsyncContextManager[Any]]


def _opens_nothing(stage: str, name: str, settings: Mapping[str, Any]) -> AbstractAsyncContextManager[Any]:
    """Refuse to open a provider: a host that was made by hand knows none."""
    raise RuntimeError(f"this host cannot open {stage}:{name}")


@dataclass(frozen=True)
class Host:
    """What the kernel gives a provider while it is open."""

    data_dir: Path
    """A folder for the provider's own files. It exists when storage providers open; others create it."""
    world_dir: Path
    """The world's folder: paths in a provider's settings are relative to it."""
    log: logging.Logger
    random: Random
    """Seeded by the settings: use it for everything that may vary between runs."""
    open: Opener = _opens_nothing
    """Opens another provider for this one alone: `host.open(stage, name, settings)` is an async context manager. Its
    settings come from the world, with those given here over them. Raises ConfigError when they are wrong."""


class NoSettings(BaseModel, extra="forbid"):
    """The settings of a provider that has none."""


class Offer(Generic[T_co]):
    """What a stage's hook yields: a `Provider`, whatever its settings. `T_co` is the stage's protocol."""


@dataclass(frozen=True)
class Provider(Offer[T_co], Generic[S, T_co]):
    """A named implementation of a stage, as a plugin offers it.

    `open(settings, host)` returns an async context manager that yields the working object. It is entered
    and left in one task, so anything may be acquired inside; import the heavy engine there, not at the
    top of the module. `Provider.of` makes one from a class.
    """

    name: str
    """What the settings file says: `provider = "name"`."""
    settings: type[S]
    """Validated before anything opens. Describe each field: the documentation is made from it."""
    open: Callable[[S, Host], AbstractAsyncContextManager[T_co]]
    about: str = ""
    """One line for `rfsn plugins`."""
    capabilities: Capabilities = DEFAULT
    """What it does not do, where that matters to the kernel."""
    kind: type | None = field(default=None, repr=False)
    """The class of what it opens, where that is known before."""

    @overload
    @classmethod
    def of(
        cls, name: str, make: Callable[[], T], settings: type[NoSettings] = ..., about: str = ...,
        capabilities: Capabilities = ...,
    ) -> Provider[NoSettings, T]: ...  # fmt: skip
    @overload
    @classmethod
    def of(
        cls, name: str, make: Callable[[S2], T], settings: type[S2], about: str = ...,
        capabilities: Capabilities = ...,
    ) -> Provider[S2, T]: ...  # fmt: skip
    @overload
    @classmethod
    def of(
        cls, name: str, make: Callable[[S2, Host], T], settings: type[S2], about: str = ...,
        capabilities: Capabilities = ...,
    ) -> Provider[S2, T]: ...  # fmt: skip
    @classmethod
    def of(
        cls, name: str, make: Callable[..., Any], settings: type[Any] = NoSettings, about: str = "",
        capabilities: Capabilities = DEFAULT,
    ) -> Provider[Any, Any]:  # fmt: skip
        """Return a provider that opens what `make` makes.

        :param make: a class, or a function that imports one and returns an instance. It takes (settings, host),
            (settings), or nothing. Where the object has `async def start(self)`, that runs before the first use; where
            it has `async def close(self)` or `def close(self)`, that runs after the last, also when `start` failed.
        """
        count = len(_positional(make))

        @asynccontextmanager
        async def open_it(values: BaseModel, host: Host) -> AsyncIterator[Any]:
            opened = make(*(values, host)[:count])
            try:
                if isinstance(opened, Startable):
                    await opened.start()
                yield opened
            finally:
                if isinstance(opened, Closable):
                    closing = cast("Any", opened).close()
                    if inspect.isawaitable(closing):
                        await closing

        return Provider(name, settings, open_it, about, capabilities, make if inspect.isclass(make) else None)


def _positional(make: Callable[..., Any]) -> list[str]:
    """Return the names of the arguments that `make` needs. Raises TypeError for more than settings and host."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(make).parameters.values()
    needed = [
        parameter.name for parameter in parameters if parameter.kind in kinds and parameter.default is parameter.empty
    ]
    if len(needed) > 2:
        raise TypeError(f"{make!r} takes {', '.join(needed)}; Provider.of can give it settings and host only")
    return needed

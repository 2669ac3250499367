"""What an opened provider may have besides the members of its stage's protocol.

To let a type checker compare them, name the protocols as base classes: `class Mine(HasHealth, ListsVoices)`. The kernel
looks for the members, so that naming the protocols is not needed; it refuses an object that has `async def heath`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a provider does; each is assumed unless the provider says otherwise."""

    reports: bool = True
    """A renderer that follows the prompt's messages, and so ends its reply with the report that they ask for."""
    learns: bool = True
    """A policy that changes with rewards; without, it receives none."""


DEFAULT = Capabilities()


@runtime_checkable
class HasHealth(Protocol):
    """Describes its condition, for `rfsn doctor`."""

    async def health(self) -> str:
        """Return one line on what is there. Raises EngineError with a hint that says what to do."""
        ...


@runtime_checkable
class ListsModels(Protocol):
    """A renderer that knows several models, for `rfsn models`."""

    async def models(self) -> Sequence[str]:
        """Return their names. Raises EngineError with a hint that says what to do."""
        ...


@runtime_checkable
class ListsVoices(Protocol):
    """A speech engine that knows several voices, for `rfsn voices`."""

    async def voices(self) -> Sequence[str]:
        """Return their names. Raises EngineError with a hint that says what to do."""
        ...


@runtime_checkable
class Startable(Protocol):
    """An object of `Provider.of` that must do something asynchronous before its first use."""

    async def start(self) -> None:
        """Acquire what it needs."""


@runtime_checkable
class Closable(Protocol):
    """An object of `Provider.of` that has something to release; `close` may be `async` or not."""

    def close(self) -> Any:
        """Release everything, also after a `start` that failed."""


OPTIONAL: tuple[type, ...] = (HasHealth, ListsModels, ListsVoices, Startable, Closable)

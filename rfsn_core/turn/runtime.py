"""The runtime of a turn: settings, world and opened providers as one immutable snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rfsn_core.contract.archive import Archive
from rfsn_core.contract.embedding import Embedder
from rfsn_core.contract.gating import Gate
from rfsn_core.contract.rendering import Renderer
from rfsn_core.contract.shared_storage import SharedStore
from rfsn_core.contract.speech import Voice
from rfsn_core.contract.storage import Store
from rfsn_core.plugins.hooks import Hooks
from rfsn_core.settings.schema import Settings
from rfsn_core.settings.source import Source
from rfsn_core.turn.breaker import Engine
from rfsn_core.turn.prompt import Prompts
from rfsn_core.world.decision import Decider
from rfsn_core.world.files import World


class OpenProvider(Protocol):
    """A provider that is open, as the code above the turn sees it."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """(stage, provider, distribution version, settings as JSON): equal keys are the same opened provider."""

    @property
    def name(self) -> str:
        """As `stage:provider`."""

    users: int
    """Runtimes that hold it."""

    async def close(self) -> None:
        """Leave the provider's context."""


@dataclass(frozen=True)
class Runtime:
    """What a turn holds from start to end."""

    settings: Settings
    source: Source
    world: World
    decider: Decider
    prompts: Prompts
    hooks: Hooks
    renderers: tuple[Engine[Renderer], ...]
    gates: tuple[Gate, ...]
    voices: tuple[Engine[Voice], ...]
    store: Store
    shared_store: SharedStore | None
    """The store, if other servers use it too."""
    archives: tuple[Archive, ...]
    embedder: Embedder | None
    """What places texts by meaning, if anything."""
    opened: tuple[OpenProvider, ...] = field(repr=False)
    leases: _Leases = field(default_factory=lambda: _Leases(), repr=False)

    def lease(self) -> None:
        """One more turn holds this runtime."""
        self.leases.count += 1

    def release(self) -> None:
        """That turn has ended."""
        self.leases.count -= 1
        if self.leases.count == 0 and self.leases.retired:
            self.leases.free.set()

    @contextmanager
    def leased(self) -> Iterator[Runtime]:
        """Held as long as the block runs."""
        self.lease()
        try:
            yield self
        finally:
            self.release()


class _Leases:
    def __init__(self) -> None:
        self.count = 0
        self.retired = False
        self.free = asyncio.Event()

"""The runtime of a turn: settings, world and opened providers as one immutable snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from rfsn_core.contract.archive import Archive
from rfsn_core.contract.embedding import Embedder
from rfsn_core.contract.gating import Gate, Utterance, Verdict
from rfsn_core.contract.rendering import Renderer
from rfsn_core.contract.shared_storage import SharedStore
from rfsn_core.contract.speech import Voice
from rfsn_core.contract.storage import Store
from rfsn_core.contract.understanding import Understander
from rfsn_core.conversation.leases import Leases
from rfsn_core.conversation.store_access import StoreAccess
from rfsn_core.oversight.oversight import NOBODY, Asker, Oversight
from rfsn_core.oversight.patterns import Embed
from rfsn_core.plugins.hooks import Hooks
from rfsn_core.settings.schema import Settings
from rfsn_core.settings.source import Source
from rfsn_core.turn.admission import Admission
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
        """`stage:provider`."""

    users: int
    """Runtimes that use it."""

    async def close(self) -> None:
        """Leave the provider's context."""


@dataclass(frozen=True)
class Runtime:
    """What a turn uses from start to end, also when the settings change meanwhile."""

    settings: Settings
    source: Source
    world: World
    understander: Understander
    decider: Decider
    prompts: Prompts
    hooks: Hooks
    renderers: tuple[Engine[Renderer], ...]
    gates: tuple[Gate, ...]
    oversight: Oversight
    """What judges a text by the gates, and keeps what people decide about it."""
    voices: tuple[Engine[Voice], ...]
    store: Store
    shared_store: SharedStore | None
    """The store, if other servers use it too."""
    archives: tuple[Archive, ...]
    embedder: Embedder | None
    """What embeds texts, to search by meaning; None without one."""
    opened: tuple[OpenProvider, ...] = field(repr=False)
    leases: Leases = field(default_factory=Leases, repr=False)

    @cached_property
    def store_access(self) -> StoreAccess:
        """How conversations reach the store and the embedder."""
        return StoreAccess(
            settings=self.settings,
            store=self.store,
            shared_store=self.shared_store,
            embedder=self.embedder,
            leases=self.leases,
        )

    @cached_property
    def admission(self) -> Admission:
        """What the gates say about texts that a game brings."""
        return Admission(self.gates, self.settings.operations.gate_timeout)

    @property
    def embed(self) -> Embed | None:
        """What makes vectors for the gate's labels; None when n-grams do."""
        return self.embedder.embed if self.embedder and self.settings.gating.embeddings else None

    async def judge(self, utterance: Utterance, asker: Asker = NOBODY) -> Verdict:
        """Return the verdict on a text, after a person was asked where the settings say so."""
        settings = self.settings
        return await self.oversight.judge(
            self.gates, settings.gating, utterance, settings.operations.gate_timeout, asker, self.embed
        )

    @contextmanager
    def leased(self) -> Iterator[Runtime]:
        """Keep the providers open while the block runs."""
        with self.leases.held():
            yield self


class CurrentRuntime(Protocol):
    """What gives the runtime that the next turn gets."""

    @property
    def current(self) -> Runtime:
        """Return it."""

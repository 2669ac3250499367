"""How conversations reach the store and the embedder: each call contained, limited in time, its errors in one form."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rfsn_core.contract.embedding import Embedder
from rfsn_core.contract.errors import RfsnError, StoreError
from rfsn_core.contract.provider_call import provider_call
from rfsn_core.contract.shared_storage import SharedStore
from rfsn_core.contract.storage import BatchStore, Past, Scope, SearchHit, Store, TurnRecord
from rfsn_core.conversation.leases import Leases
from rfsn_core.memory.beliefs import MAX_WORKING_SET
from rfsn_core.memory.update import MemoryRules
from rfsn_core.settings.schema import Settings

T = TypeVar("T")


async def call_store(call: Awaitable[T], seconds: float | None = None) -> T:
    """Await a call of the store. Raises its own RfsnError, and StoreError for any other failure or after `seconds`."""
    try:
        async with provider_call(seconds):
            return await call
    except RfsnError:
        raise
    except TimeoutError:
        raise StoreError(f"the store did not answer in {seconds:g} s" if seconds else "the store timed out") from None
    except Exception as error:
        raise StoreError(f"the store failed: {type(error).__name__}: {error}") from error


@dataclass(frozen=True, kw_only=True)
class StoreAccess:
    """The store and the embedder of one runtime, as conversations use them."""

    settings: Settings
    store: Store
    shared_store: SharedStore | None
    """The store, if other servers use it too."""
    embedder: Embedder | None
    leases: Leases

    @property
    def seconds(self) -> float:
        """Time limit for one call of the store."""
        return self.settings.operations.store_timeout

    @property
    def rules(self) -> MemoryRules:
        """What a memory update needs of the settings."""
        memory = self.settings.memory
        return memory

    @property
    def recent(self) -> int:
        """Turns to load: at least one, for its decision, even when prompts show none."""
        return max(1, self.settings.memory.recent)

    async def load(self, scope: Scope, turns: int) -> Past:
        """Load a conversation. Raises StoreError."""
        return await call_store(self.store.load(scope, turns, MAX_WORKING_SET), self.seconds)

    async def search(self, scope: Scope, text: str, limit: int) -> Sequence[SearchHit]:
        """Find turns by their words. Raises StoreError."""
        return await call_store(self.store.search(scope, text, limit), self.seconds)

    async def append(self, turns: Sequence[TurnRecord]) -> None:
        """Store turns, in their order. Raises StoreError."""
        if isinstance(self.store, BatchStore):
            await call_store(self.store.append_all(turns), self.seconds)
            return
        for turn in turns:
            await call_store(self.store.append(turn), self.seconds)

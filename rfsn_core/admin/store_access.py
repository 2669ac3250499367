"""What all administration of memory needs of the store: errors in one form, and no turns left in the spool."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from rfsn_core.contract.errors import RfsnError, StoreError, contained
from rfsn_core.conversation.registry import Conversations

T = TypeVar("T")

SPOOL_WAIT_SECONDS = 3.0
"""How long an operation on a whole save waits for the store to take the spooled turns."""


async def call_store(call: Awaitable[T]) -> T:
    """Await a call of the store. Raises what the store says as an `RfsnError`; any other failure as StoreError."""
    try:
        with contained():
            return await call
    except RfsnError:
        raise
    except Exception as error:
        raise StoreError(f"the store failed: {type(error).__name__}: {error}") from error


async def wait_for_spool(conversations: Conversations) -> None:
    """Wait until the store has taken all spooled turns. Raises StoreError after `SPOOL_WAIT_SECONDS`."""
    conversations.replay_soon()
    deadline = time.monotonic() + SPOOL_WAIT_SECONDS
    while conversations.spool:
        if time.monotonic() > deadline:
            raise StoreError("turns wait for the store", hint="Try again when the store is available")
        await asyncio.sleep(0.05)

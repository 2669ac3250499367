"""The time limit and the containment that every call into a provider's code gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rfsn_core.contract.errors import contained


@asynccontextmanager
async def provider_call(seconds: float | None) -> AsyncIterator[None]:
    """Run a provider's code for at most `seconds`; None sets no limit.

    Raises TimeoutError when it takes longer, EngineError where it would end the process or cancel its task, and what
    the code itself raises.
    """
    with contained():
        async with asyncio.timeout(seconds):
            yield

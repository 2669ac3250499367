"""Counts who uses a runtime, so that its providers are closed after the last one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Leases:
    """The users of one runtime: turns, game events, and what else needs its providers open."""

    def __init__(self) -> None:
        self.count = 0
        self._retired = False
        self._free = asyncio.Event()

    def acquire(self) -> None:
        """Add a user."""
        self.count += 1

    def release(self) -> None:
        """Remove a user."""
        self.count -= 1
        if self.count == 0 and self._retired:
            self._free.set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Count as a user while the block runs."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    async def retire(self) -> None:
        """Wait until the last user is gone; no new one may come."""
        self._retired = True
        if self.count:
            await self._free.wait()

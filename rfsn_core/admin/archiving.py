"""Archives: they follow the turn log, in batches and in order. No turn waits for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from rfsn_core.contract.archive import Archive
from rfsn_core.contract.errors import StoreError
from rfsn_core.contract.provider_call import provider_call
from rfsn_core.contract.storage import TurnRecord
from rfsn_core.conversation.store_access import call_store
from rfsn_core.learning.log_follower import Follower
from rfsn_core.learning.turn_log import TurnLog
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("archive")

BATCH = 100
"""Turns that are sent at once."""
BATCH_SECONDS = 0.1
"""Time to wait for more turns before a batch is sent."""
RETRY_SECONDS = (0.5, 1, 2, 5, 10, 30)
"""Waits between attempts while an archive is unavailable; the last one repeats."""
TIMEOUT = 30.0
"""Seconds for one batch."""
FLUSH_SECONDS = 5.0
"""Time that a stopping server waits for the last batch."""


class Archives(Protocol):
    """The archives of a runtime. A reload replaces it as a whole."""

    @property
    def archives(self) -> Sequence[Archive]:
        """The open archives."""


class CurrentArchives(Protocol):
    """Holds the archives that are in use."""

    @property
    def current(self) -> Archives:
        """The archives of the current runtime."""


class Archiving:
    """What hands the turns of one server to the archives. While one is unavailable, turns wait in the log."""

    def __init__(self, turn_log: TurnLog, runtimes: CurrentArchives) -> None:
        self._runtimes = runtimes
        self.follower = Follower(
            "archive", turn_log, self._send, batch=BATCH, pause=BATCH_SECONDS, retries=RETRY_SECONDS
        )

    async def flush(self) -> None:
        """Wait until everything is archived, at most `FLUSH_SECONDS`."""
        try:
            await self.follower.caught_up(FLUSH_SECONDS)
        except StoreError:
            log.warning("archive.flush_timeout", waiting=self.follower.waiting, hint="They are sent at the next start")

    @asynccontextmanager
    async def erased(self, save: str, npc: str, player: str) -> AsyncIterator[None]:
        """Erase the selected turns in the archives, and hand nothing over while the block runs, which erases them in
        the log. An empty text selects all. Raises StoreError."""
        async with self.follower.lock:
            for archive in self._runtimes.current.archives:
                await call_store(archive.erase(save, npc, player))
            yield

    async def _send(self, turns: Sequence[TurnRecord]) -> None:
        archives = self._runtimes.current.archives
        try:
            for archive in archives:
                async with provider_call(TIMEOUT):
                    await archive.archive(turns)
        except Exception as error:
            METRICS.errors.labels("archive").inc()
            log.warning("archive.unavailable", error=repr(error), waiting=self.follower.waiting)
            raise
        if archives:
            METRICS.archived.inc(len(turns))

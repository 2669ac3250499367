"""Hands the turns of the log to the store, or to archives: in order and in batches, again and again until they are
taken.

A batch whose success is not known is handed over again, since stores and archives ignore a turn that they have.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from rfsn_core.contract.errors import StoreError
from rfsn_core.contract.storage import Scope, TurnRecord
from rfsn_core.learning.log_thread import NumberedTurn
from rfsn_core.learning.turn_log import TurnLog

MOST_IN_MEMORY = 5000
"""Turns that wait in memory; more are read from the log again."""
PAGE = 1000
"""Turns that are read from the log at once."""


class Follower:
    """Everything that is behind the log and catches up: the store, or the archives.

    :param name: under which the log keeps its position.
    :param deliver: takes a batch of turns, all or none; when it raises, it has logged why, and the
        batch is handed over again.
    :param batch: turns that are handed over at once, at most.
    :param pause: seconds to wait for more turns before a batch is handed over.
    :param retries: waits between attempts, in seconds; the last one repeats.
    :param skips_stored: whether turns that a shared store has already are left out.
    """

    def __init__(
        self, name: str, turn_log: TurnLog, deliver: Callable[[Sequence[TurnRecord]], Awaitable[None]], *,
        batch: int, pause: float, retries: Sequence[float], skips_stored: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self._log, self._deliver, self._skips_stored = turn_log, deliver, skips_stored
        self._batch, self._pause, self._retries = batch, pause, retries
        self._waiting: deque[NumberedTurn] = deque()
        self._must_read = True
        """Whether the log has turns that are not in `_waiting`."""
        self._more, self._hurry, self._progress = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._missed = self._erasures = 0
        """How many turns were put that are not in `_waiting`, and how often lines were erased."""
        self.lock = asyncio.Lock()
        """Held while turns are handed over."""
        self.failures = 0
        """Attempts that failed since the last one that succeeded."""
        turn_log.followers.append(self)

    @property
    def position(self) -> int:
        """Number of the last turn that was taken."""
        return self._log.positions.get(self.name, 0)

    @property
    def waiting(self) -> int:
        """How many turns wait, as far as they are known."""
        return len(self._waiting) + self._must_read

    def lacks(self, scope: Scope) -> bool:
        """Whether turns of a conversation wait."""
        return self._must_read or any(numbered.turn.scope == scope for numbered in self._waiting)

    def put(self, turn: NumberedTurn) -> None:
        """Take the next turn of the log."""
        if turn.stored and self._skips_stored and not self.waiting:
            self._log.positions[self.name] = turn.seq
            return
        if self._must_read or len(self._waiting) >= MOST_IN_MEMORY:
            self._must_read = True
            self._missed += 1
        else:
            self._waiting.append(turn)
        if len(self._waiting) >= self._batch:
            self._hurry.set()
        self._more.set()

    def reread(self) -> None:
        """Read what waits from the log again: lines were erased."""
        self._waiting.clear()
        self._must_read = True
        self._erasures += 1
        self._more.set()

    async def open(self) -> None:
        """Read what an earlier run left behind, before the first turn begins. Raises StoreError."""
        await self._read()
        self._more.set()

    async def run(self) -> None:
        """Hand over turns until cancelled. Call `open` before."""
        while True:
            await self._more.wait()
            if not self._hurry.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause):
                        await self._hurry.wait()
            self._hurry.clear()
            try:
                await self._hand_over_all()
                self.failures = 0
            except Exception:  # noqa: BLE001  logged by `deliver`; the turns stay in the log
                self.failures += 1
                await asyncio.sleep(self._retries[min(self.failures, len(self._retries)) - 1])

    async def _hand_over_all(self) -> None:
        """Hand over all that waits, in batches."""
        while self._waiting or self._must_read:
            async with self.lock:
                if self._waiting:
                    await self._hand_over()
                else:
                    await self._read()
            self._progress.set()
        self._more.clear()

    async def _hand_over(self) -> None:
        erasures = self._erasures
        batch = [self._waiting[number] for number in range(min(self._batch, len(self._waiting)))]
        if turns := [numbered.turn for numbered in batch if not (numbered.stored and self._skips_stored)]:
            await self._deliver(turns)
        self.failures = 0
        self._log.positions[self.name] = batch[-1].seq
        if erasures == self._erasures:
            for _ in batch:
                self._waiting.popleft()

    async def _read(self) -> None:
        """Read the next turns from the log."""
        missed, erasures = self._missed, self._erasures
        turns = await self._log.turns(self.position, PAGE)
        if erasures == self._erasures:
            self._waiting.extend(turns)
            if missed == self._missed and len(turns) < PAGE:
                self._must_read = False  # no turn was put meanwhile: from here on they come one by one

    async def tried(self) -> None:
        """Wait until all turns are taken, or an attempt has failed."""
        while self.waiting and not self.failures:
            self._hurry.set()
            await asyncio.sleep(0.001)

    async def caught_up(self, seconds: float) -> None:
        """Wait until the turns that are in the log now are taken. Raises StoreError after some seconds."""
        deadline, newest = time.monotonic() + seconds, self._log.last_turn
        while self.waiting and self.position < newest:  # not those that come meanwhile
            self._hurry.set()
            self._progress.clear()
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await self._progress.wait()
            except TimeoutError:
                raise StoreError(f"turns wait for the {self.name}", hint="Try again when it is available") from None

"""Sentences on their way to the voice of a turn: bounded, in order, and none left out without a word."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from rfsn_core.settings.schema import QueuePolicy
from rfsn_core.telemetry.metrics import METRICS


class Waiting(NamedTuple):
    """A sentence that waits for the voice."""

    sentence: int
    text: str
    since: float


class SpeechQueue:
    """A queue with one reader, the voice. The text of a sentence is with the client before the sentence comes here.

    A queue that is full makes the words wait for the voice (`wait`), or leaves a sentence unspoken: the new one
    (`drop_newest`), the oldest (`drop_oldest`), one from the middle so that the beginning and the end are kept
    (`keep_ends`), or all that are still to come (`reject`).

    :param patience: seconds after which a sentence is too late to be spoken.
    :param left_out: called with each sentence that will not be spoken, and why: `full` or `late`.
    """

    def __init__(
        self, bound: int, policy: QueuePolicy, patience: float, left_out: Callable[[int, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._bound, self._policy, self._patience = bound, policy, patience
        self._left_out, self._clock = left_out, clock
        self._waiting: deque[Waiting] = deque()
        self._ready, self._room = asyncio.Event(), asyncio.Event()
        self._rejects = self._finished = False

    def __len__(self) -> int:
        return len(self._waiting)

    async def put(self, sentence: int, text: str) -> None:
        """Hand over the next sentence; waits only by the policy `wait`."""
        while self._policy == "wait" and len(self._waiting) >= self._bound:
            self._room.clear()
            await self._room.wait()
        if self._rejects:
            self._left_out(sentence, "full")
            return
        self._waiting.append(Waiting(sentence, text, self._clock()))
        METRICS.speech_queue.inc()
        self._trim()
        self._ready.set()

    async def get(self) -> Waiting | None:
        """The next sentence that is not too late; None after the last."""
        while True:
            while not self._waiting:
                if self._finished:
                    return None
                self._ready.clear()
                await self._ready.wait()
            item = self._take(0)
            if self._clock() - item.since <= self._patience:
                return item
            self._left_out(item.sentence, "late")

    def finish(self) -> None:
        """No more sentences will come."""
        self._finished = True
        self._ready.set()

    def resize(self, bound: int) -> None:
        """Change the bound while in use; what is over it is left out by the policy, but waits where that is `wait`."""
        self._bound = bound
        self._trim()
        self._room.set()

    def abandon(self) -> int:
        """Forget what waits, and how much that was: nobody reads any more."""
        left = len(self._waiting)
        while self._waiting:
            self._take(0)
        return left

    def _trim(self) -> None:
        while len(self._waiting) > self._bound and self._policy != "wait":
            newest = len(self._waiting) - 1
            # With room for one only, the end cannot be kept beside the beginning.
            at = {"drop_oldest": 0, "keep_ends": max(newest // 2, 1)}.get(self._policy, newest)
            self._rejects = self._policy == "reject"
            self._left_out(self._take(at).sentence, "full")

    def _take(self, at: int) -> Waiting:
        item = self._waiting[at]
        del self._waiting[at]
        METRICS.speech_queue.dec()
        self._room.set()
        return item

"""The sentences of a turn that wait for the voice: bounded, in order, and every dropped sentence is returned."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from rfsn_core.settings.schema import QueuePolicy
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn.bounded_queue import BoundedQueue


class QueuedSentence(NamedTuple):
    """A sentence that waits for the voice."""

    number: int
    """Index of the sentence in the turn, from 0."""
    text: str
    since: float
    """When it was queued, by the queue's clock."""
    narrates: bool = False
    """Whether the narrator speaks it, and not the NPC."""


class SpeechQueue(BoundedQueue[QueuedSentence]):
    """The queue of one turn; its reader is the voice. The client has the text before a sentence comes here.

    See BoundedQueue for the policies. After `reject` has dropped a sentence, all that follow are dropped too.

    :param patience: seconds after which a sentence is too late to be spoken.
    """

    def __init__(
        self, bound: int, policy: QueuePolicy, patience: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(bound, policy)
        self._patience, self._clock = patience, clock
        self._rejects = False

    async def put(self, number: int, text: str, *, narrates: bool = False) -> list[QueuedSentence]:
        """Queue the next sentence, after waiting for room if the policy is `wait`; return the dropped ones."""
        if self.policy == "wait":
            await self.wait_for_room()
        sentence = QueuedSentence(number, text, self._clock(), narrates)
        if self._rejects:
            return [sentence]
        METRICS.speech_queue.inc()
        return self._counted(self.add(sentence))

    async def get(self) -> QueuedSentence | None:
        """Return the next sentence; None after the last. It may be too late to be spoken: see `is_late`."""
        try:
            sentence = await self.take()
        except EOFError:
            return None
        METRICS.speech_queue.dec()
        return sentence

    def is_late(self, sentence: QueuedSentence) -> bool:
        """Return whether a sentence has waited too long."""
        return self._clock() - sentence.since > self._patience

    def resize(self, bound: int) -> list[QueuedSentence]:
        """Change the bound while in use; return what is dropped. With `wait`, what is over the bound stays."""
        return self._counted(super().resize(bound))

    def abandon(self) -> int:
        """Empty the queue, when it is not read any more; return how many sentences waited."""
        waiting = self.discard(lambda sentence: True)
        METRICS.speech_queue.dec(waiting)
        return waiting

    def _counted(self, dropped: list[QueuedSentence]) -> list[QueuedSentence]:
        if dropped:
            self._rejects = self.policy == "reject"
            METRICS.speech_queue.dec(len(dropped))
        return dropped

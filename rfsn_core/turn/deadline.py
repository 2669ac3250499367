"""A time limit for each step of a stream."""

from __future__ import annotations

import math

from rfsn_core.contract.time_limit import time_limit


class Deadline(time_limit):
    """Raises TimeoutError in its block when the next step does not come in time.

    :param first: the time of the event loop at which the first step is due.
    :param step: seconds for each further step.
    """

    __slots__ = ("_first", "_step")

    def __init__(self, first: float, step: float) -> None:
        super().__init__(None)
        self._first, self._step = first, step

    def renew(self) -> None:
        """Start the limit of the next step."""
        self.set(self._watchdog.loop.time() + self._step)

    def stop(self) -> None:
        """Set no limit until `renew`."""
        self.due = math.inf

    async def __aenter__(self) -> Deadline:
        await super().__aenter__()
        self.set(self._first)
        return self

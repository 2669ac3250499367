"""A time limit for each step of a stream."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Deadline:
    """Raises TimeoutError in its block when the next step does not come in time.

    Moving a timer costs more than the rest of a token, so the timer is moved only after a tenth of the limit.

    :param first: the time of the event loop at which the first step is due.
    :param step: seconds for each further step.
    """

    def __init__(self, first: float, step: float) -> None:
        self._timeout = asyncio.timeout_at(first)
        self._loop = asyncio.get_running_loop()
        self._step = step
        self._renew_at = 0.0

    def renew(self) -> None:
        """Start the limit of the next step."""
        now = self._loop.time()
        if now >= self._renew_at:
            self._timeout.reschedule(now + self._step)
            self._renew_at = now + self._step / 10

    def stop(self) -> None:
        """Set no limit until `renew`."""
        self._timeout.reschedule(None)
        self._renew_at = 0.0

    async def __aenter__(self) -> Deadline:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._timeout.__aexit__(kind, error, trace)

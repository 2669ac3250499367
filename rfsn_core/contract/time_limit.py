"""A time limit that costs little to set: one timer watches all limits of an event loop.

A turn sets a dozen limits and nearly none is reached. `asyncio.timeout` pays for a timer each time, which is more than
many of the calls that it guards.
"""

from __future__ import annotations

import asyncio
import math
import threading
from types import TracebackType


class time_limit:
    """Raises TimeoutError in its block after some seconds, as `asyncio.timeout` does; None sets no limit."""

    __slots__ = ("_cancelling", "_reached", "_seconds", "_task", "_watchdog", "due")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._reached = False
        self.due = math.inf
        """The time of the event loop when the limit is reached."""

    def set(self, due: float) -> None:
        """Move the limit to another time of the event loop; infinity: no limit."""
        self.due = due
        if due < self._watchdog.wakes_at:
            self._watchdog.wake(due)

    def expire(self) -> None:
        """Cancel the block, because its time is over."""
        self._reached = True
        self._task.cancel()

    async def __aenter__(self) -> time_limit:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a task")
        self._task, self._cancelling = task, task.cancelling()
        self._watchdog = watchdog = _watchdog()
        watchdog.limits.add(self)
        if self._seconds is not None:
            self.set(watchdog.loop.time() + self._seconds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watchdog.limits.discard(self)
        # A task that was cancelled for another reason too stays cancelled.
        if self._reached and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error


class _Watchdog:
    """The timer of one event loop. It is set for the limit that is reached first, and not moved when that is lifted."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.limits: set[time_limit] = set()
        self.wakes_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def wake(self, when: float) -> None:
        """Look at the limits at this time."""
        if self._timer is not None:
            self._timer.cancel()
        self.wakes_at = when
        self._timer = self.loop.call_at(when, self._look)

    def _look(self) -> None:
        self._timer, self.wakes_at = None, math.inf
        now = self.loop.time()
        reached = [limit for limit in self.limits if limit.due <= now]
        for limit in reached:
            self.limits.discard(limit)
            limit.expire()
        following = min((limit.due for limit in self.limits), default=math.inf)
        if following < math.inf:
            self.wake(following)


_THREAD = threading.local()


def _watchdog() -> _Watchdog:
    """Return the watchdog of the running event loop."""
    loop = asyncio.get_running_loop()
    watchdog: _Watchdog | None = getattr(_THREAD, "watchdog", None)
    if watchdog is None or watchdog.loop is not loop:
        watchdog = _THREAD.watchdog = _Watchdog(loop)
    return watchdog

"""A thread that does all work on one file, in order and in batches."""

from __future__ import annotations

import asyncio
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import groupby
from typing import Any, Generic, TypeVar

from rfsn_core.contract.errors import StoreError

W = TypeVar("W")
BATCH = 1000
"""Jobs that are handed to the thread at once, at most."""
MOST_WAITING = 10_000
"""Jobs that may wait."""


class Job(Generic[W]):
    """A piece of work, what came of it, and the event loop that waits for that."""

    __slots__ = ("error", "future", "loop", "result", "work")

    def __init__(self, work: W, loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None

    def resolve(self) -> None:
        """Set the future, in the event loop's thread; nothing happens when it is set or cancelled already."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class WriterThread(ABC, Generic[W]):
    """The base of a class that works on one file in one thread. `_open`, `_run` and `_close` run in that thread.

    :param name: of the thread.
    :param subject: names the file in errors.
    """

    def __init__(self, name: str, subject: str) -> None:
        self._subject = subject
        self._jobs: queue.SimpleQueue[Job[W] | None] = queue.SimpleQueue()
        self._opened: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    async def start(self) -> None:
        """Start the thread. Raises what `_open` raises."""
        self._thread.start()
        if (error := await asyncio.to_thread(self._opened.get)) is not None:
            raise error

    async def close(self) -> None:
        """Do what waits, and end the thread."""
        if self._thread.is_alive():
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)

    async def submit(self, work: W) -> Any:
        """Have a piece of work done and return its result. Raises its error, and StoreError when too much waits."""
        if self._jobs.qsize() >= MOST_WAITING:
            raise StoreError(f"{self._subject}: {MOST_WAITING} operations are waiting")
        job = self.new_job(work, asyncio.get_running_loop())
        self._jobs.put(job)
        return await job.future

    def new_job(self, work: W, loop: asyncio.AbstractEventLoop) -> Job[W]:
        """Return the job for a piece of work."""
        return Job(work, loop)

    @abstractmethod
    def _open(self) -> None:
        """Open the file. Whatever it raises, `start` raises."""

    @abstractmethod
    def _run(self, batch: list[Job[W]]) -> None:
        """Set the result or error of each job, and `deliver` it."""

    @abstractmethod
    def _close(self) -> None:
        """Close the file."""

    def _work(self) -> None:
        try:
            self._open()
        except BaseException as error:  # noqa: BLE001  raised by `start`
            self._opened.put(error)
            return
        self._opened.put(None)
        running = True
        while running:
            waiting = [self._jobs.get()]
            while len(waiting) < BATCH and not self._jobs.empty():
                waiting.append(self._jobs.get_nowait())
            running = None not in waiting
            batch = [job for job in waiting if job is not None]
            try:
                self._run(batch)
            except BaseException as error:  # noqa: BLE001  raised by `submit`; the thread lives on
                for job in batch:
                    job.error = error
                deliver(batch)
        self._close()


def deliver(jobs: Iterable[Job[Any]]) -> None:
    """Hand results to those who wait for them, with one call into each event loop: every call wakes it."""
    for loop, group in groupby(jobs, key=lambda job: job.loop):
        finished = list(group)
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, finished)


def _resolve(jobs: list[Job[Any]]) -> None:
    for job in jobs:
        job.resolve()

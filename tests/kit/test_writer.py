"""The thread that works on one file: order, batches, errors, and its end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from rfsn_core.contract.errors import StoreError
from rfsn_core.kit import writer
from rfsn_core.kit.writer import Job, WriterThread, deliver


class Sums(WriterThread[int]):
    """Adds numbers. Zero is an error of one job, a negative number one of the whole batch."""

    def __init__(self, *, opens: bool = True) -> None:
        super().__init__("sums", "sums.txt")
        self.opens = opens
        self.total = 0
        self.batches: list[int] = []
        self.closed_in = ""
        self.may_run = threading.Event()
        self.may_run.set()

    def _open(self) -> None:
        if not self.opens:
            raise StoreError("cannot open sums.txt")

    def _run(self, batch: list[Job[int]]) -> None:
        self.may_run.wait(10)
        self.batches.append(len(batch))
        for job in batch:
            if job.work < 0:
                raise ValueError("negative")
            if job.work == 0:
                job.error = ZeroDivisionError()
            self.total += job.work
            job.result = self.total
        deliver(batch)

    def _close(self) -> None:
        self.closed_in = threading.current_thread().name


async def test_work_is_done_in_order_and_what_waits_together_is_one_batch() -> None:
    sums = Sums()
    await sums.start()
    sums.may_run.clear()
    first = asyncio.create_task(sums.submit(1))
    await asyncio.sleep(0)
    others = [asyncio.create_task(sums.submit(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    sums.may_run.set()
    assert await asyncio.gather(first, *others) == [1, 3, 6, 10]
    assert sum(sums.batches) == 4
    assert len(sums.batches) <= 2
    await sums.close()
    assert sums.closed_in == "sums"


async def test_an_error_belongs_to_its_job_and_one_of_the_batch_to_all_of_it() -> None:
    sums = Sums()
    await sums.start()
    results = await asyncio.gather(sums.submit(1), sums.submit(0), return_exceptions=True)
    assert results[0] == 1
    assert isinstance(results[1], ZeroDivisionError)
    with pytest.raises(ValueError, match="negative"):
        await sums.submit(-1)
    assert await sums.submit(5) == 6  # the thread lives on
    await sums.close()


async def test_what_cannot_be_opened_is_said_to_the_one_who_starts_it() -> None:
    sums = Sums(opens=False)
    with pytest.raises(StoreError, match=r"cannot open sums\.txt"):
        await sums.start()
    await sums.close()


async def test_too_much_work_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MOST_WAITING", 3)
    sums = Sums()
    await sums.start()
    sums.may_run.clear()
    tasks = [asyncio.create_task(sums.submit(1)) for _ in range(8)]
    await asyncio.sleep(0)
    sums.may_run.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [str(result) for result in results if isinstance(result, StoreError)]
    assert "sums.txt: 3 operations are waiting" in refused
    await sums.close()


async def test_nobody_waits_for_cancelled_work() -> None:
    sums = Sums()
    await sums.start()
    sums.may_run.clear()
    task = asyncio.create_task(sums.submit(1))
    await asyncio.sleep(0)
    task.cancel()
    sums.may_run.set()
    await asyncio.wait([task])
    assert await sums.submit(2) == 3
    await sums.close()

"""A time limit ends its block, and only its block."""

from __future__ import annotations

import asyncio
import math

import pytest

from rfsn_core.contract.time_limit import time_limit

pytestmark = pytest.mark.anyio


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_block_that_takes_too_long_raises_timeout_error() -> None:
    with pytest.raises(TimeoutError):
        async with time_limit(0.01):
            await forever()
    await asyncio.sleep(0)  # the task itself is not cancelled


async def test_a_block_in_time_ends_as_usual() -> None:
    async with time_limit(60) as limit:
        await asyncio.sleep(0)
    assert limit not in limit._watchdog.limits


async def test_without_seconds_there_is_no_limit() -> None:
    async with time_limit(None) as limit:
        await asyncio.sleep(0.01)
    assert limit.due == math.inf


async def test_a_short_limit_is_kept_while_long_ones_wait() -> None:
    async def wait(seconds: float) -> None:
        async with time_limit(seconds):
            await forever()

    long = [asyncio.create_task(wait(60)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await wait(0.01)
    for task in long:
        task.cancel()
    await asyncio.wait(long)
    assert all(task.cancelled() for task in long)


async def test_limits_of_many_tasks_are_all_reached() -> None:
    async def wait(seconds: float) -> str:
        try:
            async with time_limit(seconds):
                await forever()
        except TimeoutError:
            return "late"
        return ""

    assert await asyncio.gather(*(wait(0.001 * number) for number in range(20))) == ["late"] * 20


async def test_the_outer_limit_passes_through_the_inner_one() -> None:
    late = []
    try:
        async with time_limit(0.01):
            try:
                async with time_limit(60):
                    await forever()
            except TimeoutError:
                late.append("inner")
    except TimeoutError:
        late.append("outer")
    assert late == ["outer"]


async def test_a_limit_can_be_moved() -> None:
    async def work() -> None:
        async with time_limit(0.01) as limit:
            limit.set(math.inf)
            await asyncio.sleep(0.05)
            limit.set(asyncio.get_running_loop().time() + 60)
            await asyncio.sleep(0)
            moved.append(limit)
            limit.set(asyncio.get_running_loop().time())
            await forever()

    moved: list[time_limit] = []
    with pytest.raises(TimeoutError):
        await work()
    assert moved


async def test_a_cancelled_task_stays_cancelled() -> None:
    async def work() -> None:
        async with time_limit(60):
            await forever()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_that_is_cancelled_when_its_time_is_over_stays_cancelled() -> None:
    async def work() -> None:
        async with time_limit(60) as limit:
            limit.expire()
            await forever()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_each_event_loop_has_its_own_timer() -> None:
    async def late() -> None:
        with pytest.raises(TimeoutError):
            async with time_limit(0.01):
                await forever()

    for _ in range(2):
        asyncio.run(late())

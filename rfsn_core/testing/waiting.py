"""Waiting in tests for something to happen, instead of sleeping for as long as it usually takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sized


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until a condition is true. Raises AssertionError when it takes longer than `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110  what is waited for has no event
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not true within {seconds:g} s") from None


async def until_grown(items: Sized, by: int, seconds: float = 60.0) -> None:
    """Wait until a collection has so many more items than now. Raises AssertionError when it takes longer."""
    wanted = len(items) + by
    await until(lambda: len(items) >= wanted, seconds)

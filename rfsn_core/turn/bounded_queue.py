"""A queue with one reader and a bound, and the policies that say what is dropped when it is full."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from rfsn_core.settings.schema import QueuePolicy

T = TypeVar("T")


class BoundedQueue(Generic[T]):
    """A queue with one reader that keeps its order.

    When it is full, the policy says what is dropped: the new item (`drop_newest` and `reject`), the oldest
    (`drop_oldest`), or one from the middle, so that the beginning and the end are kept (`keep_ends`). With `wait`
    nothing is dropped: the writer waits for room.

    :param bound: items that may wait. Items for which `is_bounded` is false are not counted and never dropped.
    """

    def __init__(self, bound: int, policy: QueuePolicy) -> None:
        self.bound, self.policy = bound, policy
        self.closed = False
        self._items: deque[T] = deque()
        self._bounded = 0
        self._ready, self._room = asyncio.Event(), asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def is_bounded(self, item: T) -> bool:
        """Return whether an item counts towards the bound."""
        return True

    @property
    def full(self) -> bool:
        """Whether one more bounded item is one too many."""
        return self._bounded >= self.bound

    async def wait_for_room(self) -> None:
        """Wait until the queue is not full, or is closed."""
        while self.full and not self.closed:
            self._room.clear()
            await self._room.wait()

    def add(self, item: T) -> list[T]:
        """Append an item; return what the policy drops for it, which may be the item itself."""
        self._items.append(item)
        self._bounded += self.is_bounded(item)
        dropped = self._trim()
        self._ready.set()
        return dropped

    async def take(self) -> T:
        """Remove and return the first item, as soon as there is one. Raises EOFError when closed and empty."""
        while not self._items:
            if self.closed:
                raise EOFError
            self._ready.clear()
            await self._ready.wait()
        item = self._items.popleft()
        if self.is_bounded(item):
            self._bounded -= 1
            self._room.set()
        return item

    async def take_all(self, most: int) -> list[T]:
        """Remove and return what waits, at most so many, as soon as there is something. Raises EOFError when closed
        and empty."""
        items = [await self.take()]
        while self._items and len(items) < most:
            item = self._items.popleft()
            if self.is_bounded(item):
                self._bounded -= 1
                self._room.set()
            items.append(item)
        return items

    def resize(self, bound: int) -> list[T]:
        """Change the bound; return what the policy drops for it."""
        self.bound = bound
        dropped = self._trim()
        self._room.set()
        return dropped

    def discard(self, selected: Callable[[T], bool]) -> int:
        """Remove the selected items; return how many they were."""
        remaining = deque(item for item in self._items if not selected(item))
        removed = len(self._items) - len(remaining)
        self._items = remaining
        self._bounded = sum(map(self.is_bounded, remaining))
        self._room.set()
        return removed

    def close(self) -> None:
        """Take no more items. What waits can still be read."""
        self.closed = True
        self._ready.set()
        self._room.set()

    def _trim(self) -> list[T]:
        dropped: list[T] = []
        while self._bounded > self.bound and self.policy != "wait":
            newest = self._bounded - 1
            # With room for one item only, the end cannot be kept together with the beginning.
            nth = {"drop_oldest": 0, "keep_ends": max(newest // 2, 1)}.get(self.policy, newest)
            positions = [position for position, item in enumerate(self._items) if self.is_bounded(item)]
            dropped.append(self._remove(positions[nth]))
        return dropped

    def _remove(self, position: int) -> T:
        item = self._items[position]
        del self._items[position]
        if self.is_bounded(item):
            self._bounded -= 1
            self._room.set()
        return item

"""The adapters that a vLLM server has loaded, and the turns that use them.

A turn takes its adapter, uses it, and gives it back. Turns that want a loaded one go at once. The others wait by
adapter, and go together when it is loaded: one switch for all of them. To make room the adapter that was used least
recently, and is not in use, is unloaded. When all are in use and somebody has waited for `patience` seconds, the least
recently used one takes no new turns, empties, and is replaced: switches are few, and nobody starves.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Adapter:
    """A loaded adapter, or one that is being loaded."""

    name: str
    path: str
    users: int = 0
    turns: int = 0
    """That used it since it was loaded."""
    loaded_at: float = field(default_factory=time.time)
    used_at: float = 0.0
    ready: bool = False
    closed: bool = False
    """Takes no new turns, because others wait for its place."""
    why: str = ""
    """The NPC that it was loaded for."""


@dataclass
class _Waiting:
    path: str
    why: str
    since: float
    turns: list[asyncio.Future[Adapter]] = field(default_factory=list)


class Adapters:
    """Loads and unloads adapters, so that each turn finds its own and no more than `most` are loaded.

    :param load: tells the server to load (name, path); raises when it cannot.
    :param unload: tells it to unload a name.
    :param most: adapters that may be loaded at once.
    """

    def __init__(
        self, load: Callable[[str, str], Awaitable[None]], unload: Callable[[str], Awaitable[None]], most: int,
        patience: float, log: logging.Logger,
    ) -> None:  # fmt: skip
        self._load, self._unload, self._most, self._patience, self._log = load, unload, most, patience, log
        self.loaded: OrderedDict[str, Adapter] = OrderedDict()
        """The least recently used one first; those that are being loaded have their place already."""
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.switches = 0

    async def close(self) -> None:
        """Stop what is being loaded."""
        if self._timer:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    @asynccontextmanager
    async def using(self, name: str, path: str, why: str = "") -> AsyncIterator[None]:
        """Keep an adapter loaded while the block runs. Raises what `load` raised when it cannot be loaded."""
        adapter = self.loaded.get(name)
        if adapter is None or not adapter.ready or adapter.closed:
            adapter = await self._wait(name, path, why)
        else:
            adapter.users += 1
        adapter.turns += 1
        adapter.used_at = time.time()
        if name in self.loaded:  # unless it was forgotten meanwhile
            self.loaded.move_to_end(name)
        try:
            yield
        finally:
            adapter.users -= 1
            if not adapter.users and self._waiting:
                self._make_room()

    def forgotten(self, *kept: str) -> None:
        """Forget all adapters but these, which are the only ones that the server has left."""
        for name in [name for name, adapter in self.loaded.items() if adapter.ready and name not in kept]:
            # Turns that use it now keep the object; when they end, there is nothing to release.
            del self.loaded[name]

    async def _wait(self, name: str, path: str, why: str) -> Adapter:
        """Wait until the adapter is loaded; then it counts as used."""
        waiting = self._waiting.get(name)
        if waiting is None:
            waiting = self._waiting[name] = _Waiting(path, why, time.monotonic())
        turn: asyncio.Future[Adapter] = asyncio.get_running_loop().create_future()
        waiting.turns.append(turn)
        self._make_room()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                turn.result().users -= 1  # it was granted, and nobody is there to take it
                self._make_room()
            elif turn in waiting.turns:
                waiting.turns.remove(turn)
                if not waiting.turns:
                    self._waiting.pop(name, None)
            raise

    def _make_room(self) -> None:
        """Begin to load the adapters that turns wait for, the longest wait first, while there is room."""
        for name, waiting in list(self._waiting.items()):
            known = self.loaded.get(name)
            if known is not None:
                if known.ready and not known.closed:
                    self._grant(known)
                elif known.closed and not known.users:
                    known.closed = False  # closed for others who have found a place elsewhere
                    self._grant(known)
                continue
            victim = None
            if len(self.loaded) >= self._most:
                victim = next((each for each in self.loaded.values() if each.ready and not each.users), None)
                if victim is None:
                    self._close_one(waiting.since)
                    return
                del self.loaded[victim.name]
            adapter = self.loaded[name] = Adapter(name, waiting.path, why=waiting.why)
            task = asyncio.create_task(self._switch(adapter, victim), name=f"adapter {name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _close_one(self, since: float) -> None:
        """Close one adapter to new turns after a while, when all are in use."""
        late = time.monotonic() - since - self._patience
        if late < 0:
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(-late + 0.001, self._ring)
            return
        if not any(each.closed for each in self.loaded.values()):
            oldest = next((each for each in self.loaded.values() if each.ready), None)
            if oldest is not None:
                oldest.closed = True

    def _ring(self) -> None:
        self._timer = None
        self._make_room()

    async def _switch(self, adapter: Adapter, victim: Adapter | None) -> None:
        try:
            if victim is not None:
                await self._unload(victim.name)
            await self._load(adapter.name, adapter.path)
        except asyncio.CancelledError:
            self.loaded.pop(adapter.name, None)
            raise
        except Exception as error:  # noqa: BLE001  the server's refusal goes to those who wait for this adapter
            self.loaded.pop(adapter.name, None)
            waiting = self._waiting.pop(adapter.name, None)
            for turn in waiting.turns if waiting else ():
                if not turn.done():
                    turn.set_exception(error)
            self._make_room()
            return
        adapter.ready = True
        self.switches += 1
        self._log.info("adapter loaded: %s%s", adapter.name, f" in place of {victim.name}" if victim else "")
        self._grant(adapter)

    def _grant(self, adapter: Adapter) -> None:
        waiting = self._waiting.pop(adapter.name, None)
        for turn in waiting.turns if waiting else ():
            if not turn.done():
                adapter.users += 1
                turn.set_result(adapter)

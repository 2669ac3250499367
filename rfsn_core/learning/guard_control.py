"""Saves and announces the guard's state whenever it changes, and lets an operator change it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from rfsn_core.learning.guard import STATES, Guard, State
from rfsn_core.protocol.messages import Message
from rfsn_core.protocol.server import LearningChanged
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("learning")


class GuardControl:
    """The guard of this process, as operators, clients and other servers see it.

    :param file: where the state is saved for the next start.
    :param announce: sends a message to every client.
    :param share: tells the other servers.
    """

    def __init__(
        self, guard: Guard, file: Path, announce: Callable[[Message], None],
        share: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:  # fmt: skip
        self.guard = guard
        self._file, self._announce, self._share = file, announce, share
        self._tasks: set[asyncio.Task[None]] = set()

    def load(self) -> None:
        """Continue with the state that was saved."""
        self.guard.load(self._file)

    def turn_ended(self, *, blocked: bool) -> None:
        """Take into account whether the gate stopped a sentence of a turn."""
        if self.guard.turned(blocked=blocked):
            self.changed()

    def freeze(self, reason: str = "by an operator") -> None:
        """Stop learning until `unfreeze`."""
        self.guard.set("frozen", reason)
        self.changed()

    def unfreeze(self) -> None:
        """Let learning continue."""
        self.guard.set("learning", "")
        self.changed()

    def changed(self) -> None:
        """Show the new state here, and share it with the other servers."""
        self._show()
        task = asyncio.create_task(self._share())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def adopt(self, state: State, reason: str) -> None:
        """Take over the state of another server's guard."""
        if (state, reason) != (self.guard.state, self.guard.reason):
            self.guard.set(state, reason)
            self._show()

    async def close(self) -> None:
        """Wait a moment until the other servers know."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    def _show(self) -> None:
        state, reason = self.guard.state, self.guard.reason
        METRICS.learning.set(STATES.index(state))
        try:
            self.guard.save(self._file)
        except OSError as error:
            log.error("guard.not_saved", file=str(self._file), error=str(error))
        log.warning("learning.changed", state=state, reason=reason)
        self._announce(LearningChanged(state=state, reason=reason))

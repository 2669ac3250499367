"""The circuit breaker: an engine that keeps failing is not used for a while, then tried by one turn.

::

    closed ──failures in a row──▶ open ──after a while──▶ half_open ──the probe succeeds──▶ closed
                                    ◀──────────the probe fails─────────────┘
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from rfsn_core.contract.capabilities import DEFAULT, Capabilities

T = TypeVar("T")
STATES = ("closed", "half_open", "open")


class Breaker:
    """The breaker of one opened provider.

    :param limit: failures in a row that open it.
    :param seconds: how long it stays open; doubled by each probe that fails, up to a minute or `seconds`.
    :param changed: called with the new state and the reason.
    """

    def __init__(
        self, limit: int, seconds: float, changed: Callable[[str, str], None] = lambda state, reason: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.limit, self.seconds = limit, seconds
        self._changed, self._clock = changed, clock
        self._failures = 0
        self._probes = 0
        self._until = 0.0
        self.state = "closed"
        self.reason = ""
        """Why it opened."""

    def admits(self) -> bool:
        """Return whether a turn may use the engine. In the half-open state that turn is the probe: it must report the
        result, by one of the methods below.
        """
        if self.state == "closed":
            return True
        if self.state == "open" and self._clock() >= self._until:
            self._become("half_open", self.reason)
            return True
        return False

    def succeeded(self) -> None:
        """Note that the engine worked."""
        self._failures = 0
        if self.state != "closed":
            self._probes = 0
            self._become("closed", "")

    def failed(self, reason: str) -> None:
        """Note that the engine failed."""
        self._failures += 1
        if self.state == "half_open":
            self._probes += 1
            self._open(reason)
        elif self.state == "closed" and self._failures >= self.limit:
            self._open(reason)

    def undecided(self) -> None:
        """Note that the probe was cancelled, which says nothing about the engine: the next turn may try."""
        if self.state == "half_open":
            self._until = self._clock()
            self._become("open", self.reason)

    def _open(self, reason: str) -> None:
        pause = min(self.seconds * 2**self._probes, max(60.0, self.seconds))
        self._until = self._clock() + pause
        self._become("open", reason)

    def _become(self, state: str, reason: str) -> None:
        self.state, self.reason = state, reason
        self._changed(state, reason)


@dataclass(frozen=True)
class Engine(Generic[T]):
    """An opened provider with its breaker."""

    name: str
    provider: T
    breaker: Breaker
    capabilities: Capabilities = DEFAULT

"""Watches what comes of learning: slows it when rewards fall or corrections pile up, and freezes it when they go on.

It only ever goes one way by itself; an operator lets it go back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from rfsn_core.kit.files import replacing
from rfsn_core.settings.schema import GuardSettings, LearningSettings

State = Literal["learning", "slowed", "frozen"]
STATES: tuple[State, ...] = ("learning", "slowed", "frozen")
SLOWED_WEIGHT = 0.25
"""Of an observation while learning is slowed. The weight is lowered, never the reward: that would pull it to 0."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """`guard.json`."""

    state: State
    reason: str


class Guard:
    """The guard of one server.

    :param settings: asked each time, so that it follows a reload.
    """

    def __init__(self, settings: Callable[[], LearningSettings]) -> None:
        self._settings = settings
        self.state: State = "learning"
        self.reason = ""
        self._rewards: deque[float] = deque()
        self._before: deque[float] = deque()
        self._corrections: deque[bool] = deque()
        self._blocks: deque[bool] = deque()
        self._resize()

    @property
    def limits(self) -> GuardSettings:
        """The limits of the settings in force."""
        return self._settings().guard

    def _resize(self) -> None:
        """Make the windows as long as the settings in force say; the newest entries stay."""
        window = self.limits.window
        if self._rewards.maxlen != window:
            self._rewards, self._before = deque(self._rewards, window), deque(self._before, 10 * window)
            self._corrections, self._blocks = deque(self._corrections, window), deque(self._blocks, window)

    def load(self, path: Path) -> None:
        """Go on as before a restart: only an operator unfreezes. A file that cannot be read means frozen."""
        if not path.exists():
            return
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=Kept)
            self.state, self.reason = kept.state, kept.reason
        except (OSError, msgspec.MsgspecError) as error:
            self.state, self.reason = "frozen", f"{path} cannot be read: {error}"

    def save(self, path: Path) -> None:
        """Keep the state for the next start. Raises OSError."""
        with replacing(path) as file:
            file.write(msgspec.json.encode(Kept(state=self.state, reason=self.reason)))

    @property
    def weight(self) -> float:
        """Of an observation now: 0 while frozen."""
        return {"learning": 1.0, "slowed": SLOWED_WEIGHT, "frozen": 0.0}[self.state]

    def rewarded(self, value: float, *, correction: bool) -> bool:
        """A reward came in; whether the state changed."""
        self._resize()
        if len(self._rewards) == self.limits.window:
            self._before.append(self._rewards[0])
        self._rewards.append(value)
        self._corrections.append(correction)
        return self._judge()

    def turned(self, *, blocked: bool) -> bool:
        """A turn ended; whether the state changed."""
        self._resize()
        self._blocks.append(blocked)
        return self._judge()

    def set(self, state: State, reason: str) -> None:
        """An operator, or another server, says so. Where learning goes on, the past no longer counts."""
        self.state, self.reason = state, reason
        if state == "learning":
            for window in (self._rewards, self._before, self._corrections, self._blocks):
                window.clear()

    def _judge(self) -> bool:
        limits, found = self.limits, self.state
        for name, value, slow, freeze in (
            ("mean reward fell by", self._drop(), limits.slow_drop, limits.freeze_drop),
            ("share of corrections is", _share(self._corrections), limits.slow_rate, limits.freeze_rate),
            ("share of turns with blocked sentences is", _share(self._blocks), limits.slow_rate, limits.freeze_rate),
        ):
            judged: State = "frozen" if value >= freeze else "slowed" if value >= slow else "learning"
            if STATES.index(judged) > STATES.index(found):
                found, self.reason = judged, f"{name} {value:.2f} over the last {limits.window}"
        changed, self.state = found != self.state, found
        return changed

    def _drop(self) -> float:
        if len(self._rewards) < self.limits.window or len(self._before) < self.limits.window:
            return 0.0
        return sum(self._before) / len(self._before) - sum(self._rewards) / len(self._rewards)


def _share(window: deque[bool]) -> float:
    """Of a full window; 0 before."""
    return sum(window) / len(window) if len(window) == window.maxlen else 0.0

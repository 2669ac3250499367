"""Watches what comes of learning: slows it when rewards fall or corrections pile up, freezes it when that continues.

By itself it goes only one way; an operator lets learning continue.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from rfsn_core.settings.schema import GuardSettings

State = Literal["learning", "slowed", "frozen"]
STATES: tuple[State, ...] = ("learning", "slowed", "frozen")
SLOWED_WEIGHT = 0.25
"""Weight of an observation while learning is slowed. Not the reward is lowered: that would pull it to 0."""


class LearningGuard:
    """Judges the newest rewards and turns.

    :param limits: when it acts. They may be replaced at any time; a new window keeps the newest values.
    """

    def __init__(self, limits: GuardSettings) -> None:
        self._limits = limits
        self.state: State = "learning"
        self.reason = ""
        self._rewards: deque[float] = deque(maxlen=limits.window)
        self._before: deque[float] = deque(maxlen=10 * limits.window)
        self._corrections: deque[bool] = deque(maxlen=limits.window)
        self._blocks: deque[bool] = deque(maxlen=limits.window)

    @property
    def limits(self) -> GuardSettings:
        """When it acts."""
        return self._limits

    @limits.setter
    def limits(self, limits: GuardSettings) -> None:
        if limits.window != self._limits.window:
            self._rewards = deque(self._rewards, limits.window)
            self._before = deque(self._before, 10 * limits.window)
            self._corrections = deque(self._corrections, limits.window)
            self._blocks = deque(self._blocks, limits.window)
        self._limits = limits

    @property
    def weight(self) -> float:
        """Weight of an observation now: 0 while frozen."""
        return {"learning": 1.0, "slowed": SLOWED_WEIGHT, "frozen": 0.0}[self.state]

    def add_reward(self, value: float, *, correction: bool) -> bool:
        """Judge with one more reward; returns whether the state changed."""
        if len(self._rewards) == self._limits.window:
            self._before.append(self._rewards[0])
        self._rewards.append(value)
        self._corrections.append(correction)
        return self._judge()

    def add_turn(self, *, blocked: bool) -> bool:
        """Judge with one more turn; returns whether the state changed."""
        self._blocks.append(blocked)
        return self._judge()

    def set(self, state: State, reason: str) -> None:
        """Set the state. Where learning continues, the past does not count any more."""
        self.state, self.reason = state, reason
        if state == "learning":
            for window in (self._rewards, self._before, self._corrections, self._blocks):
                window.clear()

    def _judge(self) -> bool:
        limits, state = self._limits, self.state
        for name, value, slow, freeze in (
            ("mean reward fell by", self._drop(), limits.slow_drop, limits.freeze_drop),
            ("share of corrections is", _share(self._corrections), limits.slow_rate, limits.freeze_rate),
            ("share of turns with blocked sentences is", _share(self._blocks), limits.slow_rate, limits.freeze_rate),
        ):
            judged: State = "frozen" if value >= freeze else "slowed" if value >= slow else "learning"
            if STATES.index(judged) > STATES.index(state):
                state, self.reason = judged, f"{name} {value:.2f} over the last {limits.window}"
        changed, self.state = state != self.state, state
        return changed

    def _drop(self) -> float:
        """Return by how much the mean reward fell, against the ten windows before; 0 until there are enough rewards."""
        if len(self._rewards) < self._limits.window or len(self._before) < self._limits.window:
            return 0.0
        return sum(self._before) / len(self._before) - sum(self._rewards) / len(self._rewards)


def _share(window: deque[bool]) -> float:
    """Return the share of a full window; 0 until it is full."""
    return sum(window) / len(window) if len(window) == window.maxlen else 0.0

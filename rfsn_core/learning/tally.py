"""What a decision earned in total: the same number for learning and for evaluation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rfsn_core.learning.records import RewardRecord


class Tally(NamedTuple):
    """The rewards of one decision by their source; None where none came.

    A designer's judgement replaces what the game sent, and that replaces what was read off the play.
    """

    designer: float | None = None
    """The newest."""
    game: float | None = None
    """The sum, with the shares of later rewards."""
    play: float | None = None
    """The sum of deviations from the running mean."""

    @classmethod
    def of(cls, rewards: Iterable[RewardRecord]) -> Tally:
        """Return the tally of rewards, oldest first."""
        tally = cls()
        for reward in rewards:
            tally = tally.add(reward.source, reward.value - reward.baseline)
        return tally

    def add(self, source: str, value: float) -> Tally:
        """Return the tally with one more reward."""
        if source == "designer":
            return self._replace(designer=value)
        if source == "play":
            return self._replace(play=(self.play or 0.0) + value)
        return self._replace(game=(self.game or 0.0) + value)

    @property
    def source(self) -> str:
        """Whose rewards count; empty when there are none."""
        return next((name for name in self._fields if getattr(self, name) is not None), "")

    @property
    def total(self) -> float:
        """What counts, clipped to -1…1; 0 without a reward."""
        value: float = getattr(self, self.source) if self.source else 0.0
        return max(-1.0, min(1.0, round(value, 9))) + 0.0

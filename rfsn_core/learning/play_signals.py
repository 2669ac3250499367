"""Rewards that are read off the play: what the player does next says how good the last decision was."""

from __future__ import annotations

from rfsn_core.contract.understanding import Understanding

ENDED = "conversation_ended"
NEWEST = 50
"""Judgements after which the running mean forgets the oldest at the pace at which new ones come."""
_ENDS = frozenset({"farewell", "attack", "flee", "ignore"})
"""What the player does who does not continue the conversation."""


def signals(understanding: Understanding) -> list[str]:
    """Return the reward signals for the previous decision, by what the player's next words mean."""
    reaction = understanding.reaction
    if reaction == "contradiction":
        return ["contradiction_detected"]
    if reaction == "correction":
        return ["user_correction"]
    if reaction == "end" or understanding.signal in _ENDS:
        return [ENDED]
    asks = understanding.signal == "question" or understanding.question or understanding.asks or reaction == "more"
    return ["conversation_continued", *(["follow_up_question"] if asks else [])]


def is_over(signal: str) -> bool:
    """Whether nothing can follow a decision that answers this signal: how the player continues says nothing of it."""
    return signal in _ENDS


class RunningMean:
    """What play says of a decision on average. That a player continues is the usual case and no praise, so what
    play says counts as a deviation from this."""

    def __init__(self) -> None:
        self._count, self._mean = 0, 0.0

    def resume(self, mean: float) -> None:
        """Continue from the mean of an earlier run."""
        self._count, self._mean = NEWEST, mean

    def add(self, value: float) -> float:
        """Take in what play says of one more decision; returns the mean with it."""
        self._count = min(NEWEST, self._count + 1)
        self._mean += (value - self._mean) / self._count
        return self._mean

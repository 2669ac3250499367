"""Notices a reply that repeats itself: a model that found no end."""

from __future__ import annotations

import re

LONGEST_CYCLE = 4
"""Sentences that are repeated together, at most."""
TIMES = 3
SHORT = 12
"""Characters; a shorter sentence, such as "Ha!", may come twice as often."""
_INSIDE = re.compile(r"(\b\S.{0,58}?\s)\1{7,}", re.DOTALL)
"""Words that are repeated within a sentence. A run without spaces is left to the limit of a reply's length."""


class Repetition:
    """The sentences of one reply."""

    def __init__(self) -> None:
        self._said: list[str] = []

    def begins(self, sentence: str) -> bool:
        """Add a sentence; return whether with it the reply has begun to repeat itself."""
        words = " ".join(re.findall(r"\w+", sentence.casefold()))
        self._said.append(words or sentence)
        if len(sentence) > 100 and _INSIDE.search(sentence):
            return True
        for length in range(1, LONGEST_CYCLE + 1):
            cycle = self._said[-length:]
            times = TIMES if sum(map(len, cycle)) >= SHORT else TIMES * 2
            if self._said[-length * times :] == cycle * times:
                return True
        return False

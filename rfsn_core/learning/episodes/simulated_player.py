"""A player with preferences of its own, so that learning has something to learn.

It likes some answers to what it says better than others, in a way that the world model does not know, and it tells
by a reward after each turn. Everything follows from the seed.
"""

from __future__ import annotations

import random

from rfsn_core.world.actions import STYLES, Actions

WORDS = {
    "greet": "Hello there!",
    "question": "What happened here?",
    "request": "Could you lend me a lantern?",
    "help": "Help me, I am lost.",
    "offer": "I will give you five coppers.",
    "compliment": "You are very kind.",
    "insult": "You fool!",
    "command": "Open the gate.",
}
OFTEN = (2, 6, 4, 3, 3, 2, 0.3, 0.7)
"""How often it says each of `WORDS`: it is mostly civil, or nobody would stay to be taught."""
LOCATIONS = ("tavern", "street", "gate", "wilds")
TURNS_IN_A_PLACE = 8


class SimulatedPlayer:
    """Chooses what to say, and rewards what it hears."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"player {seed}")
        taste = random.Random(f"taste {seed}")
        self._likes = {(signal, action): taste.gauss(0.0, 0.35) for signal in WORDS for action in sorted(Actions())}
        self._styles = {style: taste.gauss(0.0, 0.1) for style in sorted(STYLES)}
        self._location = LOCATIONS[0]
        self._turn = 0

    def speak(self) -> tuple[str, str, dict[str, object]]:
        """Return the signal, text and game state of its next turn."""
        if self._turn % TURNS_IN_A_PLACE == 0:
            self._location = self._random.choice(LOCATIONS)
        self._turn += 1
        signal = self._random.choices(list(WORDS), weights=list(OFTEN))[0]
        state: dict[str, object] = {"location": self._location, "time_of_day": "day"}
        return signal, WORDS[signal], state

    def reward(self, signal: str, action: str, style: str) -> float:
        """Return how well it liked the answer, -1…1, with some noise."""
        liked = self._likes[signal, action] + self._styles.get(style, 0.0)
        return max(-1.0, min(1.0, round(liked + self._random.gauss(0.0, 0.1), 6)))

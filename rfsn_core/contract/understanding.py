"""The understanding stage: what the player means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

SIGNALS = (
    "attack",
    "flee",
    "betray",
    "threaten",
    "insult",
    "apologize",
    "farewell",
    "offer",
    "refuse",
    "accept",
    "disagree",
    "help",
    "request",
    "command",
    "compliment",
    "thanks",
    "greet",
    "question",
    "agree",
    "smalltalk",
    "statement",
    "ignore",
    "unclear",
)
"""Every signal. `statement` tells something that calls for nothing, `ignore` is silence, `unclear` makes no sense."""

ASKS = {
    "name": "the NPC's name",
    "role": "who the NPC is, and what it does",
    "mood": "how the NPC is",
    "origin": "where the NPC comes from",
    "wares": "what the NPC sells or offers",
    "person": "who somebody is whom the world knows",
    "place_of": "where somebody is whom the world knows",
    "opinion_of": "what the NPC thinks of somebody whom the world knows",
    "player_name": "the player's own name",
    "player": "what the NPC knows of the player",
    "real": "whether the NPC is a robot, a program, a person",
    "joke": "a joke, a riddle or a song",
    "weather": "the weather",
    "advice": "what to do next, news, work",
}
"""What every NPC can be asked → what that is about."""


REACTIONS = ("contradiction", "correction", "end", "more")
"""What a text may say about what the NPC said before: that the NPC contradicts itself, that it misunderstood, that the
player has had enough, or that it wants to hear more."""


@dataclass(frozen=True)
class Entity:
    """Something of the world that a text names."""

    kind: str
    """`npc`, `place` or `thing`."""
    id: str
    name: str
    """As the world writes it."""


@dataclass(frozen=True, kw_only=True)
class UnderstandingContext:
    """What is known when the player speaks."""

    npc: str = ""
    """Id of the NPC that is spoken to."""
    names: Mapping[str, Entity] = field(default_factory=dict)
    """Folded name, or part of one → what it stands for."""
    last_action: str = ""
    """What the NPC did last: after an offer, "yes" accepts."""
    examples: Mapping[str, str] = field(default_factory=dict)
    """The world's own examples: line → signal."""
    spoken_of: Entity | None = None
    """The NPC of whom the conversation was last: "he" or "she" may be about them."""


@dataclass(frozen=True, kw_only=True)
class Understanding:
    """What a player's text means."""

    signal: str
    """One of `SIGNALS`."""
    confidence: float = 1.0
    """0…1"""
    alternatives: tuple[tuple[str, float], ...] = ()
    """The next best signals with their confidence, the best first."""
    source: str = "rule"
    """What decided: `rule`, `model`, `examples`, `context`, or the game."""
    words: str = ""
    """The text without acts."""
    acts: tuple[str, ...] = ()
    """What stood in `*asterisks*`."""
    topics: tuple[str, ...] = ()
    """The words that carry meaning, as stems, in order."""
    entities: tuple[Entity, ...] = ()
    asks: str = ""
    """What is asked that every NPC can answer from its file or memory, such as `name`, `role`, `mood`, `person`,
    `player_name`; see `ASKS`. Empty: something else."""
    question: str = ""
    """Kind of question: `who`, `what`, `where`, `when`, `why`, `how`, `how_much`, `which`, `yes_no`; empty: none."""
    language: str = "en"
    """ISO 639-1 code, as far as can be told."""
    sentiment: float = 0.0
    """-1…1"""
    reaction: str = ""
    """What the text says about the NPC's last line: one of `REACTIONS`; empty: nothing."""


class Understander(Protocol):
    """Finds out what the player means. It runs once a turn."""

    def understand(self, text: str, context: UnderstandingContext) -> Understanding:
        """Return what the text means. Pure and fast: it must not wait for anything."""

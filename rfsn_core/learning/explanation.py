"""Why an NPC decided as it did, for people: what was said and understood, what it knew, and how it felt."""

from __future__ import annotations

import msgspec

from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.understanding import Understanding
from rfsn_core.world.decision import Deliberation
from rfsn_core.world.knowledge import Hit

MOST_WORDS_KEPT = 300
"""Characters of what was said, and of a fact."""
FEELINGS = ("affinity", "trust", "fear", "regard", "faith", "mood", "relationship")


class KnownFact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fact that fits what was said."""

    id: str
    text: str = ""
    told: bool = False
    """Whether the player had heard it before."""
    unmet: str = ""
    """Why it may not be told, in words; empty when it may."""
    owner: str = ""
    """Who knows it, when it is another NPC."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What led to a decision, in small: for `rfsn decision`. Nothing is learned from it."""

    player_text: str = ""
    """Empty when the gate stopped it."""
    npc_text: str = ""
    confidence: float = 1.0
    alternatives: list[tuple[str, float]] = []
    source: str = ""
    """What decided the signal."""
    acts: list[str] = []
    topics: list[str] = []
    names: list[str] = []
    asks: str = ""
    question: str = ""
    fact: KnownFact | None = None
    """What the NPC told, confided, hinted at, or referred to."""
    answers: int = 0
    """How many facts fit and may be told, secrets included."""
    withheld: list[KnownFact] = []
    """The best facts that fit and may not be told."""
    elsewhere: list[str] = []
    """NPCs who know better."""
    before: dict[str, float | str] = {}
    """Feelings at the start of the turn."""
    heard: dict[str, float | str] = {}
    """The feelings that the player's words and the game changed, with which the NPC decided."""
    after: dict[str, float | str] = {}
    """The feelings that are different at the end of the turn."""


def explain(
    made: Deliberation,
    understanding: Understanding,
    states: tuple[NpcState, NpcState, NpcState],
    player_text: str,
    npc_text: str,
) -> Explanation:
    """Return what led to a decision.

    :param states: at the start of the turn, at the decision, and at the end.
    """
    start, decided, end = ({name: getattr(state, name) for name in FEELINGS} for state in states)
    knowledge = made.knowledge
    return Explanation(
        player_text=player_text[:MOST_WORDS_KEPT],
        npc_text=npc_text[:MOST_WORDS_KEPT],
        confidence=understanding.confidence,
        alternatives=list(understanding.alternatives),
        source=understanding.source,
        acts=list(understanding.acts),
        topics=list(understanding.topics),
        names=[entity.name for entity in understanding.entities],
        asks=understanding.asks,
        question=understanding.question,
        fact=_fact(made.fact) if made.fact else None,
        answers=len(knowledge.answers) + len(knowledge.secrets),
        withheld=[_fact(hit) for hit in knowledge.withheld[:2]],
        elsewhere=[hit.entry.owner for hit in knowledge.elsewhere[:3]],
        before=start,
        heard={name: value for name, value in decided.items() if value != start[name]},
        after={name: value for name, value in end.items() if value != start[name]},
    )


def _fact(hit: Hit) -> KnownFact:
    entry = hit.entry
    return KnownFact(
        id=entry.id, text=entry.fact.text[:MOST_WORDS_KEPT], told=hit.told, unmet=hit.unmet, owner=entry.owner
    )

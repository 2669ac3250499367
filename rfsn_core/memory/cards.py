"""The card of an NPC and a player: counts of what happened between them, in at most 2 KB of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

CARD_BYTES = 2048
TRAJECTORY = 24
"""Points of the mood's trajectory that are kept."""
_MOST_NAMES = 12
_NAME_LENGTH = 60


class Betrayal(msgspec.Struct, frozen=True):
    """A betrayal of the NPC by the player."""

    what: str
    severity: float
    """0…1"""


class MoodPoint(msgspec.Struct, frozen=True, array_like=True):
    """The NPC's mood and affinity after a number of turns."""

    turn: int
    mood: str
    affinity: float


class Card(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Counts and lists of what happened between an NPC and a player."""

    trust: float = 0.5
    affinity: float = 0.0
    promises_made: int = 0
    promises_kept: int = 0
    promises_broken: int = 0
    betrayals: tuple[Betrayal, ...] = ()
    gifts: int = 0
    insults: int = 0
    lives_saved: int = 0
    quests: tuple[str, ...] = ()
    """Active quests, the newest last."""
    milestones: tuple[str, ...] = ()
    """Completed quests, and the milestones that the game reports; the newest last."""
    flags: Mapping[str, bool] = {}
    trajectory: tuple[MoodPoint, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return the card as it is stored."""
        return dict(msgspec.to_builtins(self))

    @classmethod
    def from_plain(cls, values: Mapping[str, Any] | None) -> Card:
        """Return the card of stored values; an empty card for None. Raises msgspec.ValidationError."""
        return msgspec.convert(values or {}, cls)

    def lines(self) -> list[str]:
        """Return the card as sentences for a prompt."""
        counts = (
            (self.lives_saved, "saved your life"),
            (self.gifts, "gave you something"),
            (self.promises_kept, "kept a promise"),
            (self.promises_broken, "broke a promise"),
            (self.insults, "insulted you"),
        )
        sentences = [f"The player {what}{times(count)}." for count, what in counts if count]
        sentences += [f"The player betrayed you: {betrayal.what}." for betrayal in self.betrayals[-2:]]
        sentences += [f"The player is on a quest that you know of: {quest}." for quest in self.quests[-3:]]
        return sentences


def times(count: int) -> str:
    """Return how often something happened, in words."""
    return "" if count == 1 else " twice" if count == 2 else f" {count} times"


def with_feelings(card: Card, turn: int, mood: str, affinity: float, trust: float) -> Card:
    """Return the card with the NPC's feelings after a turn.

    The trajectory gets a point when the mood changed, or when the affinity moved by 0.05 or more.
    """
    last = card.trajectory[-1] if card.trajectory else None
    trajectory = card.trajectory
    if last is None or last.mood != mood or abs(last.affinity - affinity) >= 0.05:
        trajectory = (*trajectory, MoodPoint(turn, mood, round(affinity, 2)))[-TRAJECTORY:]
    affinity, trust = round(affinity, 2), round(trust, 2)
    if trajectory is card.trajectory and (affinity, trust) == (card.affinity, card.trust):
        return card
    return _bounded(msgspec.structs.replace(card, affinity=affinity, trust=trust, trajectory=trajectory))


def with_words(card: Card, signal: str, promises: int) -> Card:
    """Return the card after the player's words, which were this signal and held so many promises."""
    if signal == "betray":
        card = _with_betrayal(card, "they said so themselves", 0.6)
    if signal != "insult" and not promises:
        return card
    return msgspec.structs.replace(
        card, insults=card.insults + (signal == "insult"), promises_made=card.promises_made + promises
    )


def with_event(card: Card, kind: str, data: Mapping[str, Any]) -> Card:
    """Return the card after a game event; an event of another kind changes nothing."""
    name = str(data.get("quest") or data.get("name") or data.get("what") or "")[:_NAME_LENGTH]
    change: dict[str, Any] = {}
    match kind:
        case "gift":
            change = {"gifts": card.gifts + 1}
        case "promise_kept":
            change = {"promises_kept": card.promises_kept + 1}
        case "promise_broken":
            change = {"promises_broken": card.promises_broken + 1}
        case "saved_life":
            change = {"lives_saved": card.lives_saved + 1}
        case "betrayal":
            severity = data.get("severity", 0.8)
            valid = isinstance(severity, int | float) and 0 <= severity <= 1
            return _bounded(_with_betrayal(card, name or "a betrayal", float(severity) if valid else 0.8))
        case "quest_started" if name:
            change = {"quests": _added(card.quests, name)}
        case "quest_completed":
            ended = name or (card.quests[-1] if card.quests else "a quest")
            change = {
                "quests": tuple(quest for quest in card.quests if quest != ended),
                "milestones": _added(card.milestones, ended),
            }
        case "milestone" if name:
            change = {"milestones": _added(card.milestones, name)}
        case "flag" if name:
            change = {"flags": {**card.flags, name: data.get("value") is not False}}
    return _bounded(msgspec.structs.replace(card, **change))


def _with_betrayal(card: Card, what: str, severity: float) -> Card:
    return msgspec.structs.replace(card, betrayals=(*card.betrayals, Betrayal(what, severity))[-_MOST_NAMES:])


def _added(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return (*(other for other in names if other != name), name)[-_MOST_NAMES:]


def _bounded(card: Card) -> Card:
    """Return the card in at most `CARD_BYTES`: the oldest entry of the largest list is dropped first."""
    while len(msgspec.json.encode(card)) > CARD_BYTES:
        sizes = {
            name: len(msgspec.json.encode(getattr(card, name)))
            for name in ("trajectory", "milestones", "quests", "betrayals", "flags")
        }
        name = max(sizes, key=sizes.__getitem__)
        value = getattr(card, name)
        left = dict(list(value.items())[1:]) if name == "flags" else value[1:]
        card = msgspec.structs.replace(card, **{name: left})
    return card

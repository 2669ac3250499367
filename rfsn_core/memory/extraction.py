"""Facts, preferences and promises in what was said, found by patterns; no model is asked.

Only forms of English are matched that nearly always mean what they say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from rfsn_core.contract.storage import MemoryKind


class Statement(NamedTuple):
    """A fact, preference or promise that somebody stated."""

    kind: MemoryKind
    text: str
    confidence: float
    importance: float
    subject: str = ""
    predicate: str = ""
    value: str = ""
    negated: bool = False


_NAME = r"[A-Z][\w'’-]*(?: (?:of )?(?:the )?[A-Z][\w'’-]*){0,3}"
_THING = r"[^.,;:!?\n]{2,60}?"
_END = r"(?=[.,;:!?\n]|$| and | but )"
_FACTS = (
    (rf"(?:[Mm]y name(?: is|'s)|[Cc]all me|[Tt]hey call me) (?P<value>{_NAME})", "name", 0.9, 0.8),
    (rf"I(?: am|'m) from (?P<value>{_NAME})", "origin", 0.8, 0.5),
    (rf"I come from (?P<value>{_NAME})", "origin", 0.8, 0.5),
    (rf"I live in (?P<value>{_NAME})", "home", 0.8, 0.5),
    (rf"I(?: am|'m) an? (?P<value>[a-z][a-z -]{{2,30}}?) by trade{_END}", "trade", 0.8, 0.5),
    (rf"I(?: work| earn my bread| make my living) as an? (?P<value>[a-z][a-z -]{{2,30}}?){_END}", "trade", 0.8, 0.5),
    (rf"I(?: am|'m) married to (?P<value>{_NAME})", "married_to", 0.8, 0.5),
)
_LIKES = re.compile(
    rf"\bI (?P<really>really )?(?P<not>do(?:n'?t| not) )?(?P<verb>like|love|adore|enjoy|prefer|hate|dislike|despise)"
    rf" (?P<value>{_THING}){_END}"
)
_PROMISE = re.compile(
    rf"\bI (?:(?:swear|promise|vow|give you my word)(?: to you)?(?: that)?(?: I(?:'ll| will)| to)"
    rf"|(?:will|shall) (?:always|never)) (?P<value>{_THING}){_END}"
)
_HINT = re.compile(r"\bI\b|[Mm]y name|all me\b")
"""Text without any of these has no statement; most texts end at this first check."""
_HATE = ("hate", "dislike", "despise")
_VAGUE = ("it", "that", "this", "them", "him", "her", "these", "those", "to")
_YOU = re.compile(r"\b(?:you|your|yourself)\b", re.IGNORECASE)
_COMPILED = [(re.compile(rf"\b{pattern}"), predicate, sure, weight) for pattern, predicate, sure, weight in _FACTS]


def from_player(text: str, player: str) -> Iterator[Statement]:
    """Yield what the player says of themselves, and what they promise."""
    if _HINT.search(text) is None:
        return
    text = text.replace("’", "'")
    for pattern, predicate, confidence, importance in _COMPILED:
        for match in pattern.finditer(text):
            value = match["value"].strip()
            said = f"The player says: {match[0].strip()}."
            yield Statement(MemoryKind.FACT, said, confidence, importance, player, predicate, value)
    for match in _LIKES.finditer(text):
        value = match["value"].strip()
        if _YOU.search(value) or value.lower() in _VAGUE or text[match.end() : match.end() + 1] == "?":
            continue  # a compliment or an insult, which changes the state; or a word that means nothing later
        dislikes = (match["verb"] in _HATE) != bool(match["not"])
        said = f"The player {'dislikes' if dislikes else 'likes'} {value}."
        yield Statement(MemoryKind.PREFERENCE, said, 0.8, 0.4, player, "likes", value, dislikes)
    for match in _PROMISE.finditer(text):
        yield Statement(MemoryKind.PROMISE, f"The player promised: {match[0].strip()}.", 0.8, 0.9)


def from_npc(text: str) -> Iterator[Statement]:
    """Yield the NPC's promises."""
    if _HINT.search(text) is None:
        return
    for match in _PROMISE.finditer(text.replace("’", "'")):
        yield Statement(MemoryKind.PROMISE, f"You promised: {match[0].strip()}.", 0.7, 0.9)

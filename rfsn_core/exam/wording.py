"""Whether words fit the decision they were made for: its style, its friendliness, and the person who speaks."""

from __future__ import annotations

import re
from collections.abc import Callable

from rfsn_core.defaults.understanding import sentiment
from rfsn_core.exam.claims import sentences
from rfsn_core.kit.words import words_of
from rfsn_core.turn.out_of_character import is_out_of_character

LONGEST_TERSE = 30
"""Words. A fact that is told in a terse style is as long as its author wrote it; the bar of a suite allows for that."""
SHORTEST_RICH = 6
FRIENDLY, HOSTILE = 0.5, -0.6
"""Tone of an action, from which on its words must not sound like the opposite."""
SEVERAL = 0.26
"""What `sentiment` returns for two friendly words more than unfriendly ones. One word alone may mean something else."""
_SLANG = re.compile(
    r"\b(?:gonna|wanna|gotta|ain't|yeah|nah|yo|dude|lol|hey|cool|okay|ok|kinda|sorta|y'all)\b", re.IGNORECASE
)
_ABUSE = re.compile(
    r"\b(?:fool|idiot|scum|filth|worm|swine|dog|coward|liar|die|kill|crush|gut|cut you|break you|get out|shut up)\b",
    re.IGNORECASE,
)
_SELF = re.compile(r"^\W*(?:player|user|assistant|npc|system|narrator)\s*:", re.IGNORECASE)


def _terse(text: str) -> str:
    count = len(words_of(text))
    return f"{count} words are not terse" if count > LONGEST_TERSE else ""


def _warm(text: str) -> str:
    found = _ABUSE.search(text)
    return f"'{found[0]}' is not warm" if found and sentiment(words_of(text), "") < 0 else ""


def _rich(text: str) -> str:
    count = len(words_of(text))
    return f"{count} words tell nothing" if count < SHORTEST_RICH else ""


def _formal(text: str) -> str:
    found = _SLANG.search(text)
    return f"'{found[0]}' is not formal" if found else ""


def _balanced(text: str) -> str:
    count = text.count("!")
    return f"{count} exclamation marks are not even" if count > 2 else ""


_STYLES: dict[str, Callable[[str], str]] = {
    "terse_direct": _terse,
    "warm_friendly": _warm,
    "lore_rich": _rich,
    "formal_respectful": _formal,
    "neutral_balanced": _balanced,
}


def style_fault(style: str, text: str, *, telling: bool = True) -> str | None:
    """Return why words are not in a style; empty when they may be, None when nothing can be said of that style.

    :param telling: whether the action tells something; only then can the words be rich in lore.
    """
    rule = _STYLES.get(style)
    if rule is None or not text or (rule is _rich and not telling):
        return None
    return rule(text)


def sentiment_fault(tone: float, text: str) -> str | None:
    """Return why words contradict the friendliness of an action; None when the action is neither friendly nor hostile.

    :param tone: of the action, -1…1.
    """
    if not text or HOSTILE < tone < FRIENDLY:
        return None
    heard = sentiment(words_of(text), "")
    if tone >= FRIENDLY and (heard <= -SEVERAL or (heard < 0 and _ABUSE.search(text))):
        return f"sounds unfriendly ({heard:+.2f}) for an action of tone {tone:+.1f}"
    if tone <= HOSTILE and heard >= SEVERAL:
        return f"sounds friendly ({heard:+.2f}) for an action of tone {tone:+.1f}"
    return ""


def persona_fault(text: str) -> str:
    """Return why the NPC does not speak as itself; empty when it does."""
    for sentence in sentences(text):
        if is_out_of_character(sentence):
            return f"the model speaks: {sentence[:80]}"
        if _SELF.match(sentence):
            return f"a label: {sentence[:40]}"
    return ""

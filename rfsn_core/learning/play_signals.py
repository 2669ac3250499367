"""Rewards that are read off the play: what the player does next says how good the last decision was."""

from __future__ import annotations

import re

_CONTRADICTION = re.compile(
    r"\b(?:but you (?:just |already )?(?:said|told me)|you (?:just )?said (?:the opposite|otherwise)|earlier you said|"
    r"you(?:'re| are) contradicting yourself|that contradicts)\b",
    re.IGNORECASE,
)
_CORRECTION = re.compile(
    r"\b(?:that(?:'s| is) not what i (?:said|meant|asked)|i (?:said|meant|asked (?:for|about))|no, i |"
    r"you misunderst(?:and|ood)(?: me)?|you(?:'re| are) wrong|that(?:'s| is) (?:wrong|not true))\b",
    re.IGNORECASE,
)
_ENDS = frozenset({"farewell", "attack", "flee", "ignore"})


def signals(text: str, signal: str) -> list[str]:
    """Return the reward signals for the previous decision that the player's words contain.

    :param signal: what the player means.
    """
    text = text.replace("’", "'")
    if _CONTRADICTION.search(text):
        return ["contradiction_detected"]
    if _CORRECTION.search(text):
        return ["user_correction"]
    if signal in _ENDS:
        return []
    return ["conversation_continued", *(["follow_up_question"] if signal == "question" else [])]

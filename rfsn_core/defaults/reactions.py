"""What a player's words say about what the NPC said before: by patterns over plain words, in English."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SAID = r"(?:sa+i+d|told me|tolt me|claimed|swore|promised|mentioned)"
_MEANT = r"(?:said|sad|me?a?nt|menat|asked|aksed|wanted|was asking)"
_CONTRADICTION = re.compile(
    rf"\bbut (?:\w+ )?you (?:just |already |once )?{_SAID}\b"
    rf"|\byou (?:just |already )?{_SAID}\b.*\b(?:now|but now|a minute ago|a moment ago|the opposite|otherwise"
    r"|something else|different(?:ly)?|before|earlier)\b"
    rf"|\b(?:earlier|before|yesterday|last time|a (?:minute|moment) ago|just now) you {_SAID}\b"
    rf"|\bthat is not what you {_SAID}\b|\bfirst (?:it|you|he|she|they|the)\b.*\bnow\b"
    r"|\bcontradict\w*|\b(?:you|so you|have you) (?:lied|have been lying)\b|\blied to me\b|\bmake up your mind\b"
    r"|\bwhich (?:one )?is it\b|\b(?:does|do) not add up\b|\bchanged? your (?:story|mind|tune)\b"
)
_CORRECTION = re.compile(
    rf"\b(?:that|this|it) (?:is|was) not what i {_MEANT}\b|\bi did not (?:say|mean|ask"
    rf"|want) (?:that|it|this|for|about)\b"
    rf"|^(?:no |nope |nah |hey |well |sorry )*i {_MEANT}\b(?! to\b)|\bno i (?:{_MEANT}|am (?:talking|asking))\b"
    r"|\bmis(?:s)?under?st[aou]+nd?\w*|\bmishe[a]?rd\b|\byou (?:got|get|have|took"
    r"|heard) (?:me|it|that) (?:all )?wrong\b"
    r"|^(?:no |nope |nah |but )*(?:you are|that is|this is) (?:all )?(?:wrong"
    r"|mistaken|incorrect|not (?:true|right|correct))"
    r"|\bwrong (?:guy|person|one|man|woman|way|place|question|thing|name|answer)\b|\bnot (?:that|this) one\b"
    r"|\bnot listening\b|\b(?:are you|you) (?:even )?listening\b|\banswer (?:my|the) question\b"
    r"|\b(?:that|which) (?:is|does) not (?:an )?answer\b|^no not (?:that|him|her|the|this|them)\b"
    r"|\bi (?:was|am) (?:asking|talking) about\b"
)
_END = re.compile(
    r"\b(?:i am )?(?:done|finished|through) (?:talking|with (?:you|this))\b|\b(?:this"
    r"|that|you) (?:is|are) (?:so |really )*"
    r"(?:boring|pointless|useless|a waste)\b|^(?:boring|enough|whatever|forget it|never ?mind|shut up)\b"
    r"|\bwaste of (?:my )?time\b|\bleave me alone\b|\bstop talking\b"
    r"|\bnot talking to you\b|\bgot? ?to (?:go|run|leave)\b"
)
_MORE = re.compile(r"\b(?:tell me more|go on|say more|what else|show me|and then|more about|explain)\b")


def _table(*rows: tuple[str, re.Pattern[str], str]) -> tuple[tuple[str, re.Pattern[str], frozenset[str]], ...]:
    return tuple((name, pattern, frozenset(keys.split())) for name, pattern, keys in rows)


_TABLE = _table(
    (
        "contradiction",
        _CONTRADICTION,
        "said saai told tolt clai swor prom ment cont lied lyin mind whic add stor tune firs",
    ),
    (
        "correction",
        _CORRECTION,
        "said sad mean ment mant mnt mena aske akse aski say ask want misu miss mish mist wron inco true righ corr"
        " list answ talk one no",
    ),
    (
        "end",
        _END,
        "done fini thro bori poin usel wast enou whatever forget neve shut leav stop talk go run",
    ),
    ("more", _MORE, "more on else show then expl"),
)
"""Reaction, its pattern, and words or their first four letters of which a line that matches has one.

Most lines have none of them, and a look in a set is much faster than a search.
"""


def reaction(words: Sequence[str]) -> str:
    """Return one of `REACTIONS`; empty when the words say nothing about what the NPC said.

    :param words: as `plain_text.plain` writes them.
    """
    parts = {*words, *[word[:4] for word in words]}
    text = ""
    for name, pattern, keys in _TABLE:
        if not keys.isdisjoint(parts):
            text = text or " ".join(words)
            if pattern.search(text):
                return name
    return ""

"""Whom a question is about: the NPC, the player, or somebody who was spoken of before. The patterns are English."""

from __future__ import annotations

import re

from rfsn_core.kit.patterns import any_of

_ACCUSED = any_of(
    r"(?<!how long )\b(?:did you|have you(?: ever)?|was it you who|were you the one who) (?:\w+ )?"
    r"(?:kill|murder|steal|stole|take|took|hid|lie|cheat|betray|poison|cut|burn|drown"
    r"|sink|sank|drug|rob|move|do it|do this|done)\w*",
    r"\b(?:was|is) it you\b|\bit (?:was|could(?: have)? be(?:en)?|must have been) you\b"
    r"|\bcould it (?:be|have been) you\b"
    r"|\bare you the (?:thief|killer|murderer|traitor|spy|one who)\b",
)
_START = r"^(?:\W*(?:and|but|so|well|hey|ok|oh|really|then|tell me),?\s+)*"
_KNOWING = r"(?! (?:know|heard?|see|seen|saw|tell|remember|think|got|sell|help|give|show|take|lend|spare|want|need))"
_ABOUT_NPC = any_of(
    rf"{_START}(?P<asks>do|are|have|did|were|can|could|would|will|am|has)(?:n['’]?t)? (?:you|ya|u)\b{_KNOWING}"
    r"(?!(?: have| got)? (?:any|anything|some|something)\b)",
    r"^.{0,30}?\b(?P<wh>why|how|what|where|when|who|which)\b(?! (?:much|many)).{0,24}?"
    rf"\b(?:are|do|did|have|were|would|will|can)(?:n['’]?t)? (?:you|ya|u)\b{_KNOWING}(?! have)",
    r"\b(?P<old>how old|your age)\b.*\b(?:you|your)\b",
    r"\b(?:about|of) (?:you|yourself|your (?:family|life|past|childhood|youth))\b",
)
_KINDS = {"are": "are", "were": "are", "am": "are", "can": "can", "could": "can", "would": "would", "will": "would"}
_ABOUT_PLAYER = any_of(
    r"^\W*(?:and |but |so |then )?(?:will|am|shall|should|would|did|have|must) i\b", r"\bhappen to me\b"
)
_YOURS = re.compile(r"\b(?:your|ur)\b(?! (?:opinion|guess|advice|honou?r))", re.IGNORECASE)
_YOU = re.compile(r"\b(?:you|your|yours|yourself|ya|u|ur)\b|^\W*(?:got|have) (?:any|a)\b", re.IGNORECASE)
_PERSON = re.compile(r"\b(?:he|him|his|she|her|hers|they|them|their|hes|shes)\b|\b(?:he|she|they)['’]", re.IGNORECASE)
_PRONOUNS = {
    name: re.compile(rf"\b(?:{forms})\b", re.IGNORECASE)
    for name, forms in (("he", "he|him|his"), ("she", "she|her|hers"), ("they", "they|them|their"))
}
_SOMEBODY = re.compile(
    r"\b(?:he|him|she|they|them|hes|shes)\b|\b(?:he|she|they)['’]"
    r"|\bher\b(?=\W*$| (?:and|but|now|today|lately|here|there|at|in|on|well)\b)",
    re.IGNORECASE,
)
_THING = re.compile(r"\b(?:it|its|that|those|these|this|there)\b|\b(?:it|that)['’]s\b", re.IGNORECASE)
_NO_THING = re.compile(
    r"\bis (?:it|that) (?:always|often|true|safe|really|usually|ever)\b|\b(?:is|are|was|were|isn't) there\b"
    r"|\bthere (?:is|are|was|were)\b"
    r"|\bwhat time is it\b|\b(?:this|that|these|those) [a-z]{3,}|\bover there\b|\bthat'?s\b",
    re.IGNORECASE,
)
"""Words such as "it" that stand for nothing in particular."""
_AGE = re.compile(r"\bhow old\b|\bage\b", re.IGNORECASE)
_COST = re.compile(
    r"\b(?:costs?|prices?|charge)\b|\b(?:i|we) owe you\b|\bset me back\b|\bwant for (?:it|that|this|the)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"\bnames?\b|\bcalled\b", re.IGNORECASE)


def about_npc(words: str) -> str:
    """Return how a question is about the NPC: `accused`, `old`, `are`, `can`, `would`, `yes_no`, `why`, `what` …

    Empty when it is about something else.
    """
    if _ACCUSED.search(words):
        return "accused"
    match = _ABOUT_NPC.search(words)
    if match is None:
        return ""
    if match["asks"]:
        return _KINDS.get(match["asks"].lower(), "yes_no")
    return "old" if match["old"] or "how old" in words.lower() else (match["wh"] or "what").lower()


def about_player(words: str) -> bool:
    """Whether a question is about what becomes of the player."""
    return bool(_ABOUT_PLAYER.search(words))


def concerns_npc(words: str) -> bool:
    """Whether a question is about the NPC or something of its own: nobody else would know better."""
    return bool(about_npc(words)) or bool(_YOURS.search(words))


def speaks_to_npc(words: str) -> bool:
    """Whether a question is put to the NPC, about itself or about what it knows or thinks."""
    return bool(_YOU.search(words))


def refers_back(words: str) -> str:
    """Return `person` for "who is he?", `thing` for "where is it?", or nothing: what was spoken of before."""
    if _PERSON.search(words):
        return "person"
    return "thing" if _THING.search(_NO_THING.sub(" ", words)) else ""


def pronoun(words: str) -> str:
    """Return `he`, `she` or `they` when the words are about somebody who is not named; empty for none."""
    return next((name for name, pattern in _PRONOUNS.items() if pattern.search(words)), "")


def names_somebody(words: str) -> bool:
    """Whether "he", "she" or "him" stands for a person; "his wife" is about somebody else."""
    return bool(_SOMEBODY.search(words))


def detail(words: str) -> str:
    """Return `old`, `name` or `how_much` when that is what a question wants to know."""
    if _COST.search(words):
        return "how_much"
    return "old" if _AGE.search(words) else "name" if _NAME.search(words) else ""

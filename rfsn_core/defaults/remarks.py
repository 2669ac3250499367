"""What a question or a remark is about that no fact answers, so that the NPC can at least speak of that.

The patterns are English. In other languages nothing is recognised, and the signal alone picks the words.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

Table = Mapping[str, re.Pattern[str]]


@cache
def tables() -> Mapping[str, Table]:
    """Return `words/subjects.toml`: table → what is spoken of → its pattern."""
    text = resources.files(__package__).joinpath("words", "subjects.toml").read_text("utf-8")
    return {
        table: {name: re.compile(rf"\b(?:{'|'.join(parts)})\b(?!'t)", re.IGNORECASE) for name, parts in rows.items()}
        for table, rows in tomllib.loads(text).items()
    }


def _first(table: str, words: str) -> str:
    plain = words.replace("’", "'")
    return next((name for name, pattern in tables()[table].items() if pattern.search(plain)), "")


def of_npc(words: str) -> str:
    """Return what a question about the NPC is about, such as `age` or `family`; empty when unknown."""
    return _first("of_npc", words)


def asked(words: str) -> str:
    """Return what is asked besides: `time`, `permitted`, `exists`, …; empty when it is nothing of the kind."""
    return _first("asked", words)


def said(words: str) -> str:
    """Return what a remark is about: `news`, `intends`, `misfortune`, …; empty when unknown."""
    return _first("said", words)


_ROLE = re.compile(
    r"\bi(?:'m| am)(?: just| only| actually| really| also)? (an? [a-z-]+(?: [a-z-]+)?)"
    r"(?=[.,!]|$| by the way| btw| and | from | too| myself| here| now)",
    re.IGNORECASE,
)
_FROM = re.compile(r"\b(?:from|born in|grew up in) ((?:the )?[A-Za-z][\w'-]*)", re.IGNORECASE)


def role(words: str) -> str:
    """Return what the player says to be, with its article: "a bard"; empty when nothing."""
    match = _ROLE.search(words.replace("’", "'"))
    return match[1].lower() if match else ""


def home(words: str) -> str:
    """Return where the player says to come from, as a name; empty when nowhere."""
    match = _FROM.search(words)
    place = match[1] if match else ""
    return place if place.startswith("the ") or not place else place[:1].upper() + place[1:]

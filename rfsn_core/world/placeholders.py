"""Placeholders of character cards, such as `{{user}}`. They come from strangers: translated, never evaluated."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_BRACES = re.compile(r"\{\{([^{}]*)\}\}")
_ANGLES = re.compile(r"<(char|bot|user)>", re.IGNORECASE)
_HIDDEN = ("//", "comment:", "hidden_key:")
_OPTION = re.compile(r"(?<!\\),")
LARGEST_DIE = 1_000_000


@dataclass(frozen=True)
class Names:
    """Who the placeholders stand for."""

    char: str
    user: str = "the player"


def as_data(text: str, names: Names) -> str:
    """Return a card's text for a prompt, where it is data: unknown placeholders stay as they are."""

    def brace(match: re.Match[str]) -> str:
        name, _, rest = match[1].strip().partition(":")
        name = name.strip().casefold()
        if match[1].strip().casefold().startswith(_HIDDEN):
            return ""
        if name == "char":
            return names.char
        if name == "user":
            return names.user
        if name in ("random", "pick") and rest:
            options = [option.replace("\\,", ",").strip() for option in _OPTION.split(rest)]
            return options[_stable(match[0] + names.char) % len(options)]
        if name == "roll" and (sides := rest.strip().casefold().lstrip("d")).isascii() and sides.isdigit():
            return str(1 + _stable(match[0] + names.char) % max(1, min(int(sides[:7]), LARGEST_DIE)))
        if name == "reverse":
            return rest[::-1]
        return "" if name == "original" else match[0]

    def angle(match: re.Match[str]) -> str:
        return names.user if match[1].casefold() == "user" else names.char

    return _ANGLES.sub(angle, _BRACES.sub(brace, text))


def as_line(text: str, names: Names) -> str:
    """Return a card's text as a scripted line: the player's name is filled in, and nothing else can be."""
    player = "\x00player\x00"
    translated = as_data(text, Names(names.char, player))
    # What is left of braces would be read as the language of lines.
    inert = translated.replace("{{", "{ {").replace("}}", "} }").replace("{%", "{ %").replace("{#", "{ #")
    return inert.replace(player, "{{ player }}")


def _stable(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=4).digest(), "big")

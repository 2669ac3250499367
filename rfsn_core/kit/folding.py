"""Texts folded to what a person reads: without disguises such as look-alike letters, spaced letters or leet.

Gates, pattern memory and understanding use it, so that none of them sees less than the others. Most texts are their own
folded form; `Folding.disguises` names what was undone.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache

from rfsn_core.kit.lookalikes import LOOKALIKES

_MARKS = "".join(
    f"{chr(first)}-{chr(last)}"
    for first, last in (
        (0x300, 0x36F), (0x483, 0x489), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE00, 0xFE0F),
        (0xFE20, 0xFE2F), (0xE0100, 0xE01EF),
    )
)  # fmt: skip
_ACCENT = re.compile(f"[{_MARKS}]")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufeff"
    "\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
"""What takes no room, or shows as nothing: format characters, fillers, and the tags of Unicode."""
_SPACE = re.compile(r"\s+")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "“": '"', "”": '"', "„": '"', "‚": "'"})
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")

_LEET_SIGNS = {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g", "@": "a", "$": "s",
               "!": "i", "|": "l", "€": "e", "£": "l", "+": "t"}  # fmt: skip
_LEET = str.maketrans(_LEET_SIGNS)
_LEET_AS_L = str.maketrans({**_LEET_SIGNS, "1": "l", "!": "l"})
_SIGN = re.compile(r"[0-9@$|€£+]|[^\W\d_]![^\W\d_]")
_EDGES = ".,!?;:\"'()[]…*"
_ORDINAL = re.compile(r"\d+[a-z]{1,2}\d*")
_MASKED = re.compile(r"(?<=[a-z])[*#_~^](?=[a-z])|(?<=\b[a-z])[.\-](?=[a-z]\b)")
_SPACED = re.compile(r"(?<![^\W_])[^\W\d_](?:[ .,\-_*/~|+]{1,3}[^\W\d_](?![^\W_])){3,}")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz ',?;:")
"""Characters of which no disguise is made but spacing and stretching."""
_LATIN = re.compile(r"[a-z]")
_STRETCHED = re.compile(r"([^\W\d_])\1{2,}")


def plain(text: str) -> str:
    """Return a text in lower case without accents, compatibility forms, invisible characters and doubled spaces."""
    if text.isascii():
        text = text.lower()
        if _CONTROL.search(text):
            text = _CONTROL.sub("", text)
        return _SPACE.sub(" ", text).strip()
    text = _INVISIBLE.sub("", text.translate(_QUOTES))
    text = unicodedata.normalize("NFKC", text).casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFC", _ACCENT.sub("", unicodedata.normalize("NFD", text)))
    return _SPACE.sub(" ", _CONTROL.sub("", text.translate(_QUOTES))).strip()


@dataclass(frozen=True)
class Folding:
    """A text in all the forms in which it can be read."""

    plain: str
    """As anybody reads it, in lower case; see `plain`."""
    forms: tuple[str, ...]
    """The plain text, and what else it reads as: every form is to be judged."""
    squeezed: str = ""
    """Letters only, without spaces: for a text that spells words letter by letter. Else empty."""
    collapsed: str = ""
    """With no letter twice in a row: for a text that stretches words. Else empty."""
    disguises: tuple[str, ...] = ()
    """What was undone: `look-alikes`, `invisible`, `leet`, `spacing`, `stretching`, `masking`."""

    @property
    def folded(self) -> str:
        """The form without disguises."""
        return self.forms[-1]


@cache
def _lookalikes() -> dict[int, str]:
    return {int(code, 16): seen for seen, codes in LOOKALIKES.items() for code in codes.split()}


@lru_cache(maxsize=512)
def fold(text: str) -> Folding:
    """Return a text in all the forms in which it can be read."""
    base = plain(text)
    disguises: list[str] = []
    if not text.isascii() and _INVISIBLE.search(text):
        disguises.append("invisible")
    forms = [base]
    unmasked = base
    if not base.isascii():
        unmasked = _unmasked(base)
        if unmasked != base:
            disguises.append("look-alikes")
            forms.append(unmasked)
    signs = not _PLAIN.issuperset(unmasked)
    if signs and _MASKED.search(unmasked):
        disguises.append("masking")
        unmasked = _MASKED.sub("", unmasked)
        forms.append(unmasked)
    if signs and _SIGN.search(unmasked):
        forms += _without_leet(unmasked, disguises)
    return Folding(
        base,
        tuple(dict.fromkeys(forms)),
        _squeezed(forms[-1], disguises),
        _collapsed(forms[-1], disguises),
        tuple(disguises),
    )


def _unmasked(text: str) -> str:
    """Return a text with its look-alike letters in Latin ones.

    In a text of another script, such as a Russian one, only words that mix the scripts are read so.
    """
    words = text.split(" ")
    seen = [word if word.isascii() else _latin(word) for word in words]
    pairs = list(zip(seen, words, strict=True))
    foreign = any(now == word and not word.isascii() and word[0].isalpha() for now, word in pairs)
    if foreign:
        seen = [now if _LATIN.search(word) else word for now, word in pairs]
    return " ".join(seen)


def _latin(word: str) -> str:
    """Return a word of look-alike letters in Latin ones; the word itself when some letter of it has no Latin twin."""
    seen = word.translate(_lookalikes())
    letters = "".join(character for character in seen if character.isalpha())
    return seen if letters.isascii() and letters else word


def _without_leet(text: str, disguises: list[str]) -> list[str]:
    """Return a text with the digits and signs in its words read as letters, once and once more where 1 is an l."""
    words = text.split(" ")
    forms = [" ".join([_read(word, table) for word in words]) for table in (_LEET, _LEET_AS_L)]
    forms = [form for form in dict.fromkeys(forms) if form != text]
    if forms:
        disguises.append("leet")
    return forms


def _read(word: str, table: dict[int, str]) -> str:
    core = word.strip(_EDGES)
    if len(core) < 3 or not _SIGN.search(core) or not _LATIN.search(core) or _ORDINAL.fullmatch(core):
        return word
    return word.replace(core, core.translate(table))


def _squeezed(text: str, disguises: list[str]) -> str:
    if not _SPACED.search(text):
        return ""
    disguises.append("spacing")
    return "".join(character for character in text if character.isalnum())


def _collapsed(text: str, disguises: list[str]) -> str:
    if not _STRETCHED.search(text):
        return ""
    disguises.append("stretching")
    return re.sub(r"([^\W\d_])\1+", r"\1", text)

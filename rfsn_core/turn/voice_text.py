"""What a voice is given of a sentence: its words, without what can be seen but not said."""

from __future__ import annotations

import re
from functools import lru_cache

from rfsn_core.turn.spoken_words import ORDINALS, ROMAN, SPOKEN, Spoken, alternatives

_UNSPOKEN = re.compile(
    "[\U0001f000-\U0001faff\u2600-\u27bf\u2190-\u21ff\u2300-\u23ff\u2b00-\u2bff\u200d\ufe0e\ufe0f\u20e3"
    "\U000e0000-\U000e007f\u2022\u25a0-\u25ff\u2660-\u266f\u00a9\u00ae\u2122]+"
)
_MARKS = re.compile(r"(?<!\d)[*_~`\\]+(?!\d)|(?<=\w)[*_~`\\]+(?=\D)|[*_`\\^]{2,}")
_JOINED = re.compile(r"(?<=[^\W_])_(?=[^\W_])")
_CELLS = re.compile(r"\s*\|[\s|]*(?=\S)")
_MULTIPLIED = re.compile(r"\s[*_~`]\s")
_FACES = re.compile(
    r"(?:(?<=\s)|^)(?:[:;=8xX]['^-]?[)(DPpOo3/\\|]+|\^_*\^|<3(?=\s*(?:$|[.!?]))|[oO]_[oO]|T_T|xD+)(?=\s|[.!?,]|$)"
)
_SPACES = re.compile(r"\s{2,}")
_SPACE_BEFORE = re.compile(r"\s+([,.;:!?…])")
_ADDRESS = re.compile(
    r"\b(?:[a-z][a-z0-9+.-]*://|www\.)(?:www\.)?([^\s/?#:)\]>]+)[^\s)\]>]*?(?=[.,;:!?]*(?:[\s)\]>]|$))", re.IGNORECASE
)
_ODD = re.compile(
    r"[^\w\s,;:.!?'’\"“”„«»—–…()-]|[\d_]|\.(?=[^\S\n]*\w)|[:;]['^-]?[()DPpo3]|\bx[Dd]|[IVX]{2}"
    r"|(?i:\b(?:mme|mlle|dr|ste?|nº|etc|usw|jr|sr)\b)"
)
"""What is not read as it is written, or may not be."""
_NUMBER = r"\d[\d.,\u00a0\u202f]*\d|\d"
_RANGE = re.compile(r"(?<![\w.,:/–-])(\d+(?:[.,]\d+)?)\s?[-–—]\s?(\d+(?:[.,]\d+)?)(?![\d:/–-])")
_DATE = re.compile(r"\b(\d{1,4})/(\d{1,2})(?:/(\d{2,4}))?\b")
_SLASH = re.compile(r"(?<=[^\W\d])/(?=[^\W\d])")
_ROMAN = re.compile(r"\b(\w[\w'’]+)\s+((?:X{1,2}|(?=[VI]))(?:IX|IV|V?I{0,3}))\b(?![.'’]?\w)")
_HEIGHT = re.compile(r"\b(\d)['′](\d{1,2})(?:[\"″]|'')")
_OCLOCK = re.compile(r"\b(\d{1,2}):00\b")


def voice_text(sentence: str, language: str = "en") -> str:
    """Return the words of a sentence for a voice; empty when there are none.

    :param language: as ISO 639-1; where there is no table for it, only marks and pictures are left out.
    """
    if _ODD.search(sentence) is None:
        return sentence if any(map(str.isalnum, sentence)) else ""
    text = _UNSPOKEN.sub(" ", _FACES.sub(" ", sentence))
    if not _MULTIPLIED.search(text):
        text = _MARKS.sub("", _JOINED.sub(" ", text))
    text = _ADDRESS.sub(r"\1", _CELLS.sub(", ", text.strip("| \t\n")))
    if spoken := SPOKEN.get(language[:2].lower()):
        text = _said(text, spoken, language[:2].lower())
    if text != sentence:
        text = _SPACE_BEFORE.sub(r"\1", _SPACES.sub(" ", text)).strip()
    return text if any(map(str.isalnum, text)) else ""


def _said(text: str, spoken: Spoken, language: str) -> str:
    """Return text with its abbreviations, signs and units as words."""
    patterns = _patterns(language)
    if patterns.any.search(text) is None:
        return text
    text = patterns.abbreviation.sub(lambda match: _abbreviation(match, spoken), text)
    text = patterns.before_number.sub(lambda match: spoken.before_number[_key(match[1])] + " ", text)
    if language == "en":
        text = _OCLOCK.sub(r"\1 o'clock", _HEIGHT.sub(r"\1 foot \2", text))
        text = _ROMAN.sub(lambda match: _roman(match, spoken), text)
    text = patterns.amount.sub(lambda match: _amount(match, spoken), text)
    text = _RANGE.sub(rf"\1 {spoken.until} \2", text)
    text = patterns.unit.sub(lambda match: f"{match[1]} {spoken.units[match[2]][match[1] != '1']}", text)
    text = patterns.fraction.sub(lambda match: f" {spoken.fractions[match[0]]} ", text)
    text = re.sub(r"\band/or\b", "and or", text)
    text = _DATE.sub(lambda match: " ".join(part for part in match.groups() if part), text)
    text = _SLASH.sub(f" {spoken.alternative} ", text)
    text = re.sub(r"~\s?(?=\d)", f"{spoken.about} ", text)
    return re.sub(r"\s?&\s?", f" {spoken.conjunction} ", text)


class _Patterns:
    """What is looked for in one language."""

    def __init__(self, spoken: Spoken) -> None:
        signs = "".join(map(re.escape, spoken.currencies))
        scales = rf"(?:\s(?P<scale>{spoken.scales})\b)?"
        self.abbreviation = re.compile(rf"(?<![\w.])(?:{alternatives(spoken.abbreviations)})(?!\w)", re.IGNORECASE)
        self.before_number = re.compile(rf"(?<![\w&])({alternatives(spoken.before_number)})\s?(?=\d)", re.IGNORECASE)
        units = "|".join(sorted(map(re.escape, spoken.units), key=len, reverse=True))
        self.unit = re.compile(rf"(?<![\w.,])({_NUMBER})\s?({units})(?![\w²/°])")
        self.fraction = re.compile(
            rf"(?<![\d/.,])(?:{'|'.join(map(re.escape, spoken.fractions))})(?![\d/])" if spoken.fractions else "(?!)"
        )
        self.amount = re.compile(
            rf"(?P<sign>[{signs}])\s?(?P<number>{_NUMBER}){scales}|(?<!\w)(?P<first>{_NUMBER})\s?(?P<behind>[{signs}])(?!\w)"
        )
        self.any = re.compile(rf"[\d&/#№{signs}]|{self.abbreviation.pattern}|{_ROMAN.pattern}", re.IGNORECASE)


@lru_cache
def _patterns(language: str) -> _Patterns:
    return _Patterns(SPOKEN[language])


def _key(abbreviation: str) -> str:
    return re.sub(r"\s", "", abbreviation.casefold())


def _abbreviation(match: re.Match[str], spoken: Spoken) -> str:
    """Return the words for an abbreviation; its dot stays where it also ends the sentence."""
    words, found = spoken.abbreviations[_key(match[0])], match[0]
    rest = match.string[match.end() :].lstrip(" \"'”’»)")
    title = words[0].isupper()
    if title and (not rest or not rest[0].isupper()):
        return found  # "the dr. said", "on the corner of Mill St.": no title
    if found[0].isupper() and not title:
        words = words[0].upper() + words[1:]
    return words if rest else f"{words}."


def _roman(match: re.Match[str], spoken: Spoken) -> str:
    name, numeral = match.groups()
    number = ROMAN.get(numeral, 0)
    if number < 2:
        return match[0]
    if name.casefold() in spoken.parts:
        return f"{name} {number}"
    if not name[0].isupper():
        return match[0]
    return f"{name} the {ORDINALS[number - 1]}"


def _amount(match: re.Match[str], spoken: Spoken) -> str:
    sign = match["sign"] or match["behind"]
    number = match["number"] or match["first"]
    one, many, cents = spoken.currencies[sign]
    if scale := match["scale"]:
        return f"{number} {scale} {many}"
    if hundredths := re.fullmatch(r"(\d[\d.,\u00a0\u202f]*?|\d)[.,](\d\d)", number):
        whole, rest = hundredths.groups()
        name = one if whole == "1" else many
        if rest == "00":
            return f"{whole} {name}"
        return f"{rest} {cents}" if whole == "0" else f"{whole} {name}{spoken.joins}{rest} {cents}"
    return f"{number} {one if number == '1' else many}"

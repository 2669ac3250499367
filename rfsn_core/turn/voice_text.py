"""What a voice is given of a sentence: its words, without what can be seen but not said."""

from __future__ import annotations

import re

_UNSPOKEN = re.compile(
    "[\U0001f000-\U0001faff\u2600-\u27bf\u2190-\u21ff\u2300-\u23ff\u2b00-\u2bff\u200d\ufe0e\ufe0f\u20e3"
    "\U000e0000-\U000e007f\u2022\u25a0-\u25ff]+"
)
_MARKS = re.compile(r"(?<!\d)[*_~`|\\]+(?!\d)|(?<=\w)[*_~`|\\]+(?=\D)")
_MULTIPLIED = re.compile(r"\s[*_~`|]\s")
_SPACES = re.compile(r"\s{2,}")
_SPACE_BEFORE = re.compile(r"\s+([,.;:!?…])")


def voice_text(sentence: str) -> str:
    """Return the words of a sentence for a voice; empty when there are none."""
    text = _UNSPOKEN.sub(" ", sentence)
    if text == sentence and not _MARKS.search(text):
        return sentence if any(map(str.isalnum, sentence)) else ""
    if not _MULTIPLIED.search(text):
        text = _MARKS.sub("", text)
    text = _SPACE_BEFORE.sub(r"\1", _SPACES.sub(" ", text)).strip()
    return text if any(map(str.isalnum, text)) else ""

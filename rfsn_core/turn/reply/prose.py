"""The fourth stage: prose, such as `"Well met," she says, wiping the counter.`

What stands in quotation marks is said, and the rest is done. Only what tells of the NPC in the third person is taken
for prose: a sentence that begins with its name, and, in a reply that quotes what is said, one next to a quotation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum, auto
from typing import ClassVar

from rfsn_core.turn.reply.directions import SAYING, TELLING, is_telling
from rfsn_core.turn.reply.stage import LONGEST_SPAN, NARRATION, Stage, Step

LONGEST_START = 70
"""Characters in which a subject and its verb must come."""
_PRONOUNS = ("she", "he", "they")
_BESIDE = (*_PRONOUNS, "her", "his", "their", "the", "a", "an")
"""How a sentence of prose begins next to a quotation."""
_QUOTES = '"“”«»'
_END = re.compile(r"[\n\"“«]|[.!?…]+(?=[\s\"“”*])|[.!?…]+$")
_VERB = re.compile(r"[ \t]+(?:\w+ly[ \t]+|then[ \t]+|just[ \t]+)?([a-z]+)(?=[\s,.;:!?—–-])")
_WORD_ENDS = re.compile(r"\W")


class State(IntEnum):
    """What the next character belongs to."""

    LINE_START = auto()
    BESIDE = auto()
    """Behind a quotation, or behind prose."""
    WORDS = auto()


class Prose(Stage[State]):
    """Marks prose with `NARRATION`.

    :param own: names of the NPC.
    """

    def __init__(self, own: Iterable[str]) -> None:
        super().__init__(State.LINE_START)
        self._own = tuple(own)
        self.last = ""
        """The last character that was passed on."""
        self._quotes: bool | None = None  # whether what is said stands in quotation marks; not known yet

    def _say(self, text: str) -> str:
        self.last = text[-1]
        return text

    def _pass(self, text: str) -> Step:
        return Step(len(text), self._say(text))

    def _words(self, text: str, final: bool) -> Step | None:
        mark = text[0]
        if mark == "\n":
            self.state = State.LINE_START
        elif self._quotes and (mark in "”»" or self.last in tuple(".,!?…—-")):
            self.state = State.BESIDE
        return self._pass(mark)

    def _line_start(self, text: str, final: bool) -> Step | None:
        if text[0].isspace():
            return self._pass(text[0])
        if text[0] == NARRATION:
            return Step(end := text.index(NARRATION, 1) + 1, text[:end])
        if text[0] in "*_([<#>-~":
            self.state = State.WORDS
            return Step(0)
        if self._quotes is None and text[0] in _QUOTES:
            self._quotes = True
        return self._sentence(text, final, beside=False)

    def _beside(self, text: str, final: bool) -> Step | None:
        if text[0] == "\n":
            self.state = State.LINE_START
            return self._pass("\n")
        if text[0].isspace() or text[0] == ",":
            return self._pass(text[0])
        return self._sentence(text, final, beside=True)

    def _sentence(self, text: str, final: bool, *, beside: bool) -> Step | None:
        """Deal with a sentence that may be prose."""
        kind = self._kind(text, final, beside=beside)
        if kind is None:
            return self._wait(_WORD_ENDS, LONGEST_START)
        if not kind:
            self._quotes = bool(self._quotes)
            self.state = State.WORDS
            return self._pass(text[0]) if text[0] not in _QUOTES else Step(1, self._say(text[0]))
        end = _END.search(text[:LONGEST_SPAN])
        if end is None or (end.end() == len(text) and text[end.start()] not in '\n"“«'):
            if not final and len(text) < LONGEST_SPAN:
                return self._wait(_END, LONGEST_SPAN) if end is None else None
        size = len(text[:LONGEST_SPAN]) if end is None else end.start() if text[end.start()] in '\n"“«' else end.end()
        if kind == "name":
            return self._tell(text[:size])
        if beside and is_telling(text[:size]):
            return self._tell(text[:size])
        if not beside and is_telling(text[:size]):
            after = text[size:].lstrip(" \t")
            if not after and not final and len(text) < LONGEST_SPAN:
                return None
            if after[:1] in ('"', "“", "«"):
                return self._tell(text[:size])
        self._quotes = bool(self._quotes)
        self.state = State.WORDS
        return self._pass(text[:size])

    def _tell(self, text: str) -> Step:
        self.state = State.BESIDE
        self._quotes = True
        told = text.strip(" \t,")
        return Step(len(text), f"{NARRATION}{told}{NARRATION}" if any(map(str.isalnum, told)) else "")

    def _kind(self, text: str, final: bool, *, beside: bool) -> str | None:
        """Return `name` for a sentence that tells of the NPC by its name, `other` for one that may be prose, else ``.

        None: more text must come first.
        """
        start = text[:LONGEST_START].casefold()
        waits = not final and len(text) < LONGEST_START
        for name in self._own:
            if start.startswith(name) and not start[len(name) : len(name) + 1].isalnum():
                verb = _VERB.match(text, len(name))
                if verb:
                    return "name" if verb[1] in TELLING else ""
                return None if waits and len(_WORD_ENDS.findall(text[len(name) :])) < 3 and ":" not in start else ""
            if waits and name.startswith(start):
                return None
        word = re.match(r"\w+", start)
        if word is None:
            return ""
        if word.end() == len(text):
            return None if waits else ""
        if beside:
            return "other" if word[0] in _BESIDE or word[0] in TELLING else ""
        if word[0] not in _PRONOUNS or self._quotes is False:
            return ""
        verb = _VERB.match(text, word.end())
        if verb is None:
            return None if waits and len(_WORD_ENDS.findall(text)) < 4 else ""
        return "other" if verb[1] in TELLING - SAYING else ""  # "He said: …" tells of somebody else

    triggers: ClassVar = {State.WORDS: re.compile('["”»\n]')}
    handlers: ClassVar = {
        State.LINE_START: _line_start,
        State.BESIDE: _beside,
        State.WORDS: _words,
    }

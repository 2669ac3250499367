"""The last stage: stage directions and Markdown. Words come out; what is done is collected as narration."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import ClassVar

from rfsn_core.turn.reply.directions import is_direction, is_note
from rfsn_core.turn.reply.stage import Stage, Step

LONGEST_SPAN = 600
"""Characters that a stage direction has at most."""
LONGEST_SMALL = 160
"""Characters that stressed words in the middle of a sentence have at most."""

_TRIGGER = re.compile(r"[\s*_`~\[(（【]")
_SPACE = re.compile(r"\s+")
_CLOSING = {"(": ")", "[": "]", "（": "）", "【": "】"}
_LINE_MARKS = re.compile(r"(?:#{1,6}(?=[ \t])|>+(?=[ \t]|$)|[-*+•‣▪●](?=[ \t])|\|)[ \t]*")
_LINK = re.compile(r"\]\(([^()\s]*)(?:\s[^()]*)?\)")
_LINK_BEGINS = re.compile(r"\](?:\([^()\n]{0,300})?$")
_LINE_MARKS_BEGIN = re.compile(r"(?:#{1,6}|>+|[-*+•‣▪●]|!)$")
_RULE = re.compile(r"[ \t]*([-*_=])(?:[ \t]*\1){2,}[ \t]*(?:\n|$)")
_RULE_BEGINS = re.compile(r"[ \t]*([-*_=])(?:[ \t]*\1)*[ \t]*$")
_PUNCTUATION = ",.;:!?…)，。！？"


class State(Enum):
    """What the next character belongs to."""

    LINE_START = auto()
    WORDS = auto()


class Markup(Stage[State]):
    """Takes stage directions and Markdown out of words.

    :ivar narration: what the NPC does, since it was last read and cleared.
    """

    def __init__(self) -> None:
        super().__init__(State.LINE_START)
        self.narration: list[str] = []
        self._before = ""
        """The last characters of this line that were passed on."""
        self._gap = ""  # white space that was not passed on yet
        self._dropped = False  # something was left out since then
        self._began = False

    @property
    def plain(self) -> bool:
        """Whether the next word would only be passed on."""
        return self.state is State.WORDS and not self.held and not self._gap and not self._dropped

    def passed(self, text: str) -> None:
        """Note that words without any mark were passed on elsewhere."""
        self._before = (self._before + text)[-40:]

    def close(self) -> str:
        """End the text; white space at its end is passed on, too."""
        rest = super().close()
        gap, self._gap = self._gap, ""
        return rest + gap if self._began and not self._dropped else rest

    # ── words ────────────────────────────────────────────────────────────────────────────────────

    def _say(self, text: str, size: int | None = None) -> Step:
        """Pass words on, after the white space that waits."""
        gap, self._gap = self._gap, ""
        if self._dropped:
            gap = "\n" if "\n" in gap else gap[:1]
            if not self._began or (text[0] in _PUNCTUATION and gap != "\n"):
                gap = ""
            self._dropped = False
        self._began = True
        self.state = State.WORDS
        self._before = (self._before + gap + text)[-40:]
        return Step(len(text) if size is None else size, gap + text)

    def _drop(self, size: int) -> Step:
        self._dropped = True
        return Step(size)

    def _words(self, text: str, final: bool) -> Step | None:
        match = _TRIGGER.search(text)
        if match is None or match.start():
            return self._say(text[: match.start()] if match else text)
        first = text[0]
        if first.isspace():
            space = _SPACE.match(text)
            size = space.end() if space else 1
            self._gap += text[:size]
            if "\n" in text[:size]:
                self._before = ""
                self.state = State.LINE_START
            return Step(size)
        if first in "*_":
            return self._stressed(text, final)
        if first in _CLOSING:
            return self._bracket(text, final)
        if first == "`":
            return Step(1)
        if first == "~":
            if len(text) == 1 and not final:
                return None
            return Step(2) if text[1:2] == "~" else self._say("~")
        return self._say(first)

    def _line_start(self, text: str, final: bool) -> Step | None:
        """Deal with the marks of headings, lists, quotations and rules."""
        if text[0].isspace():
            self._gap += text[0]
            return Step(1)
        if not final and (_RULE_BEGINS.match(text) or _LINE_MARKS_BEGIN.match(text)) and len(text) < 80:
            return None
        rule = _RULE.match(text)
        if rule:
            self._gap += "\n"
            return self._drop(rule.end())
        self.state = State.WORDS
        if text.startswith("!["):
            return Step(1)
        marks = _LINE_MARKS.match(text)
        if marks and marks.end() == len(text) and not final:
            self.state = State.LINE_START
            return None
        return Step(marks.end() if marks else 0)

    # ── spans ────────────────────────────────────────────────────────────────────────────────────

    def _stressed(self, text: str, final: bool) -> Step | None:
        """Deal with `*…*`, `**…**` and `_…_`: stress, or a stage direction."""
        mark = text[0]
        run = len(text) - len(text.lstrip(mark))
        if run == len(text) and not final:
            return None
        after = text[run : run + 1]
        joined = not self._gap and self._before[-1:].isalnum()
        if not after or after.isspace():
            # A sign between two words, as in "five * two", or the end of something that did not begin.
            alone = run == 1 and mark == "*" and bool(self._gap) and bool(after)
            return self._say(mark) if alone else Step(run)
        if joined and (mark == "_" or run == 1 or after.isalnum()):
            return self._say(mark * run) if after.isalnum() else Step(run)
        end = self._closing(text, mark, run)
        if end is None:
            line = text.find("\n")
            if not final and line < 0 and len(text) < LONGEST_SPAN:
                return None
            return self._unclosed(text, run, len(text) if line < 0 else line)
        inside = text[run:end]
        if is_direction(inside.strip("*_ "), mark if run == 1 else "**", self._before):
            self._narrate(inside)
            return self._drop(end + run)
        return Step(run)

    def _closing(self, text: str, mark: str, run: int) -> int | None:
        """Return where the marks that close a span begin; None when they are not on this line."""
        place = run
        while True:
            place = text.find(mark * run, place)
            if place < 0 or "\n" in text[run:place]:
                return None
            if not text[place - 1].isspace() and place > run:
                return place
            place += run

    def _unclosed(self, text: str, run: int, end: int) -> Step:
        """Deal with a mark that nothing closes: a stage direction goes to the end of the line, or to what is said."""
        quote = re.search(r"[\"“«]", text[run:end])
        end = run + quote.start() if quote else end
        inside = text[run:end].strip()
        if (
            run == 1
            and len(inside) < LONGEST_SPAN
            and not re.search(r"[.!?]\s", inside)
            and is_direction(inside, "*", self._before)
        ):
            self._narrate(inside)
            return self._drop(end)
        return Step(run)

    def _bracket(self, text: str, final: bool) -> Step | None:
        opening = text[0]
        if opening == "(" and not self._gap and self._before[-1:] in (":", ";", "-"):
            return self._say("(")
        end = _matching(text, opening, _CLOSING[opening])
        if end is None:
            if not final and "\n" not in text and len(text) < LONGEST_SPAN:
                return None
            inside = text[1:].split("\n")[0]
            if is_note(inside) or (opening == "[" and not self._before.strip() and is_direction(inside, "*", "")):
                return self._drop(1 + len(inside))
            return self._say(opening)
        inside = text[1:end]
        if opening == "[":
            link = _LINK.match(text, end)
            if link:
                return self._say(inside, link.end()) if inside.strip() else self._drop(link.end())
            if not final and _LINK_BEGINS.match(text, end):
                return None
        kind = "[" if opening in "[【" else "("
        if is_note(inside) or is_direction(inside.strip("*_ "), kind, self._before):
            self._narrate(inside)
            return self._drop(end + 1)
        return self._say(opening)

    def _narrate(self, text: str) -> None:
        text = text.strip(" *_")
        if text and not is_note(text):
            self.narration.append(text)

    handlers: ClassVar = {
        State.LINE_START: _line_start,
        State.WORDS: _words,
    }


def _matching(text: str, opening: str, closing: str) -> int | None:
    """Return the place of the bracket that closes the first one; None when it is not on this line."""
    depth = 0
    for place, character in enumerate(text[:LONGEST_SPAN]):
        if character == "\n":
            return None
        depth += (character == opening) - (character == closing)
        if depth == 0:
            return place
    return None

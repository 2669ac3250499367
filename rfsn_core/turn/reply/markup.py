"""The last stage: stage directions and Markdown. Words come out, and what is done, between marks of our own."""

from __future__ import annotations

import re
from enum import IntEnum, auto
from typing import ClassVar

from rfsn_core.turn.reply.directions import is_direction, is_note
from rfsn_core.turn.reply.stage import LONGEST_SPAN, NARRATION, Stage, Step

LONGEST_SMALL = 160
"""Characters that stressed words in the middle of a sentence have at most."""

_TRIGGER = re.compile(rf"[\s*_`~\[(（【{{!{NARRATION}]")
_SPACE = re.compile(r"\s+")
_CLOSING = {"(": ")", "[": "]", "（": "）", "【": "】", "{": "}"}
_LINE_MARKS = re.compile(r"(?:#{1,6}(?=[ \t])|>+(?=[ \t]|$)|[-*+•‣▪●](?=[ \t])|\|)[ \t]*")
_LINK = re.compile(r"\]\(([^()\s]*)(?:\s[^()]*)?\)")
_LINK_BEGINS = re.compile(r"\](?:\([^()\n]{0,300})?$")
_LINE_MARKS_BEGIN = re.compile(r"(?:#{1,6}|>+|[-*+•‣▪●]|!)$")
LONGEST_NAME = 30
_PLACEHOLDER = re.compile(r"\{\{([\w ]{1,24})\}\}")
_LOOSE = re.compile(r"\*[ \t]+([^*\n]{2,80}?)[ \t]+\*(?=\s|$)")
_LOOSE_BEGINS = re.compile(r"\*[ \t]+[^*\n]{0,80}\*?$")
_TABLE_RULE = re.compile(r"\|[ \t|:]*-{2,}[-| :\t]*(?:\n|$)")
_TABLE_RULE_BEGINS = re.compile(r"\|[-| :\t]{0,200}$")
_CALL = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+\([^\n]*\)[ \t]*(?:\n|$)")
_CALL_BEGINS = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*_?(?:\([^\n]*)?$")
_IMAGE = re.compile(r"!\[[^\]\n]{0,200}\]\([^()\s]{0,400}\)")
_IMAGE_BEGINS = re.compile(r"!(?:\[[^\]\n]{0,200}(?:\](?:\([^()\s]{0,400})?)?)?$")
_TILDES = re.compile(r"~[ \t]?([^~\n]{2,80}?)[ \t]?~")
_TILDES_BEGIN = re.compile(r"~[^~\n]{0,82}$")
_RULE = re.compile(r"[ \t]*([-*_=])(?:[ \t]*\1){2,}[ \t]*(?:\n|$)")
_RULE_BEGINS = re.compile(r"[ \t]*([-*_=])(?:[ \t]*\1)*[ \t]*$")
LONGEST_RUN = 3
_SPANS = {
    (mark, run): re.compile(rf"[^\n]+?(?<=\S){re.escape(mark) * run}")
    for mark in "*_"
    for run in range(1, LONGEST_RUN + 1)
}
_CLOSES = {mark: re.compile(rf"[\n{re.escape(mark + _CLOSING.get(mark, ''))}]") for mark in (*"*_~", *_CLOSING)}
DEEPEST = 4
"""Brackets within brackets of a stage direction, at most."""
_PUNCTUATION = ",.;:!?…)，。！？"


class State(IntEnum):
    """What the next character belongs to."""

    LINE_START = auto()
    WORDS = auto()


class Markup(Stage[State]):
    """Takes Markdown out of words, and marks what is done with `NARRATION`."""

    def __init__(self, own: str = "", player: str = "") -> None:
        super().__init__(State.LINE_START)
        self._names = {"char": own, "user": player}
        self._before = ""
        """The last characters of this line that were passed on."""
        self._gap = ""  # white space that was not passed on yet
        self._dropped = False  # something was left out since then
        self._began = False

    @property
    def plain(self) -> bool:
        """Whether the next word would only be passed on."""
        return super().plain and not self._gap and not self._dropped

    def passed(self, text: str) -> None:
        """Note that words without any mark were passed on elsewhere."""
        self._before = (self._before + text)[-40:]

    def close(self) -> str:
        """End the text; white space at its end is passed on, too."""
        rest = super().close()
        gap, self._gap = self._gap, ""
        return rest + gap if self._began and not self._dropped else rest

    # ── words ────────────────────────────────────────────────────────────────────────────────────

    def _pass(self, text: str, size: int | None = None) -> Step:
        return Step(len(text) if size is None else size, self._say(text))

    def _say(self, text: str) -> str:
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
        return gap + text

    def _drop(self, size: int) -> Step:
        self._dropped = True
        return Step(size)

    def _words(self, text: str, final: bool) -> Step | None:
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
        if first == NARRATION:
            self._dropped, self.state = True, State.LINE_START
            end = text.index(NARRATION, 1) + 1
            return Step(end, text[:end])
        if first == "`":
            return Step(1)
        if first == "~":
            return self._tilde(text, final)
        if first == "!":
            if not final and _IMAGE_BEGINS.match(text):
                return None
            image = _IMAGE.match(text)
            return self._drop(image.end()) if image else self._pass("!")
        return self._pass(first)

    def _tilde(self, text: str, final: bool) -> Step | None:
        """Deal with `~~struck~~`, and with stage directions between tildes."""
        if text[1:2] == "~":
            return Step(2)
        if not final and _TILDES_BEGIN.match(text):
            return self._wait(_CLOSES["~"], LONGEST_SMALL)
        span = _TILDES.match(text)
        if span and is_direction(span[1], "*", self._before):
            return self._narrate(span[1], span.end())
        return self._pass("~")

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
        call = _CALL.match(text)
        if call or (not final and _CALL_BEGINS.match(text) and len(text) < LONGEST_SMALL):
            return self._drop(call.end()) if call else None
        if text[0] == "*":
            if not final and _LOOSE_BEGINS.match(text):
                return None
            loose = _LOOSE.match(text)
            if loose and is_direction(loose[1], "*", ""):
                return self._narrate(loose[1], loose.end())
        self.state = State.WORDS
        if text[0] == "|" and (table := _TABLE_RULE.match(text)):
            self.state = State.LINE_START
            return self._drop(table.end())
        if text[0] == "|" and not final and "\n" not in text and _TABLE_RULE_BEGINS.match(text):
            self.state = State.LINE_START
            return None
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
            return self._pass(mark) if alone else Step(run)
        if joined and (mark == "_" or run == 1 or after.isalnum()):
            return self._pass(mark * run) if after.isalnum() else Step(run)
        end = self._closing(text, mark, run)
        if end is None:
            text = text[:LONGEST_SPAN]
            line = text.find("\n")
            if not final and line < 0 and len(text) < LONGEST_SPAN:
                return self._wait(_CLOSES[mark], LONGEST_SPAN)
            return self._unclosed(text, run, len(text) if line < 0 else line)
        inside = text[run:end]
        if is_direction(inside.strip("*_ "), mark if run == 1 else "**", self._before):
            return self._narrate(inside, end + min(run, LONGEST_RUN))
        return Step(run)

    def _closing(self, text: str, mark: str, run: int) -> int | None:
        """Return where the marks that close a span begin; None when they are not on this line."""
        closing = _SPANS[mark, min(run, LONGEST_RUN)].match(text, run, LONGEST_SPAN)
        return closing.end() - min(run, LONGEST_RUN) if closing else None

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
            return self._narrate(inside, end)
        return Step(run)

    def _bracket(self, text: str, final: bool) -> Step | None:
        opening = text[0]
        if opening == "{" and (text[:2] == "{{" or (len(text) == 1 and not final)):
            return self._placeholder(text, final)
        if opening == "(" and not self._gap and self._before[-1:] in (":", ";", "-"):
            return self._pass("(")
        end = _matching(text, opening, _CLOSING[opening])
        if end is None:
            line = text[:LONGEST_SPAN].split("\n", 1)[0]
            if not final and len(line) == len(text) and len(text) < LONGEST_SPAN and line.count(opening) < DEEPEST:
                return self._wait(_CLOSES[opening], LONGEST_SPAN)
            inside = line[1:]
            if is_note(inside) or (opening == "[" and not self._before.strip() and is_direction(inside, "*", "")):
                return self._drop(1 + len(inside))
            return self._pass(opening)
        inside = text[1:end]
        if opening == "[":
            link = _LINK.match(text, end)
            if link:
                return self._pass(inside, link.end()) if inside.strip() else self._drop(link.end())
            if not final and _LINK_BEGINS.match(text, end):
                return None
        kind = "[" if opening in "[【" else "("
        if opening == "{" and not any(map(str.isalpha, inside[:1])):
            return self._pass(opening)
        if is_note(inside) or is_direction(inside.strip("*_ "), kind, self._before):
            return self._narrate(inside, end + 1)
        return self._pass(opening)

    def _placeholder(self, text: str, final: bool) -> Step | None:
        """Fill in `{{user}}` and `{{char}}`, with which character cards name the player and the NPC."""
        match = _PLACEHOLDER.match(text)
        if match is None:
            waits = not final and len(text) < LONGEST_NAME and "\n" not in text
            return None if waits else self._pass("{")
        name = self._names.get(match[1].casefold(), "")
        return self._pass(name, match.end()) if name else self._drop(match.end())

    def _narrate(self, text: str, size: int) -> Step:
        text = " ".join(text.strip(" *_()").split())
        self._dropped = True
        return Step(size, f"{NARRATION}{text}{NARRATION}" if text and not is_note(text) else "")

    triggers: ClassVar = {State.WORDS: _TRIGGER}
    handlers: ClassVar = {
        State.LINE_START: _line_start,
        State.WORDS: _words,
    }


def _matching(text: str, opening: str, closing: str) -> int | None:
    """Return the place of the bracket that closes the first one; None when it is not on this line."""
    depth = 0
    for match in _CLOSES[opening].finditer(text, 0, LONGEST_SPAN):
        mark = match[0]
        depth += (mark == opening) - (mark == closing)
        if depth == 0:
            return match.start()
        if mark == "\n" or depth >= DEEPEST:
            return None
    return None

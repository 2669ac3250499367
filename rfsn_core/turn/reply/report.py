"""The second stage: the report that a model is asked for after its words.

::

    FINAL_JSON {"action": "greet", "tone": "warm", "claims": ["The ferry is late."]}

The report may be fenced, decorated, misspelt, cut into pieces anywhere, come first, or come without its name.
"""

from __future__ import annotations

import json
import re
from enum import IntEnum, auto
from typing import ClassVar

import msgspec

from rfsn_core.protocol.turn import Report
from rfsn_core.turn.reply.stage import JsonEnd, Stage, Step

MARK = "FINALJSON"
MOST = 20_000
"""Characters of a report that are kept."""
LONGEST_LABEL = 60
_DECORATION = "*_#<[({\"'` \t"
_TRIGGER = re.compile(r"[\n`{*#<\[(\"]|(?<![^\W_])[fF]")
_LABELLED = re.compile(
    r"[ \t>*_#\[(<\"'-]*(?:(?:[^\W\d]|_)[\w \t-]{0,30}[\])>*_\"']*[ \t]*(?:[:：=][*_:=\"']*\s*"
    r"|(?<=json)\s*|(?<=report)\s*)"
    r"[`*_]*(?:json)?\s*)?\{\s*\"",
    re.IGNORECASE,
)
_MARKED = re.compile(r"[ \t>*_#\[(<{\"'`-]*FINAL[ _-]?JSON", re.IGNORECASE)
_NAMED = re.compile(
    r"[ \t>*_#\[(<\"'`-]*(?:[\w \t-]{0,24}json[\w \t-]{0,12}[\])>*_\"'`]*[ \t]*[:：]?"
    r"|[\w \t-]{0,24}\breport[*_\"'`]*[:：][*_]*)\s*$",
    re.IGNORECASE,
)
_LABEL_BEGINS = re.compile(
    r"[ \t>*_#\[(<\"'`-]*(?:[^\W\d]|_)?[\w \t-]{0,30}[\])>*_\"']*[ \t]*[:：=]?[*_:=\"'`]*(?:j|js|jso|json)?\s*\{?\s*$",
    re.IGNORECASE,
)
_NAME_BEGINS = re.compile(r"[^\W\d_][\w \t-]{0,25}$")
_AFTER_NAME = re.compile(r"[^\w \t-]")
_MOST_NAME = 28
_CODE = frozenset("tool_code tool python py xml html yaml javascript js bash sh sql tool_call function".split())
_FENCE = re.compile(r"```[ \t]*(\w*)[ \t]*\n?")
_AFTER = re.compile(r"(?:[\s`*_\])}\"'.,;]|</?[\w-]+>)*")
_DECORATED = re.compile(r"[*_#<\[(\"' \t]*")
_WORDS_KEYS = "reply response dialogue dialog speech say says words line text answer message content utterance".split()
_object = json.JSONDecoder().raw_decode


class State(IntEnum):
    """What the next character belongs to."""

    LINE_START = auto()
    WORDS = auto()
    CODE = auto()
    """Behind a fence that names a language."""
    REPORT = auto()
    """The report's name, and its JSON."""
    BETWEEN = auto()
    """What decorates a report that came first."""
    OVER = auto()
    """All that follows a report that came after the words."""


class Reports(Stage[State]):
    """Takes the report out of a reply and keeps it."""

    def __init__(self) -> None:
        super().__init__(State.LINE_START)
        self.last = " "
        """The last character that was passed on."""
        self.found = False
        """Whether there was something like a report."""
        self._kept: list[str] = []
        self._size = 0
        self._json_end = JsonEnd()
        self._in_json = False
        self._began = False

    @property
    def reporting(self) -> bool:
        """Whether the words are over."""
        return self._began and self.state in (State.REPORT, State.OVER)

    def _line_start(self, text: str, final: bool) -> Step | None:
        """Look for a report that has its own line, under any name."""
        line = text[:LONGEST_LABEL]
        if _LABELLED.match(line) or _MARKED.match(line):
            return self._begin()
        if _NAMED.match(line) and final:
            return Step(len(text))  # the beginning of a report that the model did not finish
        if not final and len(text) < LONGEST_LABEL and text.strip(" \t") and _LABEL_BEGINS.match(line):
            return self._wait(_AFTER_NAME, _MOST_NAME) if _NAME_BEGINS.match(line) else None
        if not text.strip(" \t") and not final:
            return None
        self.state = State.WORDS
        return Step(0)

    def _say(self, text: str) -> str:
        self.last = text[-1]
        self._began = self._began or any(map(str.isalnum, text))
        return text

    def _pass(self, text: str) -> Step:
        return Step(len(text), self._say(text))

    def _words(self, text: str, final: bool) -> Step | None:
        if text[0] == "\n":
            self.state = State.LINE_START
            return self._pass("\n")
        if text[0] == "`" and (step := self._fence(text, final)) is not self._NO_FENCE:
            return step
        if text[0] == "{":
            inside = text[1:].lstrip()
            if not inside and not final:
                return None
            if inside.startswith('"'):
                return self._begin()
        return self._named(text, final)

    def _code(self, text: str, final: bool) -> Step | None:
        """Leave out code, up to the fence that ends it."""
        end = text.find("```")
        if end < 0:
            keep = 0 if final else 2
            return Step(len(text) - keep) if len(text) > keep else None
        self.state = State.LINE_START
        return Step(end + 3)

    _NO_FENCE = Step(-1)

    def _fence(self, text: str, final: bool) -> Step | None:
        """Deal with a fence: around a report it belongs to it, elsewhere it is left out."""
        if not final and text in ("`", "``"):
            return None
        match = _FENCE.match(text)
        if match is None:
            return self._NO_FENCE
        rest = text[match.end() :].lstrip()
        if not rest and not final:
            return None if len(text) < LONGEST_LABEL else Step(match.end(), "\n")
        if rest[:1] == "{":
            return self._begin()
        self.state = State.CODE if match[1].lower() in _CODE else State.LINE_START
        return Step(match.end(), "\n")

    def _named(self, text: str, final: bool) -> Step | None:
        """Look for the report's name in the middle of a line."""
        if not (self.last.isspace() or self.last in _DECORATION):
            return self._pass(text[0])
        core = text.lstrip(_DECORATION)
        letters = re.sub(r"[ _-]", "", core[:16]).upper() if core[:1] in ("F", "f") else ""
        if letters.startswith(MARK):
            return self._begin()
        if core and not (letters and MARK.startswith(letters)):
            run = _DECORATED.match(text)
            return self._pass(text[: max(1, run.end()) if run else 1])
        if not final:
            return None if len(text) < LONGEST_LABEL else self._pass(text[0] if core else text[: 1 - LONGEST_LABEL])
        return Step(len(text)) if _is_beginning(core) else self._pass(text)

    # ── the report ───────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> Step:
        self.state, self.found = State.REPORT, True
        self._json_end, self._in_json = JsonEnd(), False
        return Step(0)

    def _report(self, text: str, final: bool) -> Step | None:
        size = 0
        if not self._in_json:
            size = text.find("{")
            if size < 0:
                self._keep(text)
                return Step(len(text))
            self._in_json = True
        end = self._json_end.feed(text[size:])
        if end is None:
            self._keep(text)
            return Step(len(text))
        self._keep(text[: size + end])
        self.state = State.OVER if self._began else State.BETWEEN
        return Step(size + end)

    def _between(self, text: str, final: bool) -> Step | None:
        match = _AFTER.match(text)
        size = match.end() if match else 0
        if size:
            return Step(size)
        if text[0] == "<" and ">" not in text[:LONGEST_LABEL] and len(text) < LONGEST_LABEL and not final:
            return None
        self.state = State.LINE_START
        return Step(0)

    def _over(self, text: str, final: bool) -> Step | None:
        self._keep(text)
        return Step(len(text))

    def _keep(self, text: str) -> None:
        if self._size < MOST:
            self._kept.append(text)
            self._size += len(text)

    def report(self) -> Report | None:
        """Return the report when it is there and has the right shape."""
        kept = "".join(self._kept)
        place = kept.find("{")
        for _ in range(3):
            if place < 0:
                return None
            try:
                value, end = _object(kept, place)
            except (ValueError, RecursionError):
                return None
            try:
                return msgspec.convert(value, Report)
            except ValueError:
                place = kept.find("{", end)
        return None

    def words(self) -> str:
        """Return the words of a reply that is one JSON object: `{"reply": "Well met."}`; empty when it has none."""
        kept = "".join(self._kept)
        try:
            value, _ = _object(kept, kept.index("{"))
        except (ValueError, RecursionError):
            return ""
        texts = [value[name] for name in _WORDS_KEYS if isinstance(value.get(name), str)]
        return str(texts[0]) if texts else ""

    def outcome(self, *actions: str) -> str:
        """Return `ok`, `missing`, `invalid`, or `mismatch` when the report names none of these actions."""
        if not self.found:
            return "missing"
        report = self.report()
        if report is None:
            return "missing" if "{" not in "".join(self._kept) else "invalid"
        return "ok" if report.action.strip().casefold().replace(" ", "_") in actions else "mismatch"

    triggers: ClassVar = {State.WORDS: _TRIGGER}
    handlers: ClassVar = {
        State.LINE_START: _line_start,
        State.WORDS: _words,
        State.CODE: _code,
        State.REPORT: _report,
        State.BETWEEN: _between,
        State.OVER: _over,
    }


def _is_beginning(core: str) -> bool:
    """Return whether the end of a reply is the beginning of a report's name that the model did not finish."""
    letters = re.sub(r"[ _-]", "", core).upper()
    return bool(letters) and (core.isupper() or len(letters) > 5 or "_" in core)

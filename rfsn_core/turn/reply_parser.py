"""Separates what a model's reply says from what is not to be spoken, while it streams.

Not spoken: reasoning between `<think>` and `</think>`, a model's own marks such as `<|im_end|>`, a name in front of
the words, what somebody else says after that, and the report at the end::

    FINAL_JSON {"action": "greet", "tone": "warm", "claims": ["The ferry is late."]}

The report may be fenced, decorated, cut into pieces anywhere, or come without its name; it is taken off the stream
before anything of it can be seen, checked for its shape, and compared with the decision.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from enum import Enum, auto
from functools import lru_cache

import msgspec

from rfsn_core.protocol.server import Report

MARK = "FINAL_JSON"
MOST = 20_000
"""Characters of a report that are kept."""
_TRIGGER = re.compile(r"[\n`{<F\[*#\"(]")
_DECORATION = "*_#<[({\"'` \t"
_ENGINE_MARKS = ("</s>", "<s>", "<eos>", "<bos>", "<end_of_turn>", "<start_of_turn>", "</think>")
_LONGEST_MARK = 40
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\ufffd]")
_ROLES = ("assistant", "npc", "character", "ai", "me")
_OTHERS = ("user", "player", "human", "system")
_object = json.JSONDecoder().raw_decode


@lru_cache(maxsize=64)
def _beginnings(names: tuple[str, ...]) -> frozenset[str]:
    """Return all that a name could begin with."""
    return frozenset(name.casefold()[:size] for name in names for size in range(1, len(name) + 1))


class State(Enum):
    """What the next character of a reply belongs to."""

    LINE_START = auto()
    """A name may come in front of the words."""
    AFTER_NAME = auto()
    """What decorates the name is no words either."""
    WORDS = auto()
    THINKING = auto()
    """Reasoning, up to `</think>`."""
    HEADER = auto()
    """The rest of the line after `<|im_start|>`: who speaks."""
    REPORT = auto()
    """The words are over."""
    ENDED = auto()
    """Somebody else begins to speak: the rest is not wanted."""


class Reply:
    """One reply. Feed it what the model emits; it returns what can be spoken.

    :param own: names under which the NPC itself may speak.
    :param others: names of everybody else.
    """

    def __init__(self, own: Iterable[str] = (), others: tuple[str, ...] = (), player: str = "") -> None:
        self._own = {name.casefold() for name in own} | set(_ROLES)
        self._others, self._also = others, (*own, *_ROLES, *_OTHERS, player)
        self._state = State.LINE_START
        self._held = ""  # may still turn out not to be words
        self._tail: list[str] = []
        self._tail_size = 0
        self._last = " "
        self._began = False

    @property
    def ended(self) -> bool:
        """Whether somebody else began to speak: the rest is not wanted."""
        return self._state is State.ENDED

    @property
    def reporting(self) -> bool:
        """Whether the words are over: what comes now is the report."""
        return self._state is State.REPORT

    def feed(self, text: str) -> str:
        """Take the next piece of the reply; return what can be spoken now."""
        if self._state is State.WORDS and not self._held and text.isprintable() and _TRIGGER.search(text) is None:
            if text:  # nearly every token comes this way
                self._last = text[-1]
            return text.replace("\ufffd", "") if "\ufffd" in text else text
        if not text.isprintable() or "\ufffd" in text:
            text = _CONTROL.sub("", text)
        buffer, self._held = self._held + text, ""
        said: list[str] = []
        while buffer and self._state is not State.ENDED:
            buffer = self._step(buffer, said)
        return "".join(said)

    def close(self) -> str:
        """End the reply; return what was held back and was words after all."""
        held, self._held = self._held, ""
        if self._state in (State.THINKING, State.HEADER, State.ENDED, State.REPORT):
            return ""
        core = held.lstrip(_DECORATION + "\n")
        cut_short = MARK.startswith(_normal(core)) and (len(core) >= 5 or core.isupper())
        # Decoration alone, or the beginning of a mark that the model did not finish.
        return "" if not core or cut_short or held[0] in "<`{" else held

    def _step(self, buffer: str, said: list[str]) -> str:
        """Deal with the beginning of the buffer; return the rest of it. What cannot be judged yet stays there."""
        match self._state:
            case State.REPORT:
                return self._keep(buffer)
            case State.THINKING:
                return self._reason(buffer)
            case State.HEADER:
                return self._role(buffer)
            case State.AFTER_NAME:
                bare = buffer.lstrip(" \t*_")
                if bare:
                    self._state = State.WORDS
                return bare
            case State.LINE_START:
                size = self._label(buffer)
                if size is None:
                    return self._hold(buffer)
                if size:
                    return buffer[size:]
        return self._words(buffer, said)

    def _hold(self, buffer: str) -> str:
        self._held = buffer
        return ""

    def _words(self, buffer: str, said: list[str]) -> str:
        match = _TRIGGER.search(buffer)
        if match is None:
            self._say(buffer, said)
            return ""
        if place := match.start():
            self._say(buffer[:place], said)
            buffer = buffer[place:]
        size = self._special(buffer)
        if size is None:
            return self._hold(buffer)
        if size == 0:
            self._say(buffer[0], said)
            return buffer[1:]
        return buffer[size:]

    def _say(self, text: str, said: list[str]) -> None:
        said.append(text)
        self._last = text[-1]
        self._state = State.LINE_START if self._last == "\n" else State.WORDS
        self._began = self._began or not text.isspace()

    def _special(self, text: str) -> int | None:
        """Return how much of the beginning is not words: 0 for nothing, None when more text must come first."""
        first = text[0]
        if first == "\n":
            return 0
        if first == "<":
            if (size := self._engine_mark(text)) != 0:
                return size
        elif first == "`":
            if text in ("`", "``"):
                return None
            return self._report(text) if text.startswith("```") else 0
        elif first == "{":
            inside = text[1:].lstrip()
            if not inside:
                return None
            if inside[0] == '"':
                return self._report(text)
        if not (self._last.isspace() or self._last in _DECORATION):
            return 0
        core = text.lstrip(_DECORATION)
        start = _normal(core)
        if start == MARK:
            return self._report(text)
        return None if MARK.startswith(start) and len(text) < _LONGEST_MARK else 0

    def _engine_mark(self, text: str) -> int | None:
        for mark in ("<think>", *_ENGINE_MARKS):
            if text.startswith(mark):
                if mark == "<think>":
                    self._state = State.THINKING
                return len(mark)
            if mark.startswith(text):
                return None
        if not text.startswith("<|"):
            return 0
        end = text.find("|>", 2, _LONGEST_MARK)
        if end < 0:
            return None if len(text) < _LONGEST_MARK else 0
        if "start" in text[:end]:
            self._state = State.HEADER
        return end + 2

    def _reason(self, text: str) -> str:
        """Skip reasoning; return what follows it."""
        end = text.find("</think>")
        if end < 0:
            return self._hold(text[-7:])
        self._state = State.LINE_START
        return text[end + 8 :].lstrip()

    def _role(self, text: str) -> str:
        """Read who speaks; return what follows the header's line."""
        end = next((place for place, character in enumerate(text) if character in "\n<"), len(text))
        if end == len(text):
            if end < _LONGEST_MARK:
                return self._hold(text)
            self._state = State.WORDS  # not a header after all
            return text
        somebody_else = self._began and text[:end].strip().casefold() in _OTHERS
        self._state = State.ENDED if somebody_else else State.LINE_START
        return text[end:].lstrip("\n")

    def _label(self, text: str) -> int | None:
        """Return the length of a name in front of a line: 0 for none, None when more text must come first."""
        bare = text.lstrip(" \t*_")
        if not bare:
            return None
        before, colon, _ = bare[:80].partition(":")
        name = before.strip(" \t*_").casefold()
        if not colon:
            possible = name in _beginnings(self._others) or any(also.casefold().startswith(name) for also in self._also)
            if name and possible and "\n" not in bare:
                return None
        elif name in self._own or any(name == other.casefold() for other in (*self._others, *self._also)):
            somebody_else = name not in self._own and self._began
            self._state = State.ENDED if somebody_else else State.AFTER_NAME
            return len(text) - len(bare) + len(before) + 1
        self._state = State.WORDS
        return 0

    def _report(self, text: str) -> int:
        self._state = State.REPORT
        self._keep(text)
        return len(text)

    def _keep(self, text: str) -> str:
        if self._tail_size < MOST:
            self._tail.append(text)
            self._tail_size += len(text)
        return ""

    # ── the report ───────────────────────────────────────────────────────────────────────────────

    def report(self) -> Report | None:
        """Return the report when it is there and has the right shape."""
        tail = "".join(self._tail)
        place = tail.find("{")
        if place < 0:
            return None
        try:
            return msgspec.convert(_object(tail, place)[0], Report)
        except (ValueError, RecursionError):
            return None

    def outcome(self, *actions: str) -> str:
        """Return `ok`, `missing`, `invalid`, or `mismatch` when the report names none of these actions."""
        if self._state is not State.REPORT:
            return "missing"
        report = self.report()
        if report is None:
            return "missing" if "{" not in "".join(self._tail) else "invalid"
        return "ok" if report.action.strip().casefold().replace(" ", "_") in actions else "mismatch"


def _normal(text: str) -> str:
    return text[: len(MARK)].upper().replace(" ", "_").replace("-", "_")

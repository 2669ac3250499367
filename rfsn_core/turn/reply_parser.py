"""What a model's output holds, as it streams: the words to be spoken, and what is for nobody's ears.

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
    """All that a name could begin with."""
    return frozenset(name.casefold()[:size] for name in names for size in range(1, len(name) + 1))


class Reply:
    """One reply. Feed it what the model emits; it returns what can be spoken.

    :param own: names under which the NPC itself may speak.
    :param others: names of everybody else.
    """

    def __init__(self, own: Iterable[str] = (), others: tuple[str, ...] = (), player: str = "") -> None:
        self._own = {name.casefold() for name in own} | set(_ROLES)
        self._others, self._also = others, (*own, *_ROLES, *_OTHERS, player)
        self._held = ""  # may yet turn out to be something else than words
        self._tail: list[str] | None = None
        self._tail_size = 0
        self._thinking = False
        self._header = False  # after <|im_start|>: who speaks, to the end of the line
        self._labelled = False  # after a name: what decorates it is no words either
        self._line_start = True
        self._last = " "
        self._began = False
        self.ended = False
        """Somebody else began to speak: the rest is not wanted."""

    @property
    def reporting(self) -> bool:
        """The words are over; what comes now is the report."""
        return self._tail is not None

    def feed(self, text: str) -> str:
        """What of it can be spoken now."""
        if not (self._held or self._line_start or self._header or self._labelled or self._thinking or self.ended) and (
            self._tail is None
        ):
            if text.isprintable() and _TRIGGER.search(text) is None:  # nearly every token
                if text:
                    self._last = text[-1]
                return text.replace("\ufffd", "") if "\ufffd" in text else text
        if not text.isprintable() or "\ufffd" in text:
            text = _CONTROL.sub("", text)
        buffer, self._held = self._held + text, ""
        said: list[str] = []
        while buffer and not self.ended:
            if self._tail is not None:
                if self._tail_size < MOST:
                    self._tail.append(buffer)
                    self._tail_size += len(buffer)
                break
            buffer = self._step(buffer, said)
        return "".join(said)

    def close(self) -> str:
        """What was held back and was words after all."""
        held, self._held = self._held, ""
        if self._thinking or self._header or self.ended or self._tail is not None:
            return ""
        core = held.lstrip(_DECORATION + "\n")
        cut_short = MARK.startswith(_normal(core)) and (len(core) >= 5 or core.isupper())
        # Decoration alone, or the beginning of a mark that the model did not finish.
        return "" if not core or cut_short or held[0] in "<`{" else held

    def _step(self, buffer: str, said: list[str]) -> str:
        """Deal with the beginning of the buffer; returns what is left of it, or holds it."""
        if self._thinking:
            end = buffer.find("</think>")
            if end < 0:
                self._held = buffer[-7:]
                return ""
            self._thinking, self._line_start = False, True
            return buffer[end + 8 :].lstrip()
        if self._header:
            return self._role(buffer)
        if self._labelled:
            bare = buffer.lstrip(" \t*_")
            self._labelled = not bare
            return bare
        if self._line_start:
            size = self._label(buffer)
            if size is None:
                self._held = buffer
                return ""
            if size:
                return buffer[size:]
        match = _TRIGGER.search(buffer)
        if match is None:
            self._say(buffer, said)
            return ""
        if place := match.start():
            self._say(buffer[:place], said)
            buffer = buffer[place:]
        size = self._special(buffer)
        if size is None:
            self._held = buffer
            return ""
        if size == 0:
            self._say(buffer[0], said)
            return buffer[1:]
        return buffer[size:]

    def _say(self, text: str, said: list[str]) -> None:
        said.append(text)
        self._last = text[-1]
        self._line_start = self._last == "\n"
        self._began = self._began or not text.isspace()

    def _special(self, text: str) -> int | None:
        """How much of the beginning is no words: 0 for none, None when that cannot be told yet."""
        first = text[0]
        if first == "\n":
            return 0
        if first == "<":
            if (size := self._engine_mark(text)) != 0:
                return size
        elif first == "`":
            if text in ("`", "``"):
                return None
            if text.startswith("```"):
                return self._report(text)
            return 0
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
                self._thinking = mark == "<think>"
                return len(mark)
            if mark.startswith(text):
                return None
        if text.startswith("<|"):
            end = text.find("|>", 2, _LONGEST_MARK)
            self._header = "start" in text[:end] if end > 0 else False
            return end + 2 if end > 0 else None if len(text) < _LONGEST_MARK else 0
        return 0

    def _role(self, text: str) -> str:
        """What is left after a header's line."""
        end = next((place for place, character in enumerate(text) if character in "\n<"), len(text))
        if end == len(text) and end < _LONGEST_MARK:
            self._held = text
            return ""
        self._header = False
        if end == len(text):  # no header after all
            return text
        self.ended = self._began and text[:end].strip().casefold() in _OTHERS
        self._line_start = True
        return text[end:].lstrip("\n")

    def _report(self, text: str) -> int:
        self._tail = [text]
        self._tail_size = len(text)
        return len(text)

    def _label(self, text: str) -> int | None:
        """The length of a name in front of a line: 0 for none, None when that cannot be told yet."""
        bare = text.lstrip(" \t*_")
        if not bare:
            return None
        before, colon, _ = bare[:80].partition(":")
        name = before.strip(" \t*_").casefold()
        if not colon:
            possible = name in _beginnings(self._others) or any(each.casefold().startswith(name) for each in self._also)
            if name and possible and "\n" not in bare:
                return None
            self._line_start = False
            return 0
        self._line_start = False
        known = name in self._own or any(name == each.casefold() for each in (*self._others, *self._also))
        if not known:
            return 0
        if name not in self._own and self._began:
            self.ended = True
        self._labelled = True
        return len(text) - len(bare) + len(before) + 1

    # ── the report ───────────────────────────────────────────────────────────────────────────────

    def report(self) -> Report | None:
        """The report, when it is there and has the right shape."""
        tail = "".join(self._tail or ())
        place = tail.find("{")
        if place < 0:
            return None
        try:
            return msgspec.convert(_object(tail, place)[0], Report)
        except (ValueError, RecursionError):
            return None

    def outcome(self, *actions: str) -> str:
        """`ok`, `missing`, `invalid`, or `mismatch` when the report names none of these actions."""
        if self._tail is None:
            return "missing"
        report = self.report()
        if report is None:
            return "missing" if "{" not in "".join(self._tail) else "invalid"
        return "ok" if report.action.strip().casefold().replace(" ", "_") in actions else "mismatch"


def _normal(text: str) -> str:
    return text[: len(MARK)].upper().replace(" ", "_").replace("-", "_")

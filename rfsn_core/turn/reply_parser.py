"""Takes a model's reply apart while it streams: what is said, what is done, and the report on it.

A reply goes through five stages, each a state machine in a module of `rfsn_core.turn.reply`:

1. `marks`: thoughts, calls of tools, marks of templates and of our own prompt
2. `report`: the FINAL_JSON that the prompt asks for
3. `labels`: names in front of lines, and what somebody else says
4. `prose`: what the NPC does, told in the third person next to what it says in quotation marks
5. `markup`: stage directions and Markdown

What comes out are the NPC's words. They are the same however the stream is cut into tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from rfsn_core.protocol.turn import Report
from rfsn_core.turn.reply import labels
from rfsn_core.turn.reply.labels import STOPS, Labels
from rfsn_core.turn.reply.marks import LEAK, Marks
from rfsn_core.turn.reply.markup import Markup
from rfsn_core.turn.reply.prose import Prose
from rfsn_core.turn.reply.report import Reports
from rfsn_core.turn.reply.stage import NARRATION, Stage

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffd\u200b\u2060\ufeff]")
_SPECIAL = re.compile(f'{_CONTROL.pattern[:-1]}\n\t\xa0`{{<\\[*#("”»_~◁（【fF.!?…。！？|]')
_REPORT = re.compile(r"(?<![^\W_])[fF][ _-]*(?:$|[iI][ _-]*(?:$|[nN][ _-]*(?:$|[aA])))")
PIECE = 500
"""Characters that are taken at once: a method of a stage sees all that waits, so its time grows with it."""


_PARTS = re.compile(f"({LEAK}|{NARRATION}[^{NARRATION}]*{NARRATION})")


class Narration(NamedTuple):
    """What the NPC does, as the model tells it."""

    text: str


class Retraction(NamedTuple):
    """All that was said so far were the model's thoughts."""


Part = str | Narration | Retraction
"""What a reply is made of; a string is the NPC's words."""


class Reply:
    """One reply. Feed it what the model emits; it returns what the NPC says and does.

    :param own: names under which the NPC itself may speak.
    :param others: names of everybody else in the world.
    :param player: names of the player.
    """

    def __init__(self, own: Sequence[str] = (), others: Iterable[str] = (), player: Sequence[str] = ()) -> None:
        self._marks, self._reports = Marks(), Reports()
        self._markup = Markup(next(iter(own), ""), next(filter(None, reversed(player)), ""))
        self._labels = Labels(own, others, player)
        self._prose = Prose(self._labels.names.own)
        self._began = False
        self._fresh = False  # nothing was said since a leak
        self._plain = False  # whether the stages would only pass on a word
        self._passed: list[str] = []  # words that the stages did not see
        self._stopped = self._stopping = False  # whether the last of them, or this one, ends a sentence
        self._space = ""  # behind them
        self._stages = (self._marks, self._reports, self._labels, self._prose, self._markup)

    @property
    def ended(self) -> bool:
        """Whether somebody else began to speak, or the model's message is over: the rest is not wanted."""
        return self._labels.state is labels.State.ENDED or self._marks.ended

    @property
    def reporting(self) -> bool:
        """Whether the words are over: what comes now is the report."""
        return self._reports.reporting

    @property
    def thinking(self) -> bool:
        """Whether the model thinks, or thought until its reply ended."""
        return self._marks.thinking

    def feed(self, text: str) -> list[Part]:
        """Take the next piece of the reply; return what has become certain, in order."""
        if self._space:  # a stage direction may follow, and take it along
            text, self._space = self._space + text, ""
        if self._plain and text:  # nearly always
            special = _SPECIAL.search(text)
            if (special is None or self._is_plain(text, special)) and not (self._stopped and self._may_be_label(text)):
                return self._pass(text)
        if len(text) <= PIECE:
            return self._parts(self._read(text))
        return self._parts("".join([self._read(text[place : place + PIECE]) for place in range(0, len(text), PIECE)]))

    def _pass(self, text: str) -> list[Part]:
        """Return words that the stages need not see."""
        if text[-1] == " ":
            words = text.rstrip(" ")
            self._space = text[len(words) :]
            if not words:
                return []
            text = words
        self._passed.append(text)
        self._stopped, self._stopping = self._stopping, False
        return [text]

    def _is_plain(self, text: str, special: re.Match[str] | None) -> bool:
        """Return whether text has no mark, nor anything that begins a report.

        :param special: the first character that may be one.
        """
        while special is not None:
            mark = special[0]
            if mark in STOPS:
                if special.end() < len(text):
                    return False
                self._stopping = True
            elif mark not in "fF" or _REPORT.match(text, special.start()):
                return False
            special = _SPECIAL.search(text, special.end())
        return True

    def _may_be_label(self, text: str) -> bool:
        """Return whether a name may begin behind a sentence."""
        first = text.lstrip()[:1]
        return not first or next(self._labels.names.beginning_with(first.casefold()), None) is not None

    def _read(self, text: str) -> str:
        """Send text through the stages."""
        self._plain = self._stopping = False
        if self._passed:
            passed = "".join(self._passed)
            self._passed.clear()
            if self._stopped:
                self._labels.stop()
            self._reports.last = self._prose.last = passed[-1]
            self._markup.passed(passed)
        if not text.isprintable() or "\ufffd" in text:
            text = _CONTROL.sub("", text)
        for stage in self._stages:
            if not text:
                return ""
            text = stage.feed(text)
        self._began = self._began or any(map(str.isalnum, text))
        self._plain = self._began and self._markup.plain and all(stage.plain for stage in self._stages)
        return text

    def _parts(self, text: str) -> list[Part]:
        """Return words, stage directions and retractions in order; nothing before a retraction."""
        if not self._fresh and LEAK not in text and NARRATION not in text:
            return [text] if text else []
        parts: list[Part] = []
        for part in _PARTS.split(text):
            if part == LEAK:
                self._fresh = True
                parts = [Retraction()]
            elif part.startswith(NARRATION):
                parts.append(Narration(part.strip(NARRATION)))
            else:
                words = part.lstrip() if self._fresh else part
                self._fresh = self._fresh and not words
                parts += [words] if words else []
        return parts

    def close(self) -> list[Part]:
        """End the reply; return what was held back."""
        text = self._read(self._space) + self._closed("", self._stages)
        if not self._began and not any(map(str.isalnum, text)) and (words := self._reports.words()):
            text += self._closed(words, (Labels(self._labels.names.own, (), ()), Markup()))  # the whole reply was JSON
        return self._parts(text)

    @staticmethod
    def _closed(text: str, stages: Iterable[Stage[Any]]) -> str:
        """Send the last text through stages, and end them."""
        for stage in stages:
            text = (stage.feed(text) if text else "") + stage.close()
        return text

    def report(self) -> Report | None:
        """Return the report when it is there and has the right shape."""
        return self._reports.report()

    def outcome(self, *actions: str) -> str:
        """Return `ok`, `missing`, `invalid`, or `mismatch` when the report names none of these actions."""
        return self._reports.outcome(*actions)

"""Takes a model's reply apart while it streams: what is said, what is done, and the report on it.

A reply goes through four stages, each a state machine in a module of `rfsn_core.turn.reply`:

1. `marks`: thoughts, calls of tools, marks of templates and of our own prompt
2. `report`: the FINAL_JSON that the prompt asks for
3. `labels`: names in front of lines, and what somebody else says
4. `markup`: stage directions and Markdown

What comes out are the NPC's words. They are the same however the stream is cut into tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rfsn_core.protocol.server import Report
from rfsn_core.turn.reply import labels, marks, report
from rfsn_core.turn.reply.labels import Labels
from rfsn_core.turn.reply.marks import LEAK, Marks
from rfsn_core.turn.reply.markup import Markup
from rfsn_core.turn.reply.report import Reports

_TRIGGER = re.compile(r"[`{<\[*#(\"_~◁（【]|(?<![^\W_])[fF]|\s$")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\ufffd\u200b\u2060\ufeff]")


class Reply:
    """One reply. Feed it what the model emits; it returns what the NPC says.

    :param own: names under which the NPC itself may speak.
    :param others: names of everybody else in the world.
    :param player: names of the player.
    """

    def __init__(self, own: Iterable[str] = (), others: Iterable[str] = (), player: Iterable[str] = ()) -> None:
        self._marks, self._reports, self._markup = Marks(), Reports(), Markup()
        self._labels = Labels(own, others, player)
        self._began = self._leaked = False
        self._fresh = False  # nothing was said since a leak
        self._stages = (self._marks, self._reports, self._labels, self._markup)

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

    def leaked(self) -> bool:
        """Return whether a mark told that all words before the last piece were thoughts; a second call: False."""
        leaked, self._leaked = self._leaked, False
        return leaked

    def narration(self) -> list[str]:
        """Return the stage directions since the last call."""
        narration, self._markup.narration = self._markup.narration, []
        return narration

    def feed(self, text: str) -> str:
        """Take the next piece of the reply; return what can be said now."""
        if self._is_plain() and text.isprintable() and _TRIGGER.search(text) is None and "\ufffd" not in text:
            if text:  # nearly every token comes this way
                self._reports.last = text[-1]
                self._markup.passed(text)
            return text
        text = _CONTROL.sub("", text)
        for stage in self._stages:
            if not text:
                break
            text = stage.feed(text)
        self._began = self._began or any(map(str.isalnum, text))
        return self._after_leak(text)

    def _after_leak(self, text: str) -> str:
        _, leak, after = text.rpartition(LEAK)
        if leak:
            self._leaked = self._fresh = True
            self._markup.narration.clear()
            text = after
        if self._fresh:
            text = text.lstrip()
            self._fresh = not text
        return text

    def _is_plain(self) -> bool:
        return (
            self._began
            and self._markup.plain
            and self._labels.state is labels.State.WORDS
            and self._reports.state is report.State.WORDS
            and self._marks.state is marks.State.WORDS
            and not (self._labels.held or self._reports.held or self._marks.held)
        )

    def close(self) -> str:
        """End the reply; return what was held back and was words after all."""
        text = ""
        for stage in self._stages:
            text = (stage.feed(text) if text else "") + stage.close()
        return self._after_leak(text)

    def report(self) -> Report | None:
        """Return the report when it is there and has the right shape."""
        return self._reports.report()

    def outcome(self, *actions: str) -> str:
        """Return `ok`, `missing`, `invalid`, or `mismatch` when the report names none of these actions."""
        return self._reports.outcome(*actions)

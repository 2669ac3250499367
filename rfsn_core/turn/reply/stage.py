"""A stage of the reply parser: text goes in as it comes, and what the next stage is to see comes out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

NARRATION = "\x01"
"""Stands before and after what is done, between the stages. No reply has it otherwise."""
LONGEST_SPAN = 600
"""Characters that a stage direction has at most."""

S = TypeVar("S", bound=IntEnum)


class Step(NamedTuple):
    """What is done with the beginning of the text that waits."""

    size: int
    """Characters that are dealt with."""
    text: str = ""
    """What the next stage gets for them."""


class Stage(Generic[S]):
    """A state machine over characters.

    A subclass names a method for each of its states. It gets the text that waits, and whether that is the end of the
    reply. It returns a `Step`, or None while more text must come first; at the end it never returns None. What it
    returns must not depend on text that comes later than what it needs: then the result is the same however the reply
    is cut into tokens. A method that waits should say for what, with `_wait`: then what waits is read once, and not
    again with each token.
    """

    handlers: ClassVar[Mapping[Any, Callable[[Any, str, bool], Step | None]]]
    """State → method. In the class, since bound methods would make a cycle that only the garbage collector frees."""
    triggers: ClassVar[Mapping[Any, re.Pattern[str]]]
    """State → where its method is needed; all before that place is words."""

    def __init__(self, state: S) -> None:
        self.state = state
        self.held = ""
        """What cannot be judged yet."""
        self._until: re.Pattern[str] | None = None
        self._most = 0

    @property
    def plain(self) -> bool:
        """Whether words without a mark would only be passed on."""
        return not self.held and self.state in self.triggers

    def feed(self, text: str) -> str:
        """Take more text; return what is certain."""
        if self.held:
            text = self.held + text
            until = self._until
            if until is not None and len(text) < self._most and until.search(text, len(self.held)) is None:
                self.held = text
                return ""
        elif (trigger := self.triggers.get(self.state)) is not None and trigger.search(text) is None:
            return self._say(text)
        return self._run(text, final=False)

    def close(self) -> str:
        """End the text; return the rest of what the next stage is to see."""
        return self._run(self.held, final=True)

    def _wait(self, until: re.Pattern[str], most: int) -> Step | None:
        """Wait for one of these characters, or until this many characters wait. A method returns its result."""
        self._until, self._most = until, most
        return None

    def _say(self, text: str) -> str:
        """Take note of words; return what the next stage gets for them."""
        raise NotImplementedError

    def _run(self, text: str, *, final: bool) -> str:
        place, size = 0, len(text)
        passed: list[str] = []
        triggers, handlers = self.triggers, self.handlers
        self._until = None
        while place < size:
            trigger = triggers.get(self.state)
            if trigger is not None:
                match = trigger.search(text, place)
                start = match.start() if match else size
                if start > place:
                    passed.append(self._say(text[place:start]))
                    place = start
                    continue
            step = handlers[self.state](self, text[place:] if place else text, final)
            if step is None:
                break
            place += step.size
            if step.text:
                passed.append(step.text)
        self.held = text[place:]
        return "".join(passed)


_JSON = re.compile(r'["\\{}\[\]]')
_IN_STRING = re.compile(r'["\\]')


class JsonEnd:
    """Finds the end of a JSON object or array that comes in pieces."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = self._escaped = False

    def feed(self, text: str) -> int | None:
        """Return where the value ends in this piece; None when it does not end here."""
        place = 1 if self._escaped else 0
        self._escaped = False
        while match := (_IN_STRING if self._in_string else _JSON).search(text, place):
            place = match.end()
            mark = match[0]
            if mark == '"':
                self._in_string = not self._in_string
            elif mark == "\\":
                place += self._in_string
                self._escaped = place > len(text)
            elif mark in "{[":
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth <= 0:
                    return place
        return None

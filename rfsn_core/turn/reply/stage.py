"""A stage of the reply parser: text goes in as it comes, and what the next stage is to see comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

S = TypeVar("S", bound=Enum)


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
    is cut into tokens.
    """

    handlers: ClassVar[Mapping[Any, Callable[[Any, str, bool], Step | None]]]
    """State → method. In the class, since bound methods would make a cycle that only the garbage collector frees."""

    def __init__(self, state: S) -> None:
        self.state = state
        self.held = ""
        """What cannot be judged yet."""

    def feed(self, text: str) -> str:
        """Take more text; return what is certain."""
        return self._run(self.held + text, final=False)

    def close(self) -> str:
        """End the text; return the rest of what the next stage is to see."""
        return self._run(self.held, final=True)

    def _run(self, text: str, *, final: bool) -> str:
        place, passed = 0, []
        while place < len(text):
            step = self.handlers[self.state](self, text[place:] if place else text, final)
            if step is None:
                break
            place += step.size
            if step.text:
                passed.append(step.text)
        self.held = text[place:]
        return "".join(passed)


class JsonEnd:
    """Finds the end of a JSON object or array that comes in pieces."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = self._escaped = False

    def feed(self, text: str) -> int | None:
        """Return where the value ends in this piece; None when it does not end here."""
        for place, character in enumerate(text):
            if self._in_string:
                if self._escaped:
                    self._escaped = False
                elif character == "\\":
                    self._escaped = True
                elif character == '"':
                    self._in_string = False
            elif character == '"':
                self._in_string = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth <= 0:
                    return place + 1
        return None

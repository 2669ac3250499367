"""The built-in lines: what every NPC can say without an author's work, by what it answers and by voice.

They are in `words/*.toml`. A table's name is what is answered, such as `acknowledge.thanks`; its keys are voices, and
each line of a value is one thing to say. `any` fits every voice.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from random import Random
from string import Formatter
from typing import Any

VOICES = ("warm", "terse", "formal", "sly", "timid", "cold")
"""The ways of speaking that have lines of their own."""
FILES = ("talk", "answers", "moments", "remarks", "occasions")
OWN = 3
"""How much likelier a line of the NPC's own voice is than one that fits every voice."""


@dataclass(frozen=True)
class Line:
    """Something to say, with {names} to fill in."""

    text: str
    names: tuple[str, ...]
    """What it must be filled in with; it cannot be said when one is unknown."""
    mark: str
    """The part by which it is recognised once said: the longest without a name."""

    @classmethod
    def of(cls, text: str) -> Line:
        """Read a line."""
        parts = list(Formatter().parse(text))
        names = tuple(name for _, name, _, _ in parts if name)
        longest = max((literal.strip() for literal, *_ in parts), key=len, default="")
        return cls(text, names, longest if len(longest) > 5 or not names else "")

    def filled(self, values: Mapping[str, str]) -> str:
        """Return the line filled in; empty when a value is missing."""
        if not self.names:
            return self.text
        if not all(values.get(name) for name in self.names):
            return ""
        return self.text.format_map(values)


Pool = Mapping[str, Sequence[Line]]
"""Voice → lines."""


@cache
def pools() -> Mapping[str, Pool]:
    """Return what is answered → its pool, read once."""
    found: dict[str, Pool] = {}
    folder = resources.files(__package__).joinpath("words")
    for name in FILES:
        found.update(_tables("", tomllib.loads(folder.joinpath(f"{name}.toml").read_text("utf-8"))))
    return found


def _tables(path: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Pool]]:
    voices = {
        voice: tuple(Line.of(text) for text in lines.splitlines() if text.strip())
        for voice, lines in table.items()
        if isinstance(lines, str)
    }
    if voices:
        yield path, voices
    for key, inner in table.items():
        if isinstance(inner, Mapping):
            yield from _tables(f"{path}.{key}" if path else key, inner)


def pick(keys: Sequence[str], voice: str, values: Mapping[str, str], past: str, random: Random) -> str:
    """Return one of the lines of these pools that can be filled in; empty when there is none.

    Lines of the NPC's voice are likelier than those for any voice. One that is not in the past is taken if there is
    one, else the one that was said longest ago.

    :param past: what the NPC said last, oldest first.
    """
    lines: list[tuple[Line, str]] = []
    for key in keys:
        pool = pools().get(key, {})
        own = pool.get(voice) or (pool.get("terse") if voice == "cold" else None) or ()
        for line in own:
            if text := line.filled(values):
                lines += [(line, text)] * OWN
        lines += [(line, text) for line in pool.get("any", ()) if (text := line.filled(values))]
    if not lines:
        return ""
    fresh = [text for line, text in lines if (line.mark or text) not in past]
    if fresh:
        return fresh[random.randrange(len(fresh))]
    return min(lines, key=lambda line: past.rfind(line[0].mark or line[1]))[1]

"""Fields of the game's state that the abstraction does not know: then nothing can be learned from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rfsn_core.learning.records import DecisionRecord

MOST = 0.5
"""Share of decisions from which on an unknown field is worth a warning."""
SHOWN = 8
"""Values that are shown."""


class UnknownField(msgspec.Struct, frozen=True, kw_only=True):
    """A field that is `unknown` in most decisions."""

    field: str
    share: float
    values: list[str]
    """The values that came, the most frequent first; empty when the game does not send the field."""

    @property
    def words(self) -> str:
        """What is wrong, and what to do."""
        if not self.values:
            return f"`{self.field}` is unknown in {self.share:.0%} of decisions: the game does not send it"
        values = ", ".join(self.values)
        return (
            f"`{self.field}` is unknown in {self.share:.0%} of decisions; there came: {values}. Add them as labels in"
            " [[abstraction.buckets.buckets]], or set `open`"
        )


def unknown_fields(decisions: Sequence[DecisionRecord]) -> list[UnknownField]:
    """Return the fields that most decisions do not know, with what came in their place."""
    unknown: Counter[str] = Counter()
    for decision in decisions:
        for part in decision.key.split("|"):
            name, _, label = part.partition(":")
            if label == "unknown":
                unknown[name.lower()] += 1
    found = []
    for name, count in unknown.items():
        if count > MOST * len(decisions):
            values = Counter(str(value)[:40] for decision in decisions for value in _values(decision.game, name))
            common = [value for value, _ in values.most_common(SHOWN)]
            found.append(UnknownField(field=name, share=count / len(decisions), values=common))
    return found


def _values(game: Mapping[str, Any], name: str) -> list[Any]:
    """Return the values of a field in a game's state, at whatever depth it is."""
    values = [value for key, value in game.items() if key.lower() == name and not isinstance(value, Mapping)]
    for value in game.values():
        if isinstance(value, Mapping):
            values += _values(value, name)
    return values

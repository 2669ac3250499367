"""`buckets`: turns game state and NPC state into a readable key and a feature vector, by rules from the settings."""

from __future__ import annotations

import bisect
import hashlib
import json
import math
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, Field, model_validator

from rfsn_core.contract.abstraction import Abstraction, Abstractor
from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import Offer, Provider

UNKNOWN = "unknown"


class Bucket(BaseModel, extra="forbid"):
    """The rule that turns one field into a label."""

    field: str = Field(description="Path in the game's state, such as `player.health`; `npc.mood` is the NPC's own.")
    labels: list[str] = Field([], description="The labels. For numbers, from lowest to highest.")
    open: int = Field(
        0,
        ge=0,
        le=256,
        description="Places for values that are no labels, such as a world's own place names.",
    )
    edges: list[float] = Field([], description="Ascending numbers between the labels. Empty: labels are values.")
    key: bool = Field(True, description="Make the label a part of the key, not only of the features.")

    @model_validator(mode="after")
    def _edges_fit(self) -> Bucket:
        if not self.labels and not self.open:
            raise ValueError("labels are missing; or `open` for any values")
        if self.edges and self.open:
            raise ValueError("`open` is for values that are words, `edges` are for numbers")
        if self.edges and len(self.edges) != len(self.labels) - 1:
            raise ValueError(f"{len(self.labels)} labels need {len(self.labels) - 1} edges, not {len(self.edges)}")
        if self.edges != sorted(set(self.edges)):
            raise ValueError("edges must ascend")
        return self


def _default_buckets() -> list[Bucket]:
    from rfsn_core.contract.npc import MOODS
    from rfsn_core.contract.understanding import SIGNALS

    thirds = {"labels": ["low", "middle", "high"], "edges": [0.3, 0.7]}
    return [
        Bucket(field="location", labels=["tavern", "street", "home", "gate", "wilds", "dungeon"], open=16),
        Bucket(field="quest_state", labels=["none", "active", "done", "failed"]),
        Bucket(field="time_of_day", labels=["morning", "day", "evening", "night"]),
        Bucket(field="npc.relationship",
               labels=["stranger", "enemy", "rival", "acquaintance", "friend", "ally"]),
        Bucket(field="npc.mood", labels=list(MOODS)),
        Bucket(field="npc.signal", labels=list(SIGNALS)),
        Bucket(field="npc.trust", key=False, **thirds),
        Bucket(field="npc.fear", key=False, **thirds),
        Bucket(field="player.health", labels=["dying", "hurt", "well"], edges=[0.2, 0.6], key=False),
    ]  # fmt: skip


class Settings(BaseModel, extra="forbid"):
    """`[abstraction.buckets]`."""

    buckets: list[Bucket] = Field(
        default_factory=_default_buckets, description="One rule for each field, in key order."
    )


class Buckets:
    """The abstractor: applies one rule to each field."""

    def __init__(self, rules: Iterable[Bucket]) -> None:
        self._rules = tuple(rules)
        canonical = json.dumps([rule.model_dump() for rule in self._rules], sort_keys=True)
        self.version = hashlib.blake2b(canonical.encode(), digest_size=4).hexdigest()
        labels = (f"{rule.field}={label}" for rule in self._rules for label in _labels(rule))
        self._names = ("bias", *labels)
        # One feature of each rule and the bias are non-zero, so the vector has length 1.
        on = 1 / math.sqrt(1 + len(self._rules))
        self._bias: tuple[float, ...] = (on,)
        self._compiled = [_Compiled(rule, on) for rule in self._rules]

    def abstract(self, game: Mapping[str, Any], npc: Mapping[str, Any]) -> Abstraction:
        """Return one-hot features of value 1/√(1 + rules), and the key: `FIELD:label` parts joined by `|`."""
        features = self._bias
        parts = []
        for rule in self._compiled:
            index = rule.index(npc if rule.own else game)
            features += rule.hot[index]
            if rule.parts:
                parts.append(rule.parts[index])
        return Abstraction("|".join(parts), self.version, features, self._names)


def _labels(rule: Bucket) -> tuple[str, ...]:
    """Return the labels of a rule: its own, places for other values, and `unknown`."""
    return (*rule.labels, *(f"other {number + 1}" for number in range(rule.open)), UNKNOWN)


class _Compiled:
    """A rule with everything precomputed that does not change between turns."""

    def __init__(self, rule: Bucket, on: float) -> None:
        self.own = rule.field.startswith("npc.")
        self._path = rule.field.removeprefix("npc.").split(".")
        labels = _labels(rule)
        self._open, self._first = rule.open, len(rule.labels)
        self.hot = [
            tuple(on if place == index else 0.0 for place in range(len(labels))) for index in range(len(labels))
        ]
        name = rule.field.rpartition(".")[2].upper()
        self.parts = [f"{name}:{label}" for label in labels] if rule.key else []
        self._edges = rule.edges
        self._places = {label: index for index, label in reversed(list(enumerate(rule.labels)))}
        self._unknown = len(labels) - 1

    def index(self, source: Mapping[str, Any]) -> int:
        """Return the index of the label; the last one stands for unknown or malformed values."""
        value: Any = source
        for part in self._path:
            value = value.get(part) if isinstance(value, (dict, Mapping)) else None
        if self._edges:
            if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
                return self._unknown
            return bisect.bisect_right(self._edges, value)
        if isinstance(value, bool):
            value = str(value).lower()
        if not isinstance(value, str) or not (word := value.strip().lower()):
            return self._unknown
        if (place := self._places.get(word)) is not None:
            return place
        # By a hash and not by order: the same place on every server and after every restart.
        return self._first + zlib.crc32(word.encode()) % self._open if self._open else self._unknown


def _make(settings: Settings) -> Buckets:
    return Buckets(settings.buckets)


@hookimpl
def rfsn_abstraction() -> Iterable[Offer[Abstractor]]:
    """Offer the built-in default."""
    yield Provider.of("buckets", _make, Settings, "rules that turn game state into labels")

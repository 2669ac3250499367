"""`buckets`: game state and NPC state → a readable key and a feature vector, by rules from the settings."""

from __future__ import annotations

import bisect
import hashlib
import json
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pydantic import BaseModel, Field, model_validator

from rfsn_core.hookspecs import hookimpl
from rfsn_core.providers import Abstraction, Abstractor, Host, Provider

UNKNOWN = "unknown"


class Bucket(BaseModel, extra="forbid"):
    """How one field becomes a label."""

    field: str = Field(description="Path in the game's state, such as `player.health`; `npc.mood` for the NPC's own.")
    labels: list[str] = Field(min_length=1, description="The labels. For numbers, from lowest to highest.")
    edges: list[float] = Field([], description="Numbers between the labels, ascending; empty: labels are values.")
    key: bool = Field(True, description="Part of the key, not only of the features.")

    @model_validator(mode="after")
    def _edges_fit(self) -> Bucket:
        if self.edges and len(self.edges) != len(self.labels) - 1:
            raise ValueError(f"{len(self.labels)} labels need {len(self.labels) - 1} edges, not {len(self.edges)}")
        if self.edges != sorted(set(self.edges)):
            raise ValueError("edges must ascend")
        return self


def _default_buckets() -> list[Bucket]:
    from rfsn_core.world.signals import SIGNALS
    from rfsn_core.world.state import MOODS

    thirds = {"labels": ["low", "middle", "high"], "edges": [0.3, 0.7]}
    return [
        Bucket(field="location", labels=["tavern", "street", "home", "gate", "wilds", "dungeon"]),
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

    buckets: list[Bucket] = Field(default_factory=_default_buckets, description="One rule a field, in key order.")


class Buckets:
    """The opened provider."""

    def __init__(self, rules: Iterable[Bucket]) -> None:
        self._rules = tuple(rules)
        self._paths = [
            (rule.field.startswith("npc."), rule.field.removeprefix("npc.").split(".")) for rule in self._rules
        ]
        canonical = json.dumps([rule.model_dump() for rule in self._rules], sort_keys=True)
        self.version = hashlib.blake2b(canonical.encode(), digest_size=4).hexdigest()
        labels = (f"{rule.field}={label}" for rule in self._rules for label in (*rule.labels, UNKNOWN))
        self._names = ("bias", *labels)
        # A dozen or so features are on: divided by this, the vector's length is at most 1.
        self._on = 1 / math.sqrt(1 + len(self._rules))

    def abstract(self, game: Mapping[str, Any], npc: Mapping[str, Any]) -> Abstraction:
        """One-hot features, 1/√(1 + rules) each, and the key's `FIELD:label` parts joined by `|`."""
        features = [self._on]
        parts = []
        for rule, (own, path) in zip(self._rules, self._paths, strict=True):
            index = self._index(rule, npc if own else game, path)
            size = len(rule.labels)
            hot = [0.0] * (size + 1)
            hot[index] = self._on
            features += hot
            if rule.key:
                label = rule.labels[index] if index < size else UNKNOWN
                parts.append(f"{rule.field.rpartition('.')[2].upper()}:{label}")
        return Abstraction("|".join(parts), self.version, tuple(features), self._names)

    @staticmethod
    def _index(rule: Bucket, source: Mapping[str, Any], path: list[str]) -> int:
        value: Any = source
        for part in path:
            value = value.get(part) if isinstance(value, (dict, Mapping)) else None
        unknown = len(rule.labels)
        if rule.edges:
            if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
                return unknown
            return bisect.bisect_right(rule.edges, value)
        if isinstance(value, bool):
            value = str(value).lower()
        if isinstance(value, str):
            label = value.strip().lower()
            return rule.labels.index(label) if label in rule.labels else unknown
        return unknown


@asynccontextmanager
async def _open(settings: Settings, host: Host) -> AsyncIterator[Abstractor]:
    yield Buckets(settings.buckets)


@hookimpl
def rfsn_abstraction() -> Iterable[Provider[Abstractor]]:
    """The embedded default."""
    yield Provider("buckets", Settings, _open, "rules that turn game state into labels")

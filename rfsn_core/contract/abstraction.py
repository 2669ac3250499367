"""The abstraction stage: game state and NPC state → a key and features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Abstraction:
    """The game and the NPC, made small enough to decide on."""

    key: str
    """Hierarchical and readable: `LOCATION:tavern|QUEST_STATE:active`."""
    version: str
    """Changes when the rules do, so that old statistics are never mistaken for new ones."""
    features: tuple[float, ...]
    """The policy's context vector, each entry in -1…1."""
    names: tuple[str, ...]
    """One name for each feature."""


class Abstractor(Protocol):
    """Game state → a state the policy can learn on."""

    def abstract(self, game: Mapping[str, Any], npc: Mapping[str, Any]) -> Abstraction:
        """Return the abstraction. Pure and synchronous: the same input gives the same output on every machine.

        :param game: the state the client sent, any JSON object; unknown or malformed fields fall into
            an `unknown` bucket and never raise.
        :param npc: the NPC's own state as plain values (mood, affinity, trust, fear, relationship,
            signal, in_combat, quest_active).
        """

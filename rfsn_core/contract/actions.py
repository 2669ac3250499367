"""What plugins and worlds can add to the decision: actions and safety rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rfsn_core.contract.npc import NpcState


@dataclass(frozen=True)
class Action:
    """Something an NPC may do with its turn."""

    name: str
    instruction: str
    """What it means, as the renderer is told: an order to the speaker."""
    affinity: float = 0.0
    """Expected change of affinity when the NPC does this, -1…1."""
    trust: float = 0.0
    fear: float = 0.0
    answers: tuple[str, ...] = ()
    """Player signals that it is a natural answer to, the most natural first."""
    hostile: bool = False
    variant_of: str = ""
    """The plain action that safety rules see: forbidding `accept` forbids its variants too."""


@dataclass(frozen=True)
class Situation:
    """What candidates are chosen for."""

    state: NpcState
    signal: str
    game: Mapping[str, Any]


@dataclass(frozen=True)
class SafetyRule:
    """When all conditions hold, the rule applies. Bounds are exclusive.

    `forbid` and `force` are absolute; `favour` only brings actions in and lifts their score.
    """

    name: str
    forbid: tuple[str, ...] = ()
    force: str = ""
    favour: tuple[str, ...] = ()
    above: Mapping[str, float] = field(default_factory=dict)
    """State field → it must be above this."""
    below: Mapping[str, float] = field(default_factory=dict)
    when: Mapping[str, bool] = field(default_factory=dict)
    """State flag → it must be this."""
    signals: tuple[str, ...] = ()
    """The player's signal is one of these; empty: any."""

    def applies(self, situation: Situation) -> bool:
        """Whether every condition holds."""
        state = situation.state
        # Plain loops and not `all(…)`: asked for every rule of every turn.
        for name, bound in self.above.items():
            if not getattr(state, name) > bound:
                return False
        for name, bound in self.below.items():
            if not getattr(state, name) < bound:
                return False
        for name, flag in self.when.items():
            if getattr(state, name) != flag:
                return False
        return not self.signals or situation.signal in self.signals

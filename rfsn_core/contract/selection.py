"""The selection stage: the policy that chooses an action and a style."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rfsn_core.contract.abstraction import Abstraction


@dataclass(frozen=True)
class Arm:
    """Something the policy may choose."""

    name: str
    prior: float
    """The world model's score for it, about -1…1."""


@dataclass(frozen=True)
class Context:
    """What the policy knows when it chooses."""

    decision_id: str
    slot: str
    """`action` or `style`: the two parts of one decision."""
    npc: str
    conversation: str
    abstraction: Abstraction
    chosen: str = ""
    """The action already chosen, when the slot is `style`."""
    explore: bool = True
    """False: take the best arm, with probability 1."""


@dataclass(frozen=True)
class Selection:
    """The selected arm, with what is needed to learn from it later."""

    arm: str
    propensities: tuple[float, ...]
    """The probability with which each arm would have been chosen, in the order of the arms; sums to 1."""
    scores: tuple[float, ...]
    draw: float | None = None
    """The number in [0, 1) that was drawn: the chosen arm is the first whose cumulated propensity is above it.
    None for a policy that draws nothing."""
    parts: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """What the scores are made of besides the priors, for people: such as `learned`, `npc` (what this NPC differs in)
    and `curiosity`; for each arm one number, in the order of the arms."""


@dataclass(frozen=True)
class Update:
    """A reward for an earlier choice."""

    context: Context
    """As it was when the choice was made."""
    arm: str
    prior: float
    """The arm's prior at the time."""
    propensity: float
    reward: float
    """-1…1; -2…2 for a change"""
    again: bool = False
    """The choice was learned from before: this is the change of its reward, and no second observation."""
    weight: float = 1.0
    """Of the observation; the guard lowers it, and a designer's judgement has several times the usual 1."""
    max_step: float = math.inf
    """How far the weights may move, as a Euclidean norm. The policy lowers the weight until they do not."""


@dataclass(frozen=True)
class UpdateResult:
    """What an update did. `size` is how far the weights moved; 0 for a policy that does not learn."""

    size: float = 0.0
    weight: float = 1.0
    """The weight that the observation got in the end."""


class Policy(Protocol):
    """Chooses among what the safety rules left. Synchronous, and fast: microseconds.

    A provider whose policy never learns says so with `Capabilities(learns=False)`; it then receives no updates.
    """

    version: str

    def select(self, context: Context, arms: Sequence[Arm]) -> Selection:
        """Choose one of `arms`, of which there is at least one."""

    def update(self, update: Update) -> UpdateResult:
        """Learn from a reward. Raises ValueError, with nothing changed, when a number is not finite or out of range."""

    def checkpoint(self) -> bytes:
        """Return everything that was learned; `b""` when there is nothing."""

    def restore(self, checkpoint: bytes) -> None:
        """Load what an earlier instance learned. Raises ValueError when the checkpoint is not this policy's."""

"""The gating stage: checks on the player's text and on every sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

SEVERITY = {"allow": 0, "rewrite": 1, "block": 2, "needs_approval": 3}
"""Verdicts, mildest first. Each gate sees what those before it rewrote; one that blocks is enough."""

FLAGS = (
    "self_harm", "minors", "personal_info_request", "hate", "aggression", "manipulation", "harmful_content",
    "illegal_action",
)  # fmt: skip
"""The reasons of the built-in gates, the gravest first."""
HARD_FLAGS = frozenset({"self_harm", "minors", "personal_info_request"})
"""The reasons that no setting and no operator's label switches off."""


@dataclass(frozen=True)
class Utterance:
    """A text that is checked before anything uses it."""

    text: str
    side: str
    """`player` for what the player typed, `npc` for a sentence about to be sent."""
    npc: str
    action: str = ""
    in_combat: bool = False
    before: str = ""
    """The NPC's sentence before this one: harm can be split over two."""
    suspected: tuple[str, ...] = ()
    """What the gates before this one found suspicious without stopping it."""


@dataclass(frozen=True)
class Verdict:
    """What a gate says about one text."""

    kind: str
    """`allow`, `rewrite` (say `text` instead, which the other gates check, too), `block`, or `needs_approval`."""
    reasons: tuple[str, ...] = ()
    """Stable codes, such as `self_harm`. Those of an allowed text say why it is suspicious."""
    text: str = ""
    risk: float = 0.0
    """How likely the text is harmful, 0…1, as far as the gate can tell: suspicious from 0.5, blocked from 0.7."""
    evidence: tuple[str, ...] = ()
    """For people: what the verdict rests on, such as the part of the text that a rule matched."""


class Gate(Protocol):
    """Checks what the player says and every sentence before it is sent or spoken."""

    async def check(self, utterance: Utterance) -> Verdict:
        """Return the verdict. When this raises or takes too long, the kernel blocks the text: gates fail closed."""

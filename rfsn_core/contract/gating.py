"""The gating stage: checks on the player's text and on every sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

SEVERITY = {"allow": 0, "rewrite": 1, "block": 2, "needs_approval": 3}
"""Verdicts, mildest first. Each gate sees what those before it rewrote; one that blocks is enough."""


@dataclass(frozen=True)
class Utterance:
    """A text that is checked before anything uses it."""

    text: str
    side: str
    """`player` for what the player typed, `npc` for a sentence about to be sent."""
    npc: str
    action: str = ""
    in_combat: bool = False


@dataclass(frozen=True)
class Verdict:
    """What a gate says about one text."""

    kind: str
    """`allow`, `rewrite` (say `text` instead, which the other gates check, too), `block`, or `needs_approval`."""
    reasons: tuple[str, ...] = ()
    """Stable codes, such as `self_harm`."""
    text: str = ""


class Gate(Protocol):
    """Checks what the player says and every sentence before it is sent or spoken."""

    async def check(self, utterance: Utterance) -> Verdict:
        """Return the verdict. When this raises or takes too long, the kernel blocks the text: gates fail closed."""

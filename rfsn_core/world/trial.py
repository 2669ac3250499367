"""Which policy acts in a stretch of a conversation: the one that learns, or the world model, to compare the two."""

from __future__ import annotations

from typing import Literal

import msgspec

Acting = Literal["learned", "default"]


class Trial(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How it was decided who acts."""

    acts: Acting = "learned"
    why: str = ""
    """Why the default acts: `held out`, `apprentice`, or by how much it was better. Why the learned policy acts where
    the default usually does: `trial`."""
    stretch: str = ""
    """The stretch of the conversation that the same policy acts in."""
    differs: bool = False
    """Whether the other policy would have chosen another action or style."""
    other: str = ""
    """The action that the other policy would have chosen."""

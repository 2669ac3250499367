"""What a turn answers, and where the answer goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rfsn_core import protocol
from rfsn_core.contract.storage import Scope
from rfsn_core.turn.outbox import Outbox
from rfsn_core.world.files import Npc


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a turn answers, and where the answer goes."""

    turn_id: str
    """The client's id for the turn."""
    turn_no: int
    """Number of the turn in this process; audio frames carry it."""
    scope: Scope
    npc: Npc
    text: str
    """What the player said."""
    game: Mapping[str, Any]
    """The game's state, as the client sent it."""
    signal: str
    """What the player does, when the client says so; empty to classify the text."""
    outbox: Outbox
    wants: protocol.Hello
    """What the client wants to receive."""
    arrived: float
    """`time.perf_counter()` when the message came in."""

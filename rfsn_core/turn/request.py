"""What a turn answers, and where the answer goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rfsn_core import protocol
from rfsn_core.contract.storage import Scope
from rfsn_core.turn.outbox import Outbox
from rfsn_core.world.files import Npc


@dataclass(frozen=True)
class Request:
    """What is to be answered, and where the answer goes."""

    turn_id: str
    turn_no: int
    scope: Scope
    npc: Npc
    text: str
    game: Mapping[str, Any]
    signal: str
    outbox: Outbox
    wants: protocol.Hello
    arrived: float
    """`time.perf_counter()` when the message came in."""

"""What a turn answers, and where the answer goes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rfsn_core import protocol
from rfsn_core.contract.actions import Trigger
from rfsn_core.contract.errors import BadMessage
from rfsn_core.contract.storage import Scope
from rfsn_core.contract.understanding import SIGNALS
from rfsn_core.turn.outbox import Outbox
from rfsn_core.world.files import Npc
from rfsn_core.world.occasions import Occasion, first, occasion


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
    """What the player does, when the client says so; empty to have it understood."""
    occasion: Occasion | None
    """Why the NPC speaks first; None when the player spoke."""
    outbox: Outbox
    wants: protocol.Hello
    """What the client wants to receive."""
    arrived: float
    """`time.perf_counter()` when the message came in."""


def new_request(
    message: protocol.PlayerTurn, npc: Npc, turn_no: int, outbox: Outbox, wants: protocol.Hello,
    triggers: Sequence[Trigger] = (),
) -> Request:  # fmt: skip
    """Return what a player's message asks for. Raises BadMessage when it says nothing, or names an unknown signal.

    :param triggers: of the settings; the first for the message's cause says how it is answered.
    """
    arrived = time.perf_counter()
    if message.signal and message.signal not in SIGNALS:
        hint = f"There are: {', '.join(SIGNALS)}"
        raise BadMessage(f"no signal '{message.signal[:40]}'", field="signal", hint=hint)
    text = _clean(message.text)
    if not text.strip() and not message.signal and not message.cause:
        hint = "Send text, a signal such as 'greet', or a cause such as 'approach'"
        raise BadMessage("the player says nothing", field="text", hint=hint)
    cause = None
    if message.cause:
        cause = occasion(message.cause, text.strip(), message.signal, first(triggers, message.cause, npc.id))
        text = ""
    return Request(
        turn_id=message.turn_id or uuid.uuid4().hex,
        turn_no=turn_no,
        scope=Scope(message.save, npc.id, message.player),
        npc=npc,
        text=text,
        game=message.state,
        signal=message.signal,
        occasion=cause,
        outbox=outbox,
        wants=wants,
        arrived=arrived,
    )


def _clean(text: str) -> str:
    """Return a text without control characters, which neither a model nor a voice can use."""
    if text.isprintable():  # nearly always
        return text
    return "".join(c for c in text if c in "\n\t" or (ord(c) >= 32 and ord(c) != 127))

"""What happens in the game: it changes the NPC's state and is remembered as a turn without words."""

from __future__ import annotations

import time
import uuid

from rfsn_core import protocol
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.storage import Scope, TurnRecord
from rfsn_core.conversation.conversation import Conversation
from rfsn_core.conversation.store_access import StoreAccess
from rfsn_core.memory.update import with_changes
from rfsn_core.telemetry.logs import logger
from rfsn_core.world.feelings import Nature, happened

log = logger("conversation")

MAX_TEXT = 2000
"""Characters of a game event that are remembered."""


async def store_event(
    message: protocol.GameEvent, conversation: Conversation, nature: Nature, access: StoreAccess, withheld: str = ""
) -> protocol.State:
    """Apply an event to the NPC's state and store it; return the new state. Raises StoreError.

    :param withheld: why the gates stopped a text of the event.
    """
    before = await conversation.load(access, nature.baseline)
    state = happened(before, message.kind, nature)
    text = f"[{message.kind}]" + (f" {message.data}" if message.data else "")
    record = TurnRecord(
        turn_id=uuid.uuid4().hex,
        scope=conversation.scope,
        time=time.time(),
        player_text=text[:MAX_TEXT],
        npc_text="",
        outcome="event",
        decision_id="",
        state=state.plain(),
    )
    update = conversation.memory_update(access)
    update.add_event(record, message.kind, message.data, state)
    if withheld:
        log.warning("event.withheld", npc=conversation.scope.npc, reason=withheld)
    await conversation.keep(with_changes(record, update), state, access)
    return state_event(conversation.scope, state)


def state_event(scope: Scope, state: NpcState, turn_id: str = "") -> protocol.State:
    """Return a state as the client sees it."""
    event = protocol.State(
        npc=scope.npc,
        player=scope.player,
        save=scope.save,
        mood=state.mood,
        affinity=round(state.affinity, 4),
        trust=round(state.trust, 4),
        fear=round(state.fear, 4),
        relationship=state.relationship,
    )
    if turn_id:
        event.turn_id = turn_id
    return event

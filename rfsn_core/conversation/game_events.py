"""What happens in the game: it changes the NPC's state and is remembered as a turn without words."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from rfsn_core import protocol
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.storage import Scope, TurnRecord
from rfsn_core.conversation.conversation import Conversation
from rfsn_core.conversation.store_access import StoreAccess
from rfsn_core.memory.update import with_changes
from rfsn_core.telemetry.logs import logger
from rfsn_core.world.feelings import Nature, happened, tried

log = logger("conversation")

MAX_TEXT = 2000
"""Characters of a game event that are remembered."""


@dataclass(frozen=True)
class ResultOf:
    """What became of an NPC's action in the game."""

    action: str
    outcome: str
    """`done`, `failed` or `refused`."""
    reason: str = ""

    @property
    def words(self) -> str:
        """What happened, as the NPC would remember it."""
        action = self.action.replace("_", " ")
        if self.outcome == "done":
            return f"What you did worked: {action}."
        return f"You could not do it: {action}" + (f", because {self.reason}." if self.reason else ".")


async def store_event(
    message: protocol.GameEvent, conversation: Conversation, nature: Nature, access: StoreAccess, withheld: str = ""
) -> protocol.State:
    """Apply an event to the NPC's state and store it; return the new state. Raises StoreError.

    :param withheld: why the gates stopped a text of the event.
    """
    before = await conversation.load(access, nature.baseline)
    state = happened(before, message.kind, nature)
    text = f"[{message.kind}]" + (f" {message.data}" if message.data else "")
    record = _record(conversation.scope, text, state)
    update = conversation.memory_update(access)
    update.add_event(record, message.kind, message.data, state)
    if withheld:
        log.warning("event.withheld", npc=conversation.scope.npc, reason=withheld)
    await conversation.keep(with_changes(record, update), state, access)
    return state_event(conversation.scope, state)


async def store_result(
    result: ResultOf, conversation: Conversation, nature: Nature, access: StoreAccess
) -> protocol.State:
    """Note what became of an action, and store it; return the new state. Raises StoreError."""
    before = await conversation.load(access, nature.baseline)
    state = tried(before, result.action, done=result.outcome == "done")
    record = _record(conversation.scope, result.words, state)
    await conversation.keep(record, state, access)
    return state_event(conversation.scope, state)


def _record(scope: Scope, text: str, state: NpcState) -> TurnRecord:
    """Return the turn without words that stands for something in the game."""
    return TurnRecord(
        turn_id=uuid.uuid4().hex,
        scope=scope,
        time=time.time(),
        player_text=text[:MAX_TEXT],
        npc_text="",
        outcome="event",
        decision_id="",
        state=state.plain(),
    )


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

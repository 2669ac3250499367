"""What is logged of a turn: the turn with its memory changes, and its decision."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.storage import MemoryKind, TurnRecord
from rfsn_core.contract.understanding import Understanding
from rfsn_core.conversation.conversation import Conversation
from rfsn_core.learning.explanation import explain
from rfsn_core.learning.recent_decisions import RecentDecisions
from rfsn_core.learning.records import Result, decision_record
from rfsn_core.memory.update import with_changes
from rfsn_core.turn.request import Request
from rfsn_core.turn.runtime import Runtime
from rfsn_core.world.decision import Deliberation


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a turn went."""

    deliberation: Deliberation
    """The decision."""
    prior_decision_id: str
    """The conversation's decision before it."""
    player_text: str
    understanding: Understanding
    """What the player meant."""
    at_start: NpcState
    at_decision: NpcState
    at_end: NpcState
    reason: str
    """`complete`, `cancelled`, or why the answer is not whole."""
    text: str
    """What the NPC said, as far as the player heard it."""
    final_json: str = ""
    """What became of the model's report."""


@dataclass(frozen=True)
class Stored:
    """What storing a turn led to."""

    durable: bool
    """False: the turn waits in the log, because the store is unavailable."""
    summary_due: bool
    """Whether the conversation was summed up."""


async def store(
    request: Request, runtime: Runtime, conversation: Conversation, decisions: RecentDecisions, outcome: Outcome
) -> Stored:
    """Log the turn and its decision. Raises StoreError, and StaleSave when the save was rolled back."""
    decision = outcome.deliberation.event
    record = TurnRecord(
        turn_id=decision.decision_id,
        scope=request.scope,
        time=time.time(),
        player_text=outcome.player_text,
        npc_text=outcome.text,
        outcome=outcome.reason,
        decision_id=decision.decision_id,
        state=outcome.at_end.plain(),
    )
    learning = runtime.settings.learning.enabled
    explanation = explain(
        outcome.deliberation,
        outcome.understanding,
        (outcome.at_start, outcome.at_decision, outcome.at_end),
        outcome.player_text,
        outcome.text,
    )
    logged = decision_record(
        outcome.deliberation,
        request.scope,
        outcome.prior_decision_id,
        outcome.at_decision,
        Result(delivered=bool(outcome.text), final_json=outcome.final_json, explanation=explanation),
        time=record.time if learning else float(outcome.at_decision.turns),
        explored=learning,
    )
    update = conversation.memory_update(runtime.store_access)
    if outcome.text or outcome.reason == "complete":
        update.add_turn(record, decision.signal, outcome.at_end, conversation.recent)
    sharing = decisions.share(logged)
    access = runtime.store_access
    durable, lines = await conversation.keep(with_changes(record, update), outcome.at_end, access, logged)
    decisions.add(logged, lines[0])
    if sharing is not None:
        await sharing
    return Stored(durable, any(memory.kind is MemoryKind.SUMMARY for memory in update.changes))

"""What the game tells: events and results of actions, which the NPCs remember and may speak of."""

from __future__ import annotations

import asyncio

import msgspec

from rfsn_core import protocol
from rfsn_core.contract.errors import UnknownDecision
from rfsn_core.contract.storage import Scope
from rfsn_core.conversation.game_events import ResultOf, store_event, store_result
from rfsn_core.conversation.registry import Conversations
from rfsn_core.learning.recent_decisions import RecentDecisions
from rfsn_core.turn.reactions import Reactions
from rfsn_core.turn.runtime import CurrentRuntime
from rfsn_core.turn.turns import Turns


class Game:
    """What one process hears from its games."""

    def __init__(
        self, runtimes: CurrentRuntime, conversations: Conversations, decisions: RecentDecisions, turns: Turns
    ) -> None:
        self._runtimes, self._conversations, self._decisions, self._turns = runtimes, conversations, decisions, turns
        self.reactions = Reactions(runtimes, conversations)

    def event(self, message: protocol.GameEvent) -> asyncio.Task[protocol.State]:
        """Take a game event. It takes its place among the conversation's turns at once; one that runs hears of it.

        Raises UnknownNpc; the task raises StoreError.
        """
        npc = self._runtimes.current.world.npc(message.npc)
        conversation = self._conversations[Scope(message.save, npc.id, message.player)]
        self._turns.happened(conversation, message.kind)

        async def store() -> protocol.State:
            runtime = self._runtimes.current
            data, withheld = await runtime.admission.game({message.kind: message.data}, npc.id)
            ((kind, details),) = data.items()
            event = msgspec.structs.replace(message, kind=kind, data=details)
            return await store_event(event, conversation, npc.nature, runtime.store_access, withheld)

        return self._conversations.queue(conversation, store, f"event {message.kind}")

    async def result(self, message: protocol.ActionResult) -> tuple[protocol.State, protocol.PlayerTurn | None]:
        """Take in what became of an action; return the NPC's state, and the turn in which it speaks of it, if any.

        Raises UnknownDecision or StoreError.
        """
        decision = await self._decisions.find(message.decision_id)
        if decision is None:
            raise UnknownDecision(f"no decision '{message.decision_id[:100]}'")
        record = decision.record
        scope = Scope(record.save, record.npc, record.player)
        runtime = self._runtimes.current
        npc = runtime.world.npc(record.npc)
        conversation = self._conversations[scope]
        refused = message.reason and await runtime.admission.refusal(message.reason, npc.id)
        result = ResultOf(record.action.chosen, message.outcome, "" if refused else message.reason)

        async def store() -> protocol.State:
            return await store_result(result, conversation, npc.nature, self._runtimes.current.store_access)

        state = await self._conversations.queue(conversation, store, "result")
        return state, self.reactions.to_result(scope, result) if message.speak else None

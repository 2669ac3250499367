"""What happens after a turn, when nobody waits any more: rewards from play, the embedding index, the summary."""

from __future__ import annotations

from typing import Protocol

from rfsn_core.contract.storage import Scope
from rfsn_core.conversation.registry import Conversations
from rfsn_core.learning import play_signals
from rfsn_core.learning.guard_control import GuardControl
from rfsn_core.learning.recent_decisions import RecentDecisions
from rfsn_core.learning.rewards import Rewards
from rfsn_core.turn.turn import Turn
from rfsn_core.world.files import Npc


class SummaryWriter(Protocol):
    """What words the summary of a conversation."""

    async def reword_summary(self, scope: Scope, npc: Npc) -> None:
        """Let a model reword the newest summary."""


class FollowUp:
    """What follows each turn of one process."""

    def __init__(
        self, rewards: Rewards, decisions: RecentDecisions, guard: GuardControl, conversations: Conversations,
        summaries: SummaryWriter,
    ) -> None:  # fmt: skip
        self._rewards, self._decisions, self._guard = rewards, decisions, guard
        self._conversations, self._summaries = conversations, summaries

    async def after(self, turn: Turn) -> None:
        """Do all that follows a turn."""
        self._guard.add_turn(blocked=turn.blocked)
        if signals := _play_signals(turn):
            await self._rewards.accept_from_play(signals)
        await self._rewards.credit_missing()
        await self._decisions.share_again()
        await self._conversations.update_index(turn.conversation)
        if turn.summary_due and turn.runtime.settings.memory.summaries == "model":
            await self._summaries.reword_summary(turn.request.scope, turn.request.npc)


def _play_signals(turn: Turn) -> list[tuple[str, str]]:
    """Return (decision, reward signal): what a turn says about the decision before it, and about its own."""
    learning, request = turn.runtime.settings.learning, turn.request
    if not learning.detect:
        return []
    rewards = []
    if turn.prior_decision_id:
        rewards += [(turn.prior_decision_id, name) for name in play_signals.signals(request.text, turn.understanding)]
    if turn.decision_id and turn.overran:
        rewards.append((turn.decision_id, "tts_overrun"))
    return [(decision_id, name) for decision_id, name in rewards if name in learning.signals]

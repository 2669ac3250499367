"""What happens after a turn, when nobody waits any more: rewards from play, the embedding index, the summary."""

from __future__ import annotations

from typing import Protocol

from rfsn_core.contract.storage import Scope
from rfsn_core.conversation.registry import Conversations
from rfsn_core.learning import play_signals
from rfsn_core.learning.guard_control import GuardControl
from rfsn_core.learning.recent_decisions import RecentDecisions
from rfsn_core.learning.rewards import Rewards
from rfsn_core.memory.consistency import contradicts_earlier
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
        await self._rewards_from_play(turn)
        await self._rewards.credit_missing()
        await self._decisions.share_again()
        await self._conversations.update_index(turn.conversation)
        if turn.summary_due and turn.runtime.settings.memory.summaries == "model":
            await self._summaries.reword_summary(turn.request.scope, turn.request.npc)

    async def _rewards_from_play(self, turn: Turn) -> None:
        """Take in what a turn says about the decision before it, and about its own."""
        learning = turn.runtime.settings.learning
        if not learning.detect:
            return
        if turn.prior_decision_id and turn.request.occasion is None:
            names = [name for name in play_signals.signals(turn.understanding) if name in learning.signals]
            await self._rewards.accept_from_play(turn.prior_decision_id, names, judges=True)
        own = {"tts_overrun": turn.overran, "contradiction_detected": _contradicts_itself(turn)}
        names = [name for name, happened in own.items() if happened and name in learning.signals]
        if turn.decision_id and names:
            await self._rewards.accept_from_play(turn.decision_id, names)


def _contradicts_itself(turn: Turn) -> bool:
    """Whether the NPC said something else than in the turns that it remembers."""
    recent = turn.conversation.recent
    if not recent or recent[-1].decision_id != turn.decision_id:
        return False
    single_valued = turn.runtime.settings.memory.single_valued
    return contradicts_earlier(recent[-1].npc_text, [earlier.npc_text for earlier in recent[:-1]], single_valued)

"""What a designer thinks of a line: good, bad, or what the NPC should have done; and what follows when it repeats."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Literal

import msgspec

from rfsn_core.contract.errors import BadMessage, UnknownDecision
from rfsn_core.learning.records import DecisionRecord, RewardRecord
from rfsn_core.learning.rewards import SHOULD, Rewards
from rfsn_core.learning.turn_log import TurnLog

Verdict = Literal["good", "bad", "should"]
OF_A_KIND = 3
"""Judgements of one kind after which a change of the world's files is suggested."""
LOOKED_AT = 500
"""Rewards, the newest, among which judgements of one kind are counted."""
LEANING = 0.2
"""What a suggestion adds to an action's score."""


class FeedbackResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a judgement."""

    decision_id: str
    verdict: Verdict
    of_a_kind: int
    """How many judgements of this kind there are."""
    suggestion: str = ""
    """Text for the NPC's file, when there are enough; empty before."""


class Feedback:
    """Takes what designers think of decisions."""

    def __init__(self, rewards: Rewards, turn_log: TurnLog) -> None:
        self._rewards, self._log = rewards, turn_log

    async def give(self, decision_id: str, verdict: Verdict, action: str = "") -> FeedbackResult:
        """Take a judgement, learn from it, and count those of its kind.

        :param action: what the NPC should have done, for `should`.

        Raises BadMessage, UnknownDecision or StoreError.
        """
        record = await self._log.decision(decision_id)
        if record is None:
            raise UnknownDecision(f"no decision '{decision_id[:80]}'")
        if verdict == "should" and action not in record.action.arms:
            hint = f"There were: {', '.join(record.action.arms)}"
            raise BadMessage(f"'{action[:40]}' was no candidate", field="action", hint=hint)
        if verdict == "should" and action == record.action.chosen:
            verdict, action = "good", ""
        signal = f"{SHOULD}{action}" if verdict == "should" else verdict
        reward = RewardRecord(
            reward_id=f"{record.decision_id}/designer/{uuid.uuid4().hex}",
            decision_id=record.decision_id,
            value=1.0 if verdict == "good" else -1.0,
            signal=signal,
            source="designer",
            time=time.time(),
        )
        await self._rewards.take(reward)
        count = await self._count(record, signal)
        suggestion = _suggestion(record, verdict, action) if count >= OF_A_KIND else ""
        return FeedbackResult(decision_id=record.decision_id, verdict=verdict, of_a_kind=count, suggestion=suggestion)

    async def _count(self, record: DecisionRecord, signal: str) -> int:
        """Return how many decisions of this kind were judged like this one: the same NPC, the same action, to the same
        signal."""
        judged = [reward for reward in await self._log.newest_rewards(LOOKED_AT) if reward.source == "designer"]
        alike = {reward.decision_id for reward in judged if reward.signal == signal}
        decisions: Sequence[DecisionRecord | None] = [await self._log.decision(name) for name in sorted(alike)]
        kind = (record.npc, record.signal, record.action.chosen)
        return sum((one.npc, one.signal, one.action.chosen) == kind for one in decisions if one is not None)


def _suggestion(record: DecisionRecord, verdict: Verdict, action: str) -> str:
    """Return what to paste into the NPC's file."""
    chosen, npc = record.action.chosen, record.npc
    said = f"# {npc} answered {OF_A_KIND} times or more to '{record.signal}' with '{chosen}'; "
    file = f"# npcs/{npc}.toml\n[actions]\n"
    if verdict == "good":
        return f"{said}that was good.\n{file}{chosen} = {LEANING}\n"
    if verdict == "bad":
        return f"{said}that was bad.\n{file}{chosen} = -{LEANING}\n"
    rule = f'# or, for all NPCs, in settings.toml\n[[world.rules]]\nname = "{record.signal}_{action}"\n'
    return (
        f"{said}it should have been '{action}'.\n{file}{action} = {LEANING}\n{chosen} = -{LEANING}\n"
        f'{rule}favour = ["{action}"]\nsignals = ["{record.signal}"]\n'
    )

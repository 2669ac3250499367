"""Rewards: each is validated, its decision found, stored, and credited to that decision and those before it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from rfsn_core.contract.errors import BadMessage, RfsnError, StoreError, UnknownDecision
from rfsn_core.learning.learner import Learner
from rfsn_core.learning.recent_decisions import RecentDecision, RecentDecisions
from rfsn_core.learning.records import DecisionRecord, QuarantineRecord, RewardRecord
from rfsn_core.learning.server_runtime import CurrentRuntime
from rfsn_core.learning.turn_log import TurnLog
from rfsn_core.settings.schema import LearningSettings
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("learning")

RESUMED = 1000
"""Rewards, the newest, that are credited at a start when no update was logged for them."""
CORRECTIONS = frozenset({"user_correction", "contradiction_detected"})
Rewarded = tuple[RewardRecord, RecentDecision]
"""A reward and the decision that it is for."""


@dataclass(frozen=True)
class RewardResult:
    """What came of a reward."""

    value: float
    duplicate: bool = False
    quarantined: str = ""
    """Why it was not stored among the rewards."""


class Rewards:
    """The rewards of one server."""

    def __init__(
        self, turn_log: TurnLog, decisions: RecentDecisions, learner: Learner, runtimes: CurrentRuntime
    ) -> None:
        self._log, self._decisions, self._learner = turn_log, decisions, learner
        self._runtimes = runtimes
        self._in_progress: set[str] = set()
        """Ids of the rewards that are being stored."""

    @property
    def _settings(self) -> LearningSettings:
        return self._runtimes.current.settings.learning

    async def accept(
        self,
        decision_id: str,
        *,
        value: float | None = None,
        signal: str = "",
        reward_id: str = "",
        source: str = "game",
    ) -> RewardResult:
        """Take in a reward: a value, or a signal of `learning.signals`.

        Raises BadMessage when it is not a reward, StoreError when it cannot be stored, and with `strict_rewards`
        UnknownDecision; without, a reward for an unknown decision is quarantined.
        """
        reward = validate(self._settings, decision_id, value, signal, reward_id, source)
        decision = await self._resolve(reward)
        if decision is None:
            return await self._quarantine(reward, "no such decision")
        if not await self._store([(reward, decision)]):
            return RewardResult(reward.value, duplicate=True)
        await self._take_effect(reward, decision)
        return RewardResult(reward.value)

    async def accept_from_play(self, signals: Sequence[tuple[str, str]]) -> None:
        """Take in (decision, signal) that were read off the play, with one write for all of them. A reward that cannot
        be taken in is only logged.
        """
        found: list[Rewarded] = []
        for decision_id, signal in signals:
            try:
                reward = validate(self._settings, decision_id, None, signal, "", "play")
                decision = await self._resolve(reward)
                if decision is None:
                    await self._quarantine(reward, "no such decision")
                else:
                    found.append((reward, decision))
            except RfsnError as error:
                log.warning("reward.refused", signal=signal, source="play", error=str(error))
        try:
            stored = await self._store(found)
        except StoreError as error:
            names = [reward.signal for reward, _ in found]
            log.warning("reward.refused", signal=names, source="play", error=str(error))
            return
        for reward, decision in stored:
            await self._take_effect(reward, decision)

    async def _resolve(self, reward: RewardRecord) -> RecentDecision | None:
        """Find the decision of a reward."""
        decision = await self._decisions.find(reward.decision_id)
        if decision is None and self._settings.strict_rewards:
            raise UnknownDecision(f"no decision '{reward.decision_id[:80]}'")
        return decision

    async def _quarantine(self, reward: RewardRecord, reason: str) -> RewardResult:
        await self._log.append(
            QuarantineRecord(
                decision_id=reward.decision_id[:200],
                value=reward.value,
                signal=reward.signal,
                reason=reason,
                time=reward.time,
            )
        )
        return RewardResult(reward.value, quarantined=reason)

    async def _store(self, rewards: Sequence[Rewarded]) -> list[Rewarded]:
        """Store rewards with one write; returns those whose ids are new. Raises StoreError: then none is stored."""
        unique = {reward.reward_id: (reward, decision) for reward, decision in rewards}
        mine = unique.keys() - self._in_progress
        self._in_progress |= mine
        try:
            new = []
            for reward_id, (reward, decision) in unique.items():
                if reward_id in mine and not (reward_id in decision.rewards or await self._belongs_to_another(reward)):
                    new.append((reward, decision))
            if new:
                await self._log.append(*(reward for reward, _ in new))
            for reward, decision in new:
                decision.rewards |= {reward.reward_id}
        finally:
            self._in_progress -= mine
        return new

    async def _take_effect(self, reward: RewardRecord, decision: RecentDecision) -> None:
        """Count a reward that was stored, and learn from it."""
        METRICS.rewards.labels(reward.signal or "value").inc()
        self._learner.guard.add_reward(reward.value, correction=reward.signal in CORRECTIONS)
        if self._may_change_weights(reward):
            await self._credit(reward, decision)

    async def _belongs_to_another(self, reward: RewardRecord) -> bool:
        """Whether the id was used for another decision. One that we made cannot have been."""
        if reward.reward_id.startswith(f"{reward.decision_id}/"):
            return False
        return await self._log.has_reward(reward.reward_id)

    async def _credit(self, reward: RewardRecord, decision: RecentDecision) -> None:
        """Give the decision its reward, and those before it in the conversation their discounted share."""
        settings = self._settings
        record = self._learn(decision, reward.value, 0, reward.reward_id)
        for steps_back in range(1, settings.credit_steps + 1):
            try:
                earlier = await self._decisions.find(record.prior_decision_id)
            except StoreError as error:
                log.warning("reward.not_shared_back", reward=reward.reward_id, error=str(error))
                return
            if earlier is None:
                return
            value = reward.value * settings.credit_discount**steps_back
            record = self._learn(earlier, value, steps_back, reward.reward_id)

    def _learn(self, decision: RecentDecision, value: float, steps_back: int, reward_id: str) -> DecisionRecord:
        record = decision.record
        self._learner.learn(record, value, steps_back=steps_back, again=decision.is_credited, reward_id=reward_id)
        decision.is_credited = True
        self._decisions.credited(record.decision_id)
        return record

    def _may_change_weights(self, reward: RewardRecord) -> bool:
        settings = self._settings
        if not self._learner.learns or not settings.enabled or (settings.strict and reward.source != "game"):
            return False
        return not settings.evidence or reward.signal in settings.evidence

    async def resume(self) -> None:
        """Credit the rewards whose updates still waited when the process was killed."""
        if not self._learner.learns:
            return
        for reward in await self._log.unprocessed_rewards(RESUMED):
            try:
                decision = await self._decisions.find(reward.decision_id)
            except StoreError as error:
                log.warning("reward.not_resumed", reward=reward.reward_id, error=str(error))
                continue
            if decision is not None and self._may_change_weights(reward):
                await self._credit(reward, decision)

    async def credit_missing(self) -> None:
        """Give a reward of 0 to decisions that none came for in `learning.wait` seconds: else only what is rewarded
        would be learned. Raises StoreError."""
        expired = self._decisions.pop_expired()
        if not expired or not self._learner.learns or not self._settings.enabled or self._settings.strict:
            return
        for decision in await self._decisions.find_all(expired):
            if not decision.is_credited:
                decision.is_credited = True
                self._learner.learn(decision.record, 0.0)


def validate(
    settings: LearningSettings, decision_id: str, value: float | None, signal: str, reward_id: str, source: str
) -> RewardRecord:
    """Return a reward with its value and id. Raises BadMessage when it is not a reward."""
    if signal:
        if signal not in settings.signals:
            hint = f"There are: {', '.join(settings.signals)}"
            raise BadMessage(f"no reward signal '{signal[:40]}'", field="signal", hint=hint)
        value = settings.signals[signal]
    if value is None or not -1 <= value <= 1:
        raise BadMessage("a reward is a number from -1 to 1, or a signal", field="value")
    return RewardRecord(
        reward_id=reward_id or f"{decision_id}/{signal or uuid.uuid4().hex}",
        decision_id=decision_id,
        value=value,
        signal=signal,
        source=source,
        time=time.time(),
    )

"""Rewards: each is validated, its decision found, stored, and credited to that decision and those before it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import structs

from rfsn_core.contract.errors import BadMessage, RfsnError, StoreError, UnknownDecision
from rfsn_core.learning.learner import ABSOLUTE, Basis, Learner
from rfsn_core.learning.play_signals import ENDED, RunningMean, is_over
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
SHOULD = "should:"
"""Signal of a designer's reward: what the NPC should have done follows."""
WITHOUT_GAME = 100
"""Decisions without a reward of the game after which what is read off the play counts."""
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
        self._play = RunningMean()
        self._since_game = WITHOUT_GAME
        """Decisions that were judged by the play since the game sent a reward."""

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
        return await self.take(validate(self._settings, decision_id, value, signal, reward_id, source))

    async def take(self, reward: RewardRecord) -> RewardResult:
        """Take in a reward that is valid. Raises StoreError, and with `strict_rewards` UnknownDecision."""
        decision = await self._resolve(reward)
        if decision is None:
            return await self._quarantine(reward, "no such decision")
        if not await self._store([(reward, decision)]):
            return RewardResult(reward.value, duplicate=True)
        await self._take_effect(reward, decision)
        return RewardResult(reward.value)

    async def accept_from_play(self, decision_id: str, signals: Sequence[str], *, judges: bool = False) -> None:
        """Take in signals that were read off the play, with one write for all of them. Those that cannot be taken in
        are only logged.

        :param judges: they are what came next in the conversation, so they count as a deviation from the usual.
        """
        try:
            rewards = [validate(self._settings, decision_id, None, signal, "", "play") for signal in signals]
            decision = await self._decisions.find(decision_id)
            if decision is None or not rewards or (judges and is_over(decision.record.signal)):
                return
            if judges:
                earlier = decision.tally.play or 0.0
                mean = self._play.add(earlier + sum(reward.value for reward in rewards))
                rewards[0] = structs.replace(rewards[0], baseline=mean)
                self._since_game += 1
            stored = await self._store([(reward, decision) for reward in rewards])
        except RfsnError as error:
            log.warning("reward.refused", signal=list(signals), source="play", error=str(error))
            return
        for reward, decision in stored:
            await self._take_effect(reward, decision)

    async def accept_end(self, decision_id: str) -> None:
        """Take in that the player left after a decision, if there was one."""
        if decision_id and self._settings.detect and ENDED in self._settings.signals:
            await self.accept_from_play(decision_id, [ENDED], judges=True)

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
            records = [reward for reward, _ in new]
            if any(reward.source == "game" for reward in records):
                await self._log.append(*records)
            elif records:  # nobody waits to hear that it is safe
                self._log.append_soon(*records)
            for reward, decision in new:
                decision.rewards |= {reward.reward_id}
        finally:
            self._in_progress -= mine
        return new

    async def _take_effect(self, reward: RewardRecord, decision: RecentDecision) -> None:
        """Count a reward that was stored, and learn from it."""
        METRICS.rewards.labels(reward.signal or "value").inc()
        self._learner.guard.add_reward(reward.value, correction=reward.signal in CORRECTIONS)
        if reward.source == "game":
            self._since_game = 0
        if self._may_change_weights(reward):
            await self._credit(reward, decision)
        else:
            self._decisions.rewarded(reward.decision_id)

    async def _belongs_to_another(self, reward: RewardRecord) -> bool:
        """Whether the id was used for another decision. One that we made cannot have been."""
        if reward.reward_id.startswith(f"{reward.decision_id}/"):
            return False
        return await self._log.has_reward(reward.reward_id)

    async def _credit(self, reward: RewardRecord, decision: RecentDecision) -> None:
        """Give the decision its reward, and of a reward of the game those before it in the conversation a discounted
        share."""
        settings = self._settings
        judged = decision.tally.designer is not None
        record = self._learn(decision, reward.source, reward.value - reward.baseline, 0, reward.reward_id)
        if reward.source == "designer":
            self._weigh(record, reward, first=not judged)
        if reward.source != "game":
            return
        for steps_back in range(1, settings.credit_steps + 1):
            try:
                earlier = await self._decisions.find(record.prior_decision_id)
            except StoreError as error:
                log.warning("reward.not_shared_back", reward=reward.reward_id, error=str(error))
                return
            if earlier is None:
                return
            value = reward.value * settings.credit_discount**steps_back
            record = self._learn(earlier, "game", value, steps_back, reward.reward_id)

    def _learn(
        self, decision: RecentDecision, source: str, value: float, steps_back: int, reward_id: str
    ) -> DecisionRecord:
        """Teach by how much a reward changes what the decision earned in total."""
        record, first = decision.record, decision.tally.source or source
        decision.tally = decision.tally.add(source, value)
        total, taught = decision.tally.total, decision.taught
        basis = ABSOLUTE
        if first == "play":
            relative = decision.tally.source == "play"
            basis = Basis(self._settings.play_weight, is_relative=relative, was_relative=not relative)
        if taught is None:
            self._learner.learn(record, total, steps_back=steps_back, reward_id=reward_id, basis=basis)
        elif change := round(total - taught, 9):
            self._learner.learn(record, change, steps_back=steps_back, again=True, reward_id=reward_id, basis=basis)
        elif decision.tally.source != source:
            self._learner.note(record, reward_id, f"rewards of the {decision.tally.source} count instead")
        else:
            self._learner.note(record, reward_id, "the decision's rewards are at the end of the range already")
        if self._decisions.trials is not None:
            self._decisions.trials.add(record, total, taught)
        decision.taught = total
        self._decisions.taught(record.decision_id, decision)
        return record

    def _weigh(self, record: DecisionRecord, reward: RewardRecord, *, first: bool) -> None:
        """Let a designer's judgement count as several observations, and teach what the NPC should have done."""
        weight, name = self._settings.designer_weight, reward.reward_id
        is_alone = self._runtimes.current.shared_store is None  # a shared log takes one observation of a decision
        if first and weight > 1 and is_alone:
            self._learner.learn(record, reward.value, reward_id=f"{name}/weight", basis=Basis(weight - 1))
        if reward.signal.startswith(SHOULD):
            self._learner.prefer(record, reward.signal.removeprefix(SHOULD), Basis(weight), f"{name}/should")

    def _may_change_weights(self, reward: RewardRecord) -> bool:
        settings = self._settings
        if not self._learner.learns or not settings.enabled:
            return False
        if reward.source == "play" and (settings.strict or self._since_game < WITHOUT_GAME or not settings.play_weight):
            return False
        return reward.source == "designer" or not settings.evidence or reward.signal in settings.evidence

    async def resume(self) -> None:
        """Credit the rewards whose updates still waited when the process was killed."""
        newest = await self._log.newest_rewards(RESUMED)
        if mean := next((reward.baseline for reward in newest if reward.baseline), 0.0):
            self._play.resume(mean)
        if any(reward.source == "game" for reward in newest):
            self._since_game = 0
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
        """Give a reward of 0 to decisions that none came for in `learning.wait` seconds, where the game rewards every
        turn: there silence is a judgement, elsewhere it says nothing. Raises StoreError."""
        expired, settings = self._decisions.pop_expired(), self._settings
        if not (expired and settings.rewards_every_turn and settings.enabled and self._learner.learns):
            return
        for decision in await self._decisions.find_all(expired):
            if decision.taught is None:
                record, decision.taught = decision.record, 0.0
                self._learner.learn(record, 0.0)
                self._decisions.taught(record.decision_id, decision)


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

"""The reward channel: what is a reward, which are taken, and what they are credited to."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from rfsn_core.contract.errors import BadMessage, StoreError, UnknownDecision, contained
from rfsn_core.contract.shared_storage import SharedLearning
from rfsn_core.learning.decision_log import DecisionLog
from rfsn_core.learning.guard import Guard
from rfsn_core.learning.records import DecisionRecord, Quarantined, RewardRecord, StateChange
from rfsn_core.learning.updates import Learner
from rfsn_core.settings.schema import LearningSettings
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("learning")

IN_MEMORY = 20_000
"""Decisions that are kept in memory for the rewards to come; older ones are read from disk."""
MOST_UNSHARED = 1000
"""Decisions, the newest, that wait for the servers' store."""
PATIENCE = 2.0
"""Seconds for sharing a decision; its turn waits for it."""
MOST_UNTAUGHT = 1000
"""Rewards that are looked at again after a restart, the newest ones."""
CORRECTIONS = frozenset({"user_correction", "contradiction_detected"})
_decode = msgspec.json.Decoder(DecisionRecord).decode


@dataclass
class Known:
    """A decision in memory."""

    record: DecisionRecord | None = None
    """None while its turn goes on."""
    on_disk: asyncio.Event = field(default_factory=asyncio.Event)
    rewards: set[str] = field(default_factory=set)
    """Ids of the rewards that were taken for it."""
    rewarded: bool = False
    """Learned from already, by its own reward, a share of a later one, or silence: what comes now adds to that."""


@dataclass(frozen=True)
class Taken:
    """What became of a reward."""

    value: float
    duplicate: bool = False
    quarantined: str = ""
    """Why it was put aside."""


class Channel:
    """Takes decisions and rewards, and hands lessons to the learner."""

    def __init__(
        self, decision_log: DecisionLog, learner: Learner, guard: Guard, settings: Callable[[], LearningSettings],
        changed: Callable[[], None],
    ) -> None:  # fmt: skip
        self._journal, self._learner, self._guard = decision_log, learner, guard
        self._settings, self._changed = settings, changed
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._taking: set[str] = set()
        self._unshared: deque[DecisionRecord] = deque(maxlen=MOST_UNSHARED)
        self._waiting: OrderedDict[str, float] = OrderedDict()  # decision → when silence counts as a reward of 0

    # ── decisions ────────────────────────────────────────────────────────────────────────────────

    def begin(self, decision_id: str) -> None:
        """A decision was made."""
        self._known[decision_id] = Known()
        self._forget()

    def end(self, decision_id: str) -> None:
        """Its turn has ended; a decision that was not written by then never was."""
        known = self._known.get(decision_id)
        if known is not None and known.record is None:
            del self._known[decision_id]
            known.on_disk.set()

    async def record(self, record: DecisionRecord, change: StateChange) -> None:
        """Write a decision, and what became of the NPC's state; returns when both are safe. Raises StoreError."""
        if (shared := self._learner.shared) is None:
            await self._journal.append(record, change)
        else:
            await asyncio.gather(self._journal.append(record, change), self._share(shared, record))
        if record.action.draw is not None:
            METRICS.importance.observe(1 / (len(record.action.arms) * record.action.propensity))
        known = self._known.setdefault(record.decision_id, Known())
        known.record = record
        known.on_disk.set()
        if record.delivered:
            self._waiting[record.decision_id] = time.monotonic() + self._settings().wait

    async def decision(self, decision_id: str) -> DecisionRecord | None:
        """A decision that was stored, by this server or another. Raises StoreError."""
        record = await self._journal.decision(decision_id)
        if record is None and (shared := self._learner.shared) is not None:
            with contained():
                line = await shared.load_decision(decision_id)
            try:
                record = None if line is None else _decode(line)
            except msgspec.MsgspecError as error:
                log.error("another server's decision cannot be read; another version's?", error=str(error))
        return record

    async def _share(self, shared: SharedLearning, record: DecisionRecord) -> None:
        """With the servers that a reward for it may reach."""
        try:
            with contained():
                async with asyncio.timeout(PATIENCE):
                    await shared.save_decision(record.decision_id, msgspec.json.encode(record))
        except Exception as error:  # noqa: BLE001  the store's code: here, the decision is known
            METRICS.errors.labels("storage").inc()
            log.warning("a decision cannot be shared now", error=repr(error))
            self._unshared.append(record)

    async def share_again(self) -> None:
        """Share what could not be shared when it was made."""
        shared = self._learner.shared
        for _ in range(len(self._unshared)):
            record = self._unshared.popleft()
            if shared is not None:
                await self._share(shared, record)

    # ── rewards ──────────────────────────────────────────────────────────────────────────────────

    async def take(
        self, decision_id: str, *, value: float | None, signal: str = "", reward_id: str = "", source: str = "game"
    ) -> Taken:
        """Take a reward.

        Raises BadMessage for what is no reward, StoreError when it cannot be kept, and, where the settings are
        strict, UnknownDecision; else a reward for a decision that nobody made is put aside.
        """
        settings = self._settings()
        if signal:
            if signal not in settings.signals:
                names = ", ".join(settings.signals)
                raise BadMessage(f"no reward signal '{signal[:40]}'", field="signal", hint=f"There are: {names}")
            value = settings.signals[signal]
        if value is None or not -1 <= value <= 1:
            raise BadMessage("a reward is a number from -1 to 1, or a signal", field="value")
        known = await self._find(decision_id)
        if known is None:
            if settings.strict_rewards:
                raise UnknownDecision(f"no decision '{decision_id[:80]}'")
            reason = "no such decision"
            entry = Quarantined(
                decision_id=decision_id[:200], value=value, signal=signal, reason=reason, time=time.time()
            )
            await self._journal.append(entry)
            return Taken(value, quarantined=reason)
        reward_id = reward_id or f"{decision_id}/{signal or uuid.uuid4().hex}"
        if reward_id in self._taking:
            return Taken(value, duplicate=True)
        self._taking.add(reward_id)
        try:
            if reward_id in known.rewards or await self._used_elsewhere(decision_id, reward_id):
                return Taken(value, duplicate=True)
            reward = RewardRecord(
                reward_id=reward_id,
                decision_id=decision_id,
                value=value,
                signal=signal,
                source=source,
                time=time.time(),
            )
            await self._journal.append(reward)
            known.rewards.add(reward_id)
        finally:
            self._taking.discard(reward_id)
        METRICS.rewards.labels(signal or "value").inc()
        if self._guard.rewarded(value, correction=signal in CORRECTIONS):
            self._changed()
        if self._evidence(signal, source):
            await self._credit(known, value, reward_id)
        return Taken(value)

    async def _used_elsewhere(self, decision_id: str, reward_id: str) -> bool:
        """Whether the id was used for another decision; one that we made cannot have been."""
        return not reward_id.startswith(f"{decision_id}/") and await self._journal.known_reward(reward_id)

    def _evidence(self, signal: str, source: str) -> bool:
        settings = self._settings()
        if not settings.enabled or (settings.strict and source != "game"):
            return False
        return not settings.evidence or signal in settings.evidence

    async def resume(self) -> None:
        """Learn from the rewards whose lessons still waited when the process was killed."""
        if not self._learner.learns:
            return
        for reward in await self._journal.untaught(MOST_UNTAUGHT):
            try:
                known = await self._find(reward.decision_id)
            except StoreError as error:
                log.warning("the decision of a reward cannot be looked up", reward=reward.reward_id, error=str(error))
                continue
            if known is not None and self._evidence(reward.signal, reward.source):
                await self._credit(known, reward.value, reward.reward_id)

    async def _credit(self, known: Known, value: float, reward_id: str) -> None:
        """The decision gets the reward, those before it in the session their discounted share."""
        settings = self._settings()
        self._learn(known, value, 0, reward_id)
        for back in range(1, settings.credit_steps + 1):
            assert known.record is not None
            try:
                earlier = await self._find(known.record.prior_decision_id)
            except StoreError as error:
                log.warning("an earlier decision gets no share of a reward", reward=reward_id, error=str(error))
                return
            if earlier is None:
                return
            known, value = earlier, value * settings.credit_discount
            self._learn(known, value, back, reward_id)

    def _learn(self, known: Known, value: float, steps_back: int, reward_id: str) -> None:
        assert known.record is not None
        self._learner.learn(known.record, value, steps_back, again=known.rewarded, reward_id=reward_id)
        known.rewarded = True
        self._waiting.pop(known.record.decision_id, None)

    async def silence(self) -> None:
        """Decisions that nothing came of for `wait` seconds get a reward of 0: else only success would be learned."""
        settings, now = self._settings(), time.monotonic()
        while self._waiting:
            decision_id, due = next(iter(self._waiting.items()))
            if due > now:
                return
            del self._waiting[decision_id]
            known = self._known.get(decision_id)
            if known and known.record and not known.rewarded and settings.enabled and not settings.strict:
                known.rewarded = True
                self._learner.learn(known.record, 0.0)

    async def _find(self, decision_id: str) -> Known | None:
        """A decision that was stored, from memory or disk."""
        known = self._known.get(decision_id)
        if known is None and decision_id:
            record = await self.decision(decision_id)
            if record is None:
                return None
            rewards = {reward.reward_id for reward in await self._journal.rewards(decision_id)}
            rewarded = await self._journal.learned_from(decision_id)
            known = self._known.setdefault(decision_id, Known(record, rewards=rewards, rewarded=rewarded))
            known.on_disk.set()
            self._forget()
        if known is None:
            return None
        await known.on_disk.wait()  # its turn may go on, and will end
        return known if known.record else None

    def _forget(self) -> None:
        if len(self._known) > IN_MEMORY:
            self._known.popitem(last=False)

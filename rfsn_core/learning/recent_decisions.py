"""The decisions that rewards may come for: the newest in memory, older ones on disk, others' in the shared store."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque

import msgspec

from rfsn_core.contract.errors import StoreError, contained
from rfsn_core.contract.shared_storage import SharedLearning
from rfsn_core.learning.records import DecisionRecord, RewardRecord
from rfsn_core.learning.server_runtime import CurrentRuntime
from rfsn_core.learning.tally import Tally
from rfsn_core.learning.trials import Trials
from rfsn_core.learning.turn_log import TurnLog, decode_decision
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("learning")

IN_MEMORY = 500
"""Decisions that are kept in memory; older ones are read from the log."""
MOST_WAITING = 200_000
"""Decisions that may wait for a reward; of each only the id is kept."""
UNSHARED = 1000
"""Decisions, the newest, that wait for an unavailable shared store."""
SHARE_TIMEOUT = 2.0
"""Seconds for sharing a decision; its turn waits for it."""


Earned = tuple[float | None, ...]
"""The rewards of a decision, and last what was learned from it in total: a plain tuple of numbers, which the garbage
collector does not walk."""


class RecentDecision:
    """A decision that was stored.

    It is kept encoded, because of all its parts as objects the garbage collector would walk each again and again.
    """

    __slots__ = ("_line", "_tally", "rewards", "taught")

    def __init__(
        self, line: bytes, rewards: frozenset[str] = frozenset(), tally: Tally | None = None,
        taught: float | None = None,
    ) -> None:  # fmt: skip
        self._line = line
        self.rewards = rewards
        """Ids of the rewards that were stored for it."""
        self.tally = tally or Tally()
        self.taught = taught
        """What was learned from it in total; None: nothing yet."""

    @property
    def tally(self) -> Tally:
        """The rewards that may be learned from."""
        return Tally(*self._tally)

    @tally.setter
    def tally(self, tally: Tally) -> None:
        self._tally = tuple(tally)  # a plain tuple of numbers is not walked

    @property
    def record(self) -> DecisionRecord:
        """The decision, decoded again at each use. Raises StoreError when it has numbers that JSON cannot hold."""
        try:
            return decode_decision(self._line)
        except msgspec.MsgspecError as error:
            raise StoreError(f"a logged decision cannot be read: {error}") from error


class RecentDecisions:
    """The decisions of one server."""

    def __init__(self, turn_log: TurnLog, runtimes: CurrentRuntime, trials: Trials | None = None) -> None:
        self._log, self._runtimes = turn_log, runtimes
        self.trials = trials
        """Who acts: the policy that learns, or the default."""
        self._in_progress: dict[str, asyncio.Event] = {}
        """Decision → set when its turn has ended, or stored it."""
        self._stored: OrderedDict[str, RecentDecision] = OrderedDict()
        self._without_reward: OrderedDict[str, float] = OrderedDict()
        """Decision → when it counts as one that no reward comes for."""
        self._earned: OrderedDict[str, Earned] = OrderedDict()
        """Decision → what it earned and what was learned from it; the update may not be logged yet."""
        self._unshared: deque[tuple[str, bytes]] = deque(maxlen=UNSHARED)

    @property
    def _shared(self) -> SharedLearning | None:
        store = self._runtimes.current.shared_store
        return None if store is None else store.learning

    # ── a turn's decision ────────────────────────────────────────────────────────────────────────

    def begin(self, decision_id: str) -> None:
        """Add the decision of a running turn. Rewards for it wait until it is stored."""
        self._in_progress[decision_id] = asyncio.Event()

    def share(self, record: DecisionRecord) -> asyncio.Task[None] | None:
        """Save a decision for the servers that share a store; None where there is no such store."""
        if (shared := self._shared) is None:
            return None
        return asyncio.create_task(self._share(shared, record.decision_id, msgspec.json.encode(record)))

    def add(self, record: DecisionRecord, line: bytes) -> None:
        """Take a decision that was logged.

        :param line: the same, encoded.
        """
        if record.action.draw is not None:
            METRICS.importance.observe(1 / (len(record.action.arms) * record.action.propensity))
        self._add(record.decision_id, RecentDecision(line))
        if record.delivered and len(self._without_reward) < MOST_WAITING:
            wait = self._runtimes.current.settings.learning.wait
            self._without_reward[record.decision_id] = time.monotonic() + wait
        self.end(record.decision_id)

    def end(self, decision_id: str) -> None:
        """Note that a turn has ended: a decision that is not stored by now never will be."""
        if (event := self._in_progress.pop(decision_id, None)) is not None:
            event.set()

    # ── other servers ────────────────────────────────────────────────────────────────────────────

    async def _share(self, shared: SharedLearning, decision_id: str, data: bytes) -> None:
        """Save a decision where the servers find it that get rewards for it."""
        try:
            with contained():
                async with asyncio.timeout(SHARE_TIMEOUT):
                    await shared.save_decision(decision_id, data)
        except Exception as error:  # noqa: BLE001  the store's code: on this server the decision is known
            METRICS.errors.labels("storage").inc()
            log.warning("decision.not_shared", error=repr(error), hint="It is shared when the store is available")
            self._unshared.append((decision_id, data))

    async def share_again(self) -> None:
        """Share what could not be shared when it was decided."""
        shared = self._shared
        for _ in range(len(self._unshared)):
            decision_id, data = self._unshared.popleft()
            if shared is not None:
                await self._share(shared, decision_id, data)

    # ── for rewards ──────────────────────────────────────────────────────────────────────────────

    async def load(self, decision_id: str) -> DecisionRecord | None:
        """Return a decision that was stored, by this server or another. Raises StoreError."""
        record = await self._log.decision(decision_id)
        if record is None and (shared := self._shared) is not None:
            with contained():
                data = await shared.load_decision(decision_id)
            try:
                record = None if data is None else decode_decision(data)
            except msgspec.MsgspecError as error:
                log.error("decision.unreadable", decision=decision_id, error=str(error),
                          hint="Does another server run another version?")  # fmt: skip
        return record

    async def find(self, decision_id: str) -> RecentDecision | None:
        """Return a decision that was stored, from memory, disk or the shared store. Waits while its turn runs. Raises
        StoreError."""
        if (event := self._in_progress.get(decision_id)) is not None:
            await event.wait()
        if decision_id not in self._stored and decision_id:
            record = await self.load(decision_id)
            if record is None:
                return None
            rewards = await self._log.rewards(decision_id)
            *tally, taught = self._earned.get(decision_id) or await self._logged_earnings(decision_id, rewards)
            ids = frozenset(reward.reward_id for reward in rewards)
            if decision_id not in self._stored:  # it may have been loaded meanwhile
                self._add(decision_id, RecentDecision(msgspec.json.encode(record), ids, Tally(*tally), taught))
        return self._stored.get(decision_id)

    async def _logged_earnings(self, decision_id: str, rewards: list[RewardRecord]) -> Earned:
        processed = await self._log.processed_rewards(decision_id)
        tally = Tally.of(reward for reward in rewards if reward.reward_id in processed)
        taught = await self._log.taught(decision_id)
        if taught is not None and (share := taught - tally.total):
            tally = tally.add("game", share)  # of a later decision's reward
        return (*tally, taught)

    async def find_all(self, decision_ids: list[str]) -> list[RecentDecision]:
        """Return those of some decisions of this server that were stored, with one read of the log. Raises
        StoreError."""
        missing = [decision_id for decision_id in decision_ids if decision_id not in self._stored]
        lines = await self._log.decision_lines(missing) if missing else {}
        decisions = []
        for decision_id in decision_ids:
            if (decision := self._stored.get(decision_id)) is not None:
                decisions.append(decision)
            elif decision_id in lines:
                *tally, taught = self._earned.get(decision_id, (*Tally(), None))
                decisions.append(RecentDecision(lines[decision_id], frozenset(), Tally(*tally), taught))
        return decisions

    def rewarded(self, decision_id: str) -> None:
        """Note that a reward came for a decision: it does not wait for one any more."""
        self._without_reward.pop(decision_id, None)

    def taught(self, decision_id: str, decision: RecentDecision) -> None:
        """Note what was learned from a decision, before the update is logged."""
        self.rewarded(decision_id)
        self._earned[decision_id] = (*decision.tally, decision.taught)
        if len(self._earned) > MOST_WAITING:
            self._earned.popitem(last=False)

    def pop_expired(self) -> list[str]:
        """Return, once, the decisions that no reward came for in time."""
        expired, now = [], time.monotonic()
        while self._without_reward:
            decision_id, due = next(iter(self._without_reward.items()))
            if due > now:
                break
            del self._without_reward[decision_id]
            expired.append(decision_id)
        return expired

    def _add(self, decision_id: str, decision: RecentDecision) -> None:
        self._stored[decision_id] = decision
        if len(self._stored) > IN_MEMORY:
            self._stored.popitem(last=False)

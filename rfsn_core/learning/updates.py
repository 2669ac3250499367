"""The contract: the only way from a reward to a policy's weights.

A lesson is bounded in its step, weighted by the guard, applied no more often than the cooldown allows (what comes
meanwhile waits, and is not lost), preceded by a snapshot, and logged with what it did or why it did nothing.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from rfsn_core.contract.abstraction import Abstraction
from rfsn_core.contract.errors import RfsnError, contained
from rfsn_core.contract.selection import Context, Update, UpdateResult
from rfsn_core.contract.shared_storage import Checkpoints, SharedLearning
from rfsn_core.learning.checkpoints import Folder, opened, sealed
from rfsn_core.learning.decision_log import DecisionLog
from rfsn_core.learning.guard import Guard, State
from rfsn_core.learning.records import DecisionRecord, Slot, UpdateRecord
from rfsn_core.learning.update_log import Following, Given, Restored, Steered
from rfsn_core.settings.schema import LearningSettings
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.world.decision import Decider

log = logger("learning")

SAVE_EVERY = 10
"""Updates between two snapshots."""
FOLLOW_EVERY = 1.0
"""Seconds between two looks for what other servers were taught."""
NOTHING = UpdateResult(0.0, 0.0)
"""What a lesson did that was not applied."""
AWAY_RETRY = 2.0
"""Seconds until lessons are given again that could not be shared."""


class Pending(NamedTuple):
    """A lesson that waits for the cooldown."""

    record: DecisionRecord
    reward: float
    steps_back: int
    again: bool
    reward_id: str


class Learner:
    """Owns all updates of the policy that decides now.

    :param shared: where the servers that share a store learn as one, if they do.
    :param steered: called when the guard of another server changed.
    """

    def __init__(
        self,
        decision_log: DecisionLog,
        guard: Guard,
        settings: Callable[[], LearningSettings],
        decider: Callable[[], Decider],
        shared: Callable[[], SharedLearning | None],
        steered: Callable[[State, str], None],
    ) -> None:
        self._journal, self._guard = decision_log, guard
        self._settings, self._decider = settings, decider
        self._here = Folder(decision_log.folder / "checkpoints")
        self._following = Following(shared, decider, self._heed)
        self._steered = steered
        self._away = False
        self._guard_untold = False
        self._pending: list[Pending] = []
        self._updates: list[UpdateRecord] = []
        self._applying: asyncio.Task[None] | None = None
        self._last = -float("inf")
        self._hurry = asyncio.Event()
        self._since_saved = 0
        self.updates = 0

    async def open(self) -> None:
        """Give the policy what it had learned when the server last stopped, or what all servers have learned."""
        policy, name = self._decider().policy, self._decider().policy_name
        for snapshot in await self._here.newest_first(name):
            try:
                policy.restore(opened(await self._here.load(snapshot.id), snapshot.id))
                log.info("the policy goes on from its last snapshot", policy=name, snapshot=snapshot.id)
                break
            except (ValueError, OSError) as error:
                log.error("a snapshot cannot be used; the one before is tried", snapshot=snapshot.id, error=str(error))
        await self.catch_up()

    async def close(self) -> None:
        """Apply what waits, and save."""
        await self.settle()
        if self._since_saved:
            await self._save()

    @property
    def learns(self) -> bool:
        """Whether the policy that decides now learns at all."""
        return bool(getattr(self._decider().policy, "learns", True))

    def learn(
        self, record: DecisionRecord, reward: float, steps_back: int = 0, *, again: bool = False, reward_id: str = ""
    ) -> None:
        """Take a lesson. It is applied when the cooldown is over."""
        if not self.learns:
            return
        self._pending.append(Pending(record, reward, steps_back, again, reward_id))
        if self._applying is None:
            self._applying = asyncio.create_task(self._apply_later())

    async def settle(self) -> None:
        """Wait until all that was taken is applied, cooldown or not."""
        self._hurry.set()
        if self._applying is not None:
            await asyncio.wait([self._applying])
        self._hurry.clear()

    async def _apply_later(self) -> None:
        try:
            while self._pending:
                try:
                    async with asyncio.timeout(self._last + self._settings().cooldown - time.monotonic()):
                        await self._hurry.wait()
                except TimeoutError:
                    pass  # the cooldown is over
                await self._apply()
        finally:
            self._applying = None

    async def _apply(self) -> None:
        pending, self._pending = self._pending, []
        if not pending:
            return
        self._last = time.monotonic()
        if self._since_saved == 0 or self._since_saved >= SAVE_EVERY:
            await self._save()
        for position, waiting in enumerate(pending):
            try:
                for slot in ("action", "style"):
                    await self._give(waiting, slot, getattr(waiting.record, slot))
            except Exception as error:  # noqa: BLE001  the store's code: a lesson is taken once, so all of it can be given again
                self._tell_away(error)
                if not self._hurry.is_set():  # else they are found among the rewards at the next start
                    self._pending = pending[position:] + self._pending
                    self._last = time.monotonic() + AWAY_RETRY - self._settings().cooldown
                break
        await self.catch_up()

    async def _give(self, waiting: Pending, slot: str, choice: Slot) -> None:
        record, label = waiting.record, self._decider().policy_label
        given = Given(
            server=self._following.server,
            policy=label,
            steps_back=waiting.steps_back,
            reward_id=waiting.reward_id,
            update=Update(
                context_of(record, slot),
                choice.chosen, choice.priors[choice.index], choice.propensity, waiting.reward, waiting.again,
                self._guard.weight, self._settings().max_step,
            ),
        )  # fmt: skip
        if reason := self._objection(record, label):
            self._note(given, NOTHING, reason)
        elif self.shared is None:
            self._heed(given, waiting.again)
        elif not await self._following.teach(given):
            self._note(given, NOTHING, "it was learned from already")

    def _heed(self, entry: Given | Steered, again: bool) -> None:
        """Apply a lesson; of this server, or another."""
        mine = entry.server == self._following.server
        if isinstance(entry, Steered):
            if not mine:
                self._steered(entry.state, entry.reason)
            return
        policy, label = self._decider().policy, self._decider().policy_label
        step, reason = NOTHING, ""
        if entry.policy == label:
            try:
                with contained():
                    step = policy.update(replace(entry.update, again=again))
            except Exception as error:  # noqa: BLE001  the policy's code
                reason = f"the policy refused it: {error!r}"
                log.error("policy could not learn", policy=label, error=repr(error))
        else:
            reason = f"it was made by {entry.policy}, not by {label}"
        self.updates += not reason
        if mine:
            self._since_saved += not reason
            self._note(entry, step, reason)

    def _note(self, given: Given, step: UpdateResult, reason: str) -> None:
        lesson = given.update
        self._updates.append(
            UpdateRecord(
                time=time.time(),
                decision_id=lesson.context.decision_id,
                slot=lesson.context.slot,
                arm=lesson.arm,
                reward=lesson.reward,
                steps_back=given.steps_back,
                weight=step.weight,
                step=step.size,
                reward_id=given.reward_id,
                rejected=reason,
            )
        )

    def _objection(self, record: DecisionRecord, label: str) -> str:
        if self._guard.state == "frozen":
            return f"learning is frozen: {self._guard.reason}"
        if not record.delivered:
            return "the player never saw or heard it"
        if not record.explored:
            return "learning was disabled when it was made"
        if record.forced_by:
            return f"the choice was forced by {record.forced_by}"
        if record.policy != label:
            return f"it was made by {record.policy}, not by {label}"
        return ""

    # ── with other servers ───────────────────────────────────────────────────────────────────────

    @property
    def shared(self) -> SharedLearning | None:
        """Where servers learn as one, if they do."""
        return self._following.learning

    async def follow(self) -> None:
        """Apply what other servers were taught, for ever; not while learning is disabled here."""
        while True:
            await asyncio.sleep(FOLLOW_EVERY)
            if self._settings().enabled:
                await self.catch_up()

    async def catch_up(self) -> None:
        """Apply what other servers were taught, if any, and log what became of the lessons of this one."""
        try:
            await self._following.catch_up()
            self._away = False
            if self._guard_untold:
                await self.tell_guard()
        except Exception as error:  # noqa: BLE001  the store's code
            self._tell_away(error)
        updates, self._updates = self._updates, []
        for update in updates:
            METRICS.updates.labels("rejected" if update.rejected else "applied").inc()
        if updates:
            try:
                await self._journal.append(*updates)
            except RfsnError as error:
                log.error("updates could not be logged", error=str(error))

    async def tell_guard(self) -> None:
        """The guard, or an operator, changed the state of learning: it is that of all servers."""
        if self.shared is None:
            return
        steered = Steered(server=self._following.server, state=self._guard.state, reason=self._guard.reason)
        self._guard_untold = True
        try:
            await self._following.teach(steered)
            self._guard_untold = False
        except Exception as error:  # noqa: BLE001  the store's code
            self._tell_away(error)

    def _tell_away(self, error: Exception) -> None:
        if not self._away:
            log.warning("what is learned cannot be shared now; it waits", error=repr(error))
        self._away = True

    # ── snapshots ────────────────────────────────────────────────────────────────────────────────

    @property
    def checkpoints(self) -> Checkpoints:
        """What `rollback` can take."""
        return self._here if self.shared is None else self.shared.checkpoints

    async def rollback(self, snapshot_id: str = "", *, before: float = math.inf) -> None:
        """Put a snapshot back, after saving what is there now. Raises ValueError when it cannot be used, and
        StoreError when those of all servers cannot be reached.

        :param before: without an id, the newest snapshot up to this time is taken.
        """
        decider = self._decider()
        if not snapshot_id:
            listed = await self.checkpoints.newest_first(decider.policy_name)
            found = [snapshot.id for snapshot in listed if snapshot.time <= before]
            snapshot_id = found[0] if found else f"of {decider.policy_name} up to {before}"
        saved = await self.checkpoints.load(snapshot_id)
        data = opened(saved, snapshot_id)
        await self._save()
        if self.shared is None:
            decider.policy.restore(data)
        else:
            await self._following.teach(Restored(policy=decider.policy_name, snapshot=saved))
            await self.catch_up()
        log.warning("the policy was rolled back", policy=decider.policy_name, snapshot=snapshot_id)

    async def _save(self) -> None:
        decider = self._decider()
        self._since_saved = 1
        try:
            with contained():
                data, position = decider.policy.checkpoint(), self._following.position
            if data:
                await self.checkpoints.save(decider.policy_name, sealed(data), position)
            if self._guard.state != "learning":
                await self.tell_guard()  # whoever reads on from this snapshot must hear of it
        except Exception as error:  # noqa: BLE001  the policy's code, or the disk: what was learned stays in memory
            log.error("the policy could not be saved", policy=decider.policy_name, error=repr(error))


def features(record: DecisionRecord) -> Abstraction:
    """The abstraction that a decision was made on."""
    values = [0.0] * record.width
    for index, value in record.features:
        values[index] = value
    return Abstraction(record.key, record.key_version, tuple(values), ())


def context_of(record: DecisionRecord, slot: str) -> Context:
    """The context of one of a record's slots."""
    chosen = record.action.chosen if slot == "style" else ""
    return Context(record.decision_id, slot, record.npc, record.conversation, features(record), chosen)

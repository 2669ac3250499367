"""The learner: the only way from a reward to a policy's weights.

An update waits until the cooldown is over; none is lost. It is then appended to the update log, and applied when the
learner reads it there: bounded in its step, weighted by the guard, and logged with what it did or why it did nothing.
"""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from msgspec import structs

from rfsn_core.contract.errors import RfsnError, contained
from rfsn_core.contract.selection import Update, UpdateResult
from rfsn_core.contract.shared_storage import Checkpoints
from rfsn_core.learning.checkpoints import CheckpointFolder, restore_newest, restore_shared, seal, unseal
from rfsn_core.learning.guard_control import GuardControl
from rfsn_core.learning.records import DecisionRecord, UpdateRecord
from rfsn_core.learning.server_runtime import CurrentRuntime
from rfsn_core.learning.turn_log import TurnLog
from rfsn_core.learning.update_log import (
    PAGE,
    GuardEntry,
    LogGap,
    RestoreEntry,
    SharedUpdateLog,
    UpdateEntry,
    UpdateLog,
    UpdateLogs,
)
from rfsn_core.settings.schema import LearningSettings
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.world.decision import Decider

log = logger("learning")

SLOTS = ("action", "style")
CHECKPOINT_EVERY = 10
"""Updates between two checkpoints."""
READ_EVERY = 1.0
"""Seconds between two reads of the shared log."""
RETRY_AFTER = 2.0
"""Seconds until updates are appended again that a shared log could not take."""
NO_RESULT = UpdateResult(0.0, 0.0)
"""Of an update that was not applied."""


class Basis(NamedTuple):
    """What a reward is measured from, and how much the observation weighs, before the guard's weight.

    A deviation from the usual says that a choice was better or worse than expected: it is added to what the world model
    expects of the choice. A reward of the game replaces that.
    """

    weight: float = 1.0
    is_relative: bool = False
    """The reward is a deviation."""
    was_relative: bool = False
    """The reward changes one that was a deviation."""


ABSOLUTE = Basis()


class Learner:
    """Applies all updates of the policy that is in use.

    :param folder: for checkpoints and the state of the guard.
    """

    def __init__(self, turn_log: TurnLog, folder: Path, runtimes: CurrentRuntime) -> None:
        self._log, self._runtimes = turn_log, runtimes
        self._server = uuid.uuid4().hex
        self._logs = UpdateLogs(runtimes, CheckpointFolder(folder / "checkpoints"))
        self.guard = GuardControl(runtimes, self._logs, folder / "guard.json", self._server)
        self._queue: list[UpdateEntry] = []
        self._records: list[UpdateRecord] = []
        self._processing: asyncio.Task[None] | None = None
        self._no_cooldown = asyncio.Event()
        self._processed_at = -math.inf
        self._reading = asyncio.Lock()
        self._joined: tuple[SharedUpdateLog, str] | None = None
        """The shared log and the name of the policy that it is applied to."""
        self._is_unavailable = False
        self._unsaved = 0
        """Updates since the last checkpoint, and one for the checkpoint itself; 0 before the first."""
        self.updates = 0
        """How many updates were applied."""

    async def open(self) -> None:
        """Restore what the policy had learned when the server last stopped, or what all servers have learned."""
        self.guard.load()
        await restore_newest(self._decider, self._logs.local.checkpoints)
        await self.catch_up()

    async def close(self) -> None:
        """Apply what waits, and save a checkpoint."""
        await self.settle()
        if self._unsaved:
            await self._save_checkpoint()
        await self.guard.close()

    @property
    def learns(self) -> bool:
        """Whether the policy that is in use learns at all."""
        return self._decider.learns

    @property
    def _decider(self) -> Decider:
        return self._runtimes.current.decider

    @property
    def _settings(self) -> LearningSettings:
        return self._runtimes.current.settings.learning

    # ── the queue ────────────────────────────────────────────────────────────────────────────────

    def learn(
        self, decision: DecisionRecord, reward: float, *, steps_back: int = 0, again: bool = False, reward_id: str = "",
        basis: Basis = ABSOLUTE,
    ) -> None:  # fmt: skip
        """Queue the updates of a decision's slots. They are applied when the cooldown is over.

        :param steps_back: how many decisions later the reward came.
        :param again: the decision was learned from before.
        :param reward_id: empty when no reward came.
        :param basis: what the reward is measured from, and how much it weighs.
        """
        if not self.learns:
            return
        for slot in SLOTS:
            part = getattr(decision, slot)
            prior, value = part.priors[part.index], reward
            if basis.was_relative:
                value = max(-2.0, min(2.0, reward - prior))  # the prior itself was what was expected
            elif basis.is_relative:
                prior = 0.0
            update = Update(decision.context(slot), part.chosen, prior, part.propensity, value, again, basis.weight)
            self._enqueue(decision, update, reward_id, _objection(decision), steps_back)

    def prefer(self, decision: DecisionRecord, action: str, basis: Basis, reward_id: str) -> None:
        """Queue an update by which an action would have had the best reward."""
        part = decision.action
        index = part.arms.index(action)
        chance = max(part.propensities[index], 1e-6)
        update = Update(decision.context("action"), action, part.priors[index], chance, 1.0, weight=basis.weight)
        self._enqueue(decision, update, reward_id, _objection(decision))

    def note(self, decision: DecisionRecord, reward_id: str, reason: str) -> None:
        """Log that a reward changes nothing, and why."""
        part = decision.action
        prior = part.priors[part.index]
        update = Update(decision.context("action"), part.chosen, prior, part.propensity, 0.0)
        self._enqueue(decision, update, reward_id, reason)

    def _enqueue(
        self, decision: DecisionRecord, update: Update, reward_id: str, objection: str, steps_back: int = 0
    ) -> None:
        """Queue an update, or log why it is rejected."""
        entry = UpdateEntry(
            server=self._server, policy=decision.policy, steps_back=steps_back, reward_id=reward_id, update=update
        )
        if objection:
            self._log_result(entry, NO_RESULT, objection)
        else:
            self._queue.append(entry)
        if self._processing is None:
            self._processing = asyncio.create_task(self._process(), name="learn")

    async def settle(self) -> None:
        """Wait until everything in the queue is applied, without a cooldown."""
        self._no_cooldown.set()
        if self._processing is not None:
            await asyncio.wait([self._processing])
        self._no_cooldown.clear()

    async def _process(self) -> None:
        try:
            while self._queue or self._records:
                try:
                    async with asyncio.timeout(self._processed_at + self._settings.cooldown - time.monotonic()):
                        await self._no_cooldown.wait()
                except TimeoutError:
                    pass  # the cooldown is over
                await self._append_queue()
                await self.catch_up()
        finally:
            self._processing = None

    async def _append_queue(self) -> None:
        queue, self._queue = self._queue, []
        self._processed_at = time.monotonic()
        if queue and (self._unsaved == 0 or self._unsaved >= CHECKPOINT_EVERY):
            await self._save_checkpoint()
        for number, entry in enumerate(queue):
            try:
                await self._append(entry)
            except Exception as error:  # noqa: BLE001  the store's code: the log takes an entry once, so append again
                self._warn_once(error)
                if not self._no_cooldown.is_set():  # else they are found among the rewards at the next start
                    self._queue = queue[number:] + self._queue
                    self._processed_at = time.monotonic() + RETRY_AFTER - self._settings.cooldown
                break

    async def _append(self, entry: UpdateEntry) -> None:
        if self.guard.state == "frozen":
            self._log_result(entry, NO_RESULT, f"learning is frozen: {self.guard.reason}")
        elif objection := self._policy_objection(entry):
            self._log_result(entry, NO_RESULT, objection)
        else:
            weight = entry.update.weight * self.guard.weight
            update = replace(entry.update, weight=weight, max_step=self._settings.max_step)
            if not await self._logs.current.append(structs.replace(entry, update=update)):
                self._log_result(entry, NO_RESULT, "it was learned from already")

    # ── the log ──────────────────────────────────────────────────────────────────────────────────

    async def follow(self) -> None:
        """Apply what other servers append, until cancelled; not while learning is disabled here."""
        while True:
            await asyncio.sleep(READ_EVERY)
            if self._settings.enabled:
                await self.catch_up()

    async def catch_up(self) -> None:
        """Apply what is new in the update log, and log what came of this server's updates."""
        try:
            async with self._reading:
                await self._read(self._logs.current)
            self._is_unavailable = False
            await self.guard.share()
        except Exception as error:  # noqa: BLE001  the store's code
            self._warn_once(error)
        records, self._records = self._records, []
        for record in records:
            METRICS.updates.labels("rejected" if record.rejected else "applied").inc()
        if records:
            try:
                await self._log.append(*records)
            except RfsnError as error:
                log.error("learning.updates_not_logged", error=str(error))

    async def _read(self, update_log: UpdateLog) -> None:
        if not isinstance(update_log, SharedUpdateLog):
            self._joined = None
        elif self._joined != (update_log, self._decider.policy_name):
            await self._join(update_log)
        while True:
            try:
                entries = await update_log.read()
            except LogGap:
                log.warning("update_log.gap", hint="This server fell behind; it continues from the newest checkpoint")
                await self._skip_gap(update_log)
                continue
            for position, entry in entries:
                update_log.acknowledge(position)
                match entry:
                    case UpdateEntry():
                        self._apply(entry)
                    case GuardEntry():
                        self.guard.follow(entry)
                    case RestoreEntry(policy=policy, checkpoint=checkpoint):
                        restore_shared(self._decider, policy, checkpoint)
            if len(entries) < PAGE:
                return

    async def _join(self, update_log: UpdateLog) -> None:
        """Continue from the newest checkpoint of all servers. Where there is none, all begin with what is here."""
        decider = self._decider
        checkpoint = await restore_newest(decider, update_log.checkpoints)
        update_log.acknowledge(checkpoint.position if checkpoint else "")
        if checkpoint is None and (weights := decider.policy.checkpoint()):
            await update_log.begin(RestoreEntry(policy=decider.policy_name, checkpoint=seal(weights)))
        if isinstance(update_log, SharedUpdateLog):
            self._joined = (update_log, decider.policy_name)

    async def _skip_gap(self, update_log: UpdateLog) -> None:
        position = update_log.position
        await self._join(update_log)
        if update_log.position == position:  # the log was lost, the checkpoint was not
            update_log.acknowledge("")

    def _apply(self, entry: UpdateEntry) -> None:
        decider = self._decider
        result, objection = NO_RESULT, self._policy_objection(entry)
        if not objection:
            try:
                with contained():
                    result = decider.policy.update(entry.update)
            except Exception as error:  # noqa: BLE001  the policy's code
                objection = f"the policy refused it: {error!r}"
                log.error("policy.update_failed", policy=decider.policy_label, error=repr(error))
        self.updates += not objection
        if entry.server == self._server:
            self._unsaved += not objection
            self._log_result(entry, result, objection)

    def _policy_objection(self, entry: UpdateEntry) -> str:
        label = self._decider.policy_label
        return "" if entry.policy == label else f"it was made by {entry.policy}, not by {label}"

    def _log_result(self, entry: UpdateEntry, result: UpdateResult, rejected: str) -> None:
        update = entry.update
        self._records.append(
            UpdateRecord(
                time=time.time(),
                decision_id=update.context.decision_id,
                slot=update.context.slot,
                arm=update.arm,
                reward=update.reward,
                steps_back=entry.steps_back,
                weight=result.weight,
                step=result.size,
                reward_id=entry.reward_id,
                rejected=rejected,
            )
        )

    def _warn_once(self, error: Exception) -> None:
        """Warn when the shared log becomes unavailable, not at each attempt."""
        if not self._is_unavailable:
            log.warning("update_log.unavailable", error=repr(error), hint="Updates wait until it is available")
        self._is_unavailable = True

    # ── checkpoints ──────────────────────────────────────────────────────────────────────────────

    @property
    def checkpoints(self) -> Checkpoints:
        """The checkpoints that `rollback` accepts."""
        return self._logs.current.checkpoints

    async def rollback(self, checkpoint_id: str = "", *, before: float = math.inf) -> None:
        """Restore a checkpoint, after saving the weights as they are now. Raises ValueError when it cannot be used,
        and StoreError when those of all servers cannot be read.

        :param before: without an id, the newest checkpoint up to this time, in seconds since the epoch.
        """
        decider = self._decider
        if not checkpoint_id:
            newest_first = await self.checkpoints.newest_first(decider.policy_name)
            ids = [checkpoint.id for checkpoint in newest_first if checkpoint.time <= before]
            checkpoint_id = ids[0] if ids else f"of {decider.policy_name} up to {before}"
        data = await self.checkpoints.load(checkpoint_id)
        weights = unseal(data, checkpoint_id)
        await self._save_checkpoint()
        if self._logs.shared is None:
            decider.policy.restore(weights)
        else:
            await self._logs.shared.append(RestoreEntry(policy=decider.policy_name, checkpoint=data))
            await self.catch_up()
        log.warning("policy.rolled_back", policy=decider.policy_name, checkpoint=checkpoint_id)

    async def _save_checkpoint(self) -> None:
        decider, update_log = self._decider, self._logs.current
        self._unsaved = 1
        try:
            with contained():
                weights, position = decider.policy.checkpoint(), update_log.position
            if weights:
                await update_log.checkpoints.save(decider.policy_name, seal(weights), position)
            if self.guard.state != "learning":
                await self.guard.share(again=True)  # a server that reads on from this checkpoint must know
        except Exception as error:  # noqa: BLE001  the policy's code, or the disk: the weights stay in memory
            log.error("checkpoint.not_saved", policy=decider.policy_name, error=repr(error))


def _objection(decision: DecisionRecord) -> str:
    """Return why nothing can be learned from a decision; empty when it can."""
    if not decision.delivered:
        return "the player never saw or heard it"
    if not decision.explored:
        return "learning was disabled when it was made"
    if not decision.finite:
        return "the abstractor gave a feature that is not a finite number"
    if decision.forced_by:
        return f"the choice was forced by {decision.forced_by}"
    return ""

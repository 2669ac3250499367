"""The contract: the only way from a reward to a policy's weights.

A lesson is bounded in its step, weighted by the guard, applied no more often than the cooldown allows (what comes
meanwhile waits, and is not lost), preceded by a snapshot, and logged with what it did or why it did nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from rfsn_core.config import LearningSettings
from rfsn_core.errors import RfsnError, contained
from rfsn_core.learning.guard import Guard
from rfsn_core.learning.journal import Journal
from rfsn_core.learning.records import DecisionRecord, Slot, UpdateRecord
from rfsn_core.operations.logs import logger
from rfsn_core.operations.metrics import METRICS
from rfsn_core.providers import Abstraction, Context, Lesson, Policy
from rfsn_core.world.deciding import Decider

log = logger("learning")

MAGIC = b"RFSNPOL1"
SAVE_EVERY = 10
"""Updates between two snapshots."""
KEEP = 50
"""Snapshots that are kept."""


class Pending(NamedTuple):
    """A lesson that waits for the cooldown."""

    record: DecisionRecord
    reward: float
    steps_back: int
    again: bool
    reward_id: str


@dataclass(frozen=True)
class Snapshot:
    """A saved state of a policy."""

    id: str
    policy: str
    time: float
    size: int


class Learner:
    """Owns all updates of the policy that decides now."""

    def __init__(
        self,
        journal: Journal,
        guard: Guard,
        settings: Callable[[], LearningSettings],
        decider: Callable[[], Decider],
    ) -> None:
        self._journal, self._guard = journal, guard
        self._settings, self._decider = settings, decider
        self._folder = journal.folder / "snapshots"
        self._pending: list[Pending] = []
        self._applying: asyncio.Task[None] | None = None
        self._last = -float("inf")
        self._hurry = asyncio.Event()
        self._since_saved = 0
        self.updates = 0

    async def open(self) -> None:
        """Give the policy what it had learned when the server last stopped."""
        policy, name = self._decider().policy, self._decider().policy_name
        for snapshot in await asyncio.to_thread(self.snapshots, name):
            try:
                policy.restore(await asyncio.to_thread(self._read, snapshot.id))
                log.info("the policy goes on from its last snapshot", policy=name, snapshot=snapshot.id)
                return
            except (ValueError, OSError) as error:
                log.error("a snapshot cannot be used; the one before is tried", snapshot=snapshot.id, error=str(error))

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
        policy, label = self._decider().policy, self._decider().policy_label
        if self._since_saved == 0 or self._since_saved >= SAVE_EVERY:
            await self._save()
        updates = [
            self._update(policy, label, lesson, slot, getattr(lesson.record, slot))
            for lesson in pending
            for slot in ("action", "style")
        ]
        self.updates += sum(not update.rejected for update in updates)
        self._since_saved += sum(not update.rejected for update in updates)
        for update in updates:
            METRICS.updates.labels("rejected" if update.rejected else "applied").inc()
        try:
            await self._journal.append(*updates)
        except RfsnError as error:
            log.error("updates could not be logged", error=str(error))

    def _update(self, policy: Policy, label: str, lesson: Pending, slot: str, choice: Slot) -> UpdateRecord:
        record, reason = lesson.record, self._objection(lesson.record, label)
        size = weight = 0.0
        if not reason:
            context = context_of(record, slot)
            try:
                with contained():
                    step = policy.update(
                        Lesson(
                            context, choice.chosen, choice.priors[choice.index], choice.propensity, lesson.reward,
                            lesson.again, self._guard.weight, self._settings().max_step,
                        )
                    )  # fmt: skip
                size, weight = step.size, step.weight
            except Exception as error:  # noqa: BLE001  the policy's code
                reason = f"the policy refused it: {error!r}"
                log.error("policy could not learn", policy=label, decision=record.decision_id, error=repr(error))
        return UpdateRecord(
            time=time.time(),
            decision_id=record.decision_id,
            slot=slot,
            arm=choice.chosen,
            reward=lesson.reward,
            steps_back=lesson.steps_back,
            weight=weight,
            step=size,
            reward_id=lesson.reward_id,
            rejected=reason,
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

    # ── snapshots ────────────────────────────────────────────────────────────────────────────────

    def snapshots(self, policy: str = "") -> list[Snapshot]:
        """What `rollback` can take, newest first."""
        found = []
        for path in sorted(self._folder.glob(f"{policy or '*'}-*.bin"), reverse=True):
            name, _, _ = path.stem.rpartition("-")
            stat = path.stat()
            found.append(Snapshot(path.stem, name, stat.st_mtime, stat.st_size))
        return found

    async def rollback(self, snapshot_id: str = "", *, before: float = math.inf) -> None:
        """Put a snapshot back, after saving what is there now. Raises ValueError when it cannot be used.

        :param before: without an id, the newest snapshot up to this time is taken.
        """
        decider = self._decider()
        if not snapshot_id:
            found = [snapshot.id for snapshot in self.snapshots(decider.policy_name) if snapshot.time <= before]
            snapshot_id = found[0] if found else f"of {decider.policy_name} up to {before}"
        data = await asyncio.to_thread(self._read, snapshot_id)
        await self._save()
        decider.policy.restore(data)
        log.warning("the policy was rolled back", policy=decider.policy_name, snapshot=snapshot_id)

    async def _save(self) -> None:
        decider = self._decider()
        self._since_saved = 1
        try:
            with contained():
                data = decider.policy.snapshot()
            if data:
                await asyncio.to_thread(self._write, decider.policy_name, data)
        except Exception as error:  # noqa: BLE001  the policy's code, or the disk: what was learned stays in memory
            log.error("the policy could not be saved", policy=decider.policy_name, error=repr(error))

    def _write(self, name: str, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name}-{time.time_ns():020}.bin"
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(MAGIC + hashlib.sha256(data).digest() + data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        for old in self.snapshots(name)[KEEP:]:
            (self._folder / f"{old.id}.bin").unlink(missing_ok=True)

    def _read(self, snapshot_id: str) -> bytes:
        if snapshot_id not in {snapshot.id for snapshot in self.snapshots()}:
            raise ValueError(f"no snapshot '{snapshot_id[:80]}'")
        path = self._folder / f"{snapshot_id}.bin"
        data = path.read_bytes()
        head = len(MAGIC) + 32
        if data[: len(MAGIC)] != MAGIC:
            raise ValueError(f"{path} is not a snapshot of a policy")
        if hashlib.sha256(data[head:]).digest() != data[len(MAGIC) : head]:
            raise ValueError(f"{path} is cut short or damaged")
        return data[head:]


def features(record: DecisionRecord) -> Abstraction:
    """The abstraction that a decision was made on."""
    values = [0.0] * record.width
    for index, value in record.features:
        values[index] = value
    return Abstraction(record.key, record.key_version, tuple(values), ())


def context_of(record: DecisionRecord, slot: str) -> Context:
    """The context of one of a record's slots."""
    chosen = record.action.chosen if slot == "style" else ""
    return Context(record.decision_id, slot, record.npc, record.session, features(record), chosen)

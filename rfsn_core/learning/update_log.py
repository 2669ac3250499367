"""Learning as one: servers that share a store apply the same lessons in the same order, so they know the same.

A lesson is appended to a log that all of them read; its own server, too, learns it when it reads it there. So sums,
step bounds and forgetting agree, rounding apart, whoever was rewarded. A server that starts, or has fallen behind the
end of the log, takes the newest snapshot, and reads on from its position.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace

import msgspec
from msgspec import structs

from rfsn_core.contract.errors import contained
from rfsn_core.contract.selection import Update
from rfsn_core.contract.shared_storage import SharedLearning
from rfsn_core.learning import checkpoints
from rfsn_core.learning.guard import State
from rfsn_core.telemetry.logs import logger
from rfsn_core.world.decision import Decider

log = logger("learning")

AT_ONCE = 200
"""Lessons that are asked for at a time."""


class Given(msgspec.Struct, frozen=True, kw_only=True, tag="update"):
    """A lesson for one slot of a decision."""

    server: str
    policy: str
    """Name and version."""
    steps_back: int = 0
    reward_id: str = ""
    """Empty for silence."""
    update: Update


class Steered(msgspec.Struct, frozen=True, kw_only=True, tag="guard"):
    """The guard of a server changed, or an operator changed it."""

    server: str
    state: State
    reason: str


class Restored(msgspec.Struct, frozen=True, kw_only=True, tag="snapshot"):
    """All go on from here."""

    policy: str
    """Name."""
    snapshot: bytes
    """Sealed."""


Entry = Given | Steered | Restored
_decode = msgspec.json.Decoder(Entry).decode


class Following:
    """What one server has read of the log.

    :param learning: where it is; None when there is nothing to share.
    :param decider: holds the policy that learns.
    :param heed: called with each lesson or change of the guard, and whether the same was learned from before.
    """

    def __init__(
        self, learning: Callable[[], SharedLearning | None], decider: Callable[[], Decider],
        heed: Callable[[Given | Steered, bool], None],
    ) -> None:  # fmt: skip
        self.server = uuid.uuid4().hex
        self.position = ""
        self._learning, self._decider, self._heed = learning, decider, heed
        self._joined: tuple[SharedLearning, str] | None = None
        self._reading = asyncio.Lock()

    @property
    def learning(self) -> SharedLearning | None:
        """What is shared, if anything."""
        return self._learning()

    async def teach(self, entry: Entry) -> bool:
        """Append to the log; False when it was taught already. Raises StoreError, or whatever the store's code does."""
        shared = self._learning()
        assert shared is not None
        with contained():
            if not isinstance(entry, Given):
                return await shared.append(msgspec.json.encode(entry))
            context = entry.update.context
            nobody = replace(entry.update, context=replace(context, conversation=""))  # what is shared names no player
            return await shared.append(
                msgspec.json.encode(structs.replace(entry, update=nobody)),
                decision_id=context.decision_id,
                slot=context.slot,
                name=f"{context.slot}/{entry.steps_back}/{entry.reward_id}",
                only_first=not entry.reward_id,
            )

    async def catch_up(self) -> None:
        """Apply all that was taught since. Raises StoreError, or whatever the store's code does."""
        async with self._reading:
            shared = self._learning()
            if shared is None:
                self._joined = None
                return
            if self._joined != (shared, self._decider().policy_name):
                await self._join(shared)
            while True:
                with contained():
                    taught = await shared.read(self.position, AT_ONCE)
                if taught.gap:
                    log.warning("what the others learned has gone by; their newest snapshot is taken")
                    before = self.position
                    await self._join(shared)
                    if self.position == before:  # the log was lost, the snapshot was not
                        self.position = ""
                    continue
                for position, again, line in taught.entries:
                    self.position = position
                    self._take(line, again)
                if len(taught.entries) < AT_ONCE:
                    return

    def _take(self, line: bytes, again: bool) -> None:
        try:
            entry = _decode(line)
        except msgspec.MsgspecError as error:
            log.error("a shared lesson cannot be read; another version's?", error=str(error))
            return
        if not isinstance(entry, Restored):
            self._heed(entry, again)
        elif entry.policy == self._decider().policy_name:
            try:
                self._restore(entry.snapshot, "what was shared")
            except ValueError as error:
                log.error("a shared snapshot cannot be used", error=str(error))

    async def _join(self, shared: SharedLearning) -> None:
        """From the newest snapshot that can be used. Where nothing was learned yet, all begin with what is here."""
        decider, self.position = self._decider(), ""
        with contained():
            for saved in await shared.checkpoints.newest_first(decider.policy_name):
                try:
                    self._restore(await shared.checkpoints.load(saved.id), saved.id)
                except ValueError as error:
                    log.error("a shared snapshot cannot be used; the one before is tried", error=str(error))
                else:
                    log.info("the policy goes on from what all have learned", snapshot=saved.id)
                    self.position = saved.position
                    break
            else:
                here, name = decider.policy.checkpoint(), decider.policy_name
                if here and not (await shared.read("", 1)).entries:
                    begin = msgspec.json.encode(Restored(policy=name, snapshot=checkpoints.sealed(here)))
                    await shared.append(
                        begin, decision_id=f"begin {name}", slot="begin", name="begin"
                    )  # one of several
        self._joined = (shared, decider.policy_name)

    def _restore(self, data: bytes, name: str) -> None:
        self._decider().policy.restore(checkpoints.opened(data, name))

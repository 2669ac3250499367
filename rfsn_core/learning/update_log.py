"""The update log: from where a learner reads what to apply to its policy, in order.

A server that learns alone has its own log. Servers that share a store have one log together: each reads all entries,
its own too, in the same order. So sums, step bounds and forgetting agree, up to rounding, no matter which server got a
reward. A server that starts, or has fallen behind the oldest entry, restores the newest checkpoint and reads on from
the checkpoint's position.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import msgspec
from msgspec import structs

from rfsn_core.contract.errors import contained
from rfsn_core.contract.selection import Update
from rfsn_core.contract.shared_storage import Checkpoints, SharedLearning
from rfsn_core.learning.guard import State
from rfsn_core.learning.server_runtime import CurrentRuntime
from rfsn_core.telemetry.logs import logger

log = logger("learning")

PAGE = 200
"""Entries that are read at once."""


class UpdateEntry(msgspec.Struct, frozen=True, kw_only=True, tag="update"):
    """An update for one slot of a decision."""

    server: str
    """Id of the server that got the reward."""
    policy: str
    """Name and version of the policy that decided."""
    steps_back: int = 0
    """0 for the decision that was rewarded, 1 for the one before it, …"""
    reward_id: str = ""
    """Empty when no reward came."""
    update: Update


class GuardEntry(msgspec.Struct, frozen=True, kw_only=True, tag="guard"):
    """The guard of a server changed, or an operator changed it."""

    server: str
    state: State
    reason: str


class RestoreEntry(msgspec.Struct, frozen=True, kw_only=True, tag="restore"):
    """Everyone continues from a checkpoint."""

    policy: str
    """Name."""
    checkpoint: bytes
    """Sealed."""


Entry = UpdateEntry | GuardEntry | RestoreEntry
_decode = msgspec.json.Decoder(Entry).decode


class ReadEntry(NamedTuple):
    """An entry and its position in the log."""

    position: str
    entry: Entry | None
    """None when it cannot be read."""


class LogGap(Exception):
    """Entries after the position are not in the log any more."""


class UpdateLog(Protocol):
    """A log of entries, and how far this server has applied it."""

    position: str
    """The last entry that was acknowledged; empty before the first."""
    checkpoints: Checkpoints

    async def append(self, entry: Entry) -> bool:
        """Append an entry; returns False when the log has it already. Raises what the store raises."""

    async def read(self) -> Sequence[ReadEntry]:
        """Return the next entries after the position, at most `PAGE`. Raises LogGap, and what the store raises."""

    def acknowledge(self, position: str) -> None:
        """Note that everything up to a position was applied: continue after it."""

    async def begin(self, entry: RestoreEntry) -> None:
        """Make an entry the first one of an empty log, where several servers begin from the weights of one."""


class LocalUpdateLog:
    """The log of a server that learns alone.

    It is in memory: the turn log has the rewards, and which of them were processed, and survives a crash.
    """

    position = ""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self._entries: deque[Entry] = deque()
        self._removed = 0

    async def append(self, entry: Entry) -> bool:
        """Append an entry."""
        self._entries.append(entry)
        return True

    async def read(self) -> Sequence[ReadEntry]:
        """Return the next entries."""
        first = self._removed + 1
        return [ReadEntry(str(first + number), entry) for number, entry in enumerate(list(self._entries)[:PAGE])]

    def acknowledge(self, position: str) -> None:
        """Remove the entries up to a position."""
        while self._removed < int(position):
            self._entries.popleft()
            self._removed += 1

    async def begin(self, entry: RestoreEntry) -> None:
        """Do nothing: nobody else reads this log."""


class SharedUpdateLog:
    """The log that servers share in a store. It names no player."""

    def __init__(self, shared: SharedLearning) -> None:
        self.shared = shared
        self.position = ""
        self.checkpoints: Checkpoints = shared.checkpoints

    async def append(self, entry: Entry) -> bool:
        """Append an entry; returns False when any server has appended it already."""
        with contained():
            if not isinstance(entry, UpdateEntry):
                return await self.shared.append(msgspec.json.encode(entry))
            context = entry.update.context
            update = replace(entry.update, context=replace(context, conversation=""))
            return await self.shared.append(
                msgspec.json.encode(structs.replace(entry, update=update)),
                decision_id=context.decision_id,
                slot=context.slot,
                name=f"{context.slot}/{entry.steps_back}/{entry.reward_id}",
                only_first=not entry.reward_id,
            )

    async def read(self) -> Sequence[ReadEntry]:
        """Return the next entries. The log knows best which update is the first of its decision."""
        with contained():
            page = await self.shared.read(self.position, PAGE)
        if page.gap:
            raise LogGap
        return [ReadEntry(position, _read(data, again)) for position, again, data in page.entries]

    def acknowledge(self, position: str) -> None:
        """Continue after a position."""
        self.position = position

    async def begin(self, entry: RestoreEntry) -> None:
        """Append an entry when the log is empty; of several servers that try, one does."""
        with contained():
            if not (await self.shared.read("", 1)).entries:
                name = f"begin {entry.policy}"
                await self.shared.append(msgspec.json.encode(entry), decision_id=name, slot="begin", name="begin")


def _read(data: bytes, again: bool) -> Entry | None:
    try:
        entry: Entry = _decode(data)
    except msgspec.MsgspecError as error:
        log.error("update_log.entry_skipped", error=str(error), hint="Does a server run another version?")
        return None
    if isinstance(entry, UpdateEntry):
        return structs.replace(entry, update=replace(entry.update, again=again))
    return entry


class UpdateLogs:
    """The log that is in use: the shared one where the store has one, else this server's own."""

    def __init__(self, runtimes: CurrentRuntime, checkpoints: Checkpoints) -> None:
        self._runtimes = runtimes
        self.local = LocalUpdateLog(checkpoints)
        self._shared: SharedUpdateLog | None = None

    @property
    def shared(self) -> SharedUpdateLog | None:
        """The shared log; None where this server learns alone."""
        store = self._runtimes.current.shared_store
        learning = None if store is None else store.learning
        if learning is None:
            self._shared = None
        elif self._shared is None or self._shared.shared is not learning:
            self._shared = SharedUpdateLog(learning)
        return self._shared

    @property
    def current(self) -> UpdateLog:
        """The log to append to and to read from."""
        return self.shared or self.local


_: type[UpdateLog] = LocalUpdateLog
__: type[UpdateLog] = SharedUpdateLog

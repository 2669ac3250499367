"""The contract of a store that several servers use at once: what they must not overwrite, learn as one, do together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rfsn_core.contract.storage import Past, Scope, Store, TurnRecord


@dataclass(frozen=True)
class Learned:
    """A saved state of a policy."""

    id: str
    policy: str
    time: float
    """Seconds since the epoch."""
    size: int
    """Bytes."""
    position: str = ""
    """The last shared lesson in it; empty where lessons are not shared."""


class Snapshots(Protocol):
    """Where what policies have learned is kept."""

    async def listed(self, policy: str = "") -> Sequence[Learned]:
        """Those of a policy, or all; newest first."""

    async def save(self, policy: str, data: bytes, position: str = "") -> None:
        """Keep one more; the oldest go."""

    async def read(self, snapshot_id: str) -> bytes:
        """Raises ValueError when there is none of that id."""


@dataclass(frozen=True)
class Taught:
    """What was taught after some position, in order."""

    lessons: Sequence[tuple[str, bool, bytes]]
    """(position, again, lesson); `again`: something was taught about the same before."""
    gap: bool = False
    """Lessons between that position and the first of these are gone: only a snapshot has what they taught."""


class SharedLearning(Protocol):
    """Where servers learn as one: a log of lessons that each of them applies whole, in one order.

    Lessons are the kernel's own bytes; a decision is JSON, whose `save`, `npc` and `player` say whether `Store.erase`
    takes it. All raise StoreError when it is away.
    """

    snapshots: Snapshots

    async def keep(self, decision_id: str, record: bytes) -> None:
        """Keep a decision for the rewards that reach another server than the one that made it."""

    async def decision(self, decision_id: str) -> bytes | None:
        """One that any server has kept."""

    async def teach(
        self, lesson: bytes, *, about: str = "", part: str = "", once: str = "", first: bool = False
    ) -> bool:
        """Append a lesson to the log; False when that is done already.

        :param about: a decision's id, or empty.
        :param part: of the decision.
        :param once: a name; a second lesson of that name on that decision is not taken.
        :param first: it is not taken when anything was taught about that part of the decision before.
        """

    async def taught(self, after: str, limit: int) -> Taught:
        """The next lessons after a position; all that are kept when it is empty."""


class Notices(Protocol):
    """A log of notices between servers, and for each server the last notice that it has acknowledged.

    All methods raise StoreError when the store is unavailable.
    """

    async def append(self, notice: bytes) -> str:
        """Append a notice and return its position."""

    async def last_position(self) -> str:
        """Return the position of the last notice; empty when there is none."""

    async def read(self, server: str, after: str) -> Sequence[tuple[str, bytes]]:
        """Return (position, notice) of all notices after a position.

        By this call the server also shows that it is alive, and acknowledges all notices up to `after`.
        """

    async def behind(self, position: str, seconds: float) -> Sequence[str]:
        """Return the servers that read within the last `seconds`, and have not acknowledged up to a position."""

    async def is_alive(self, server: str, seconds: float) -> bool:
        """Return whether a server read within the last `seconds`."""

    async def deregister(self, server: str) -> None:
        """Forget a server."""


@runtime_checkable
class SharedStore(Store, Protocol):
    """A store that several servers use at once: what one of them keeps in memory may have been overtaken."""

    learning: SharedLearning | None
    """Where those servers learn as one; None: each learns alone."""
    notices: Notices

    async def newer(self, scope: Scope, turns: int, version: str) -> Past | None:
        """As `load`, in one round trip; None when nothing has changed since that version."""

    async def append_after(self, turn: TurnRecord, version: str) -> str:
        """As `append`, and returns the new version.

        Raises VersionConflict when another server appended since `version`, and StaleSave when the conversation was
        rolled back or erased since.
        """

    async def scrub(self, gone: Callable[[TurnRecord], bool]) -> None:
        """Leave no trace of turns in what this server keeps beside the store, such as backups."""

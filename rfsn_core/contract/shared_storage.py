"""The contract of a store that several servers use at once: what they must not overwrite, learn as one, do together."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from rfsn_core.contract.storage import Past, Scope, Store, TurnRecord


@dataclass(frozen=True)
class Checkpoint:
    """Describes the saved weights of a policy."""

    id: str
    policy: str
    time: float
    """Seconds since the epoch."""
    size: int
    """Bytes."""
    position: str = ""
    """The last entry of the shared log whose update is in the weights; empty where nothing is shared."""


class Checkpoints(Protocol):
    """The saved weights of policies."""

    async def newest_first(self, policy: str = "") -> Sequence[Checkpoint]:
        """Return the checkpoints of a policy, or of all."""

    async def save(self, policy: str, data: bytes, position: str = "") -> None:
        """Add a checkpoint; the oldest are deleted."""

    async def load(self, checkpoint_id: str) -> bytes:
        """Return the data of a checkpoint. Raises ValueError when there is none of that id."""


class LogEntry(NamedTuple):
    """An entry of the shared log."""

    position: str
    again: bool
    """Whether an earlier entry was about the same slot of the same decision."""
    data: bytes


@dataclass(frozen=True)
class LogPage:
    """The entries after a position, in order."""

    entries: Sequence[LogEntry]
    gap: bool = False
    """The position is not in the log, or no more: only a checkpoint holds what came after it."""


class SharedLearning(Protocol):
    """Where servers learn as one: a log of updates that each of them applies whole, in the same order.

    The entries are the kernel's own bytes. A decision is JSON, whose `save`, `npc` and `player` say whether
    `Store.erase` removes it. All methods raise StoreError when the store is unavailable.
    """

    checkpoints: Checkpoints

    async def save_decision(self, decision_id: str, record: bytes) -> None:
        """Keep a decision for rewards that reach another server than the one that decided."""

    async def load_decision(self, decision_id: str) -> bytes | None:
        """Return a decision that any server has saved."""

    async def append(
        self, data: bytes, *, decision_id: str = "", slot: str = "", name: str = "", only_first: bool = False
    ) -> bool:
        """Append an entry to the log; returns False when the log does not take it.

        A caller that got no answer calls again with the same bytes. The log then has the entry once, and the answer is
        True.

        :param decision_id: the decision that it is about; empty for an entry about none, which is always taken.
        :param slot: of the decision.
        :param name: another entry of this name about the decision is not taken.
        :param only_first: the entry is not taken when there was one about this slot of the decision.
        """

    async def read(self, after: str, limit: int) -> LogPage:
        """Return the next entries after a position; from the oldest on when it is empty."""


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
    """A store that several servers use at once: what one of them keeps in memory may be out of date."""

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

    async def scrub(self, scopes: Container[Scope], until: float) -> None:
        """Erase the turns of some scopes up to a time from this server's own files, such as backups."""

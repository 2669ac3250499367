"""The notices that servers append to a shared store, to pause a save on all of them and to resume it."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any, Literal

import msgspec

from rfsn_core import protocol
from rfsn_core.contract.storage import Scope


class ScopeFilter(msgspec.Struct, frozen=True):
    """Selects scopes by salted digests of their names: a notice must not contain the name that is being erased."""

    salt: str
    save: str
    npc: str
    player: str

    @classmethod
    def of(cls, save: str, npc: str, player: str) -> ScopeFilter:
        """Return a filter for exact names; an empty text selects all."""
        salt = uuid.uuid4().hex
        return cls(salt, *(_digest(salt, name) if name else "" for name in (save, npc, player)))

    def __contains__(self, scope: object) -> bool:
        return isinstance(scope, Scope) and all(
            digest in ("", _digest(self.salt, name))
            for digest, name in ((self.save, scope.save), (self.npc, scope.npc), (self.player, scope.player))
        )


def _digest(salt: str, name: str) -> str:
    return hashlib.blake2b(f"{salt}/{name}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class PauseNotice(msgspec.Struct, frozen=True, kw_only=True, tag="pause"):
    """End the turns of some conversations, begin none there until a `ResumeNotice`, and acknowledge."""

    id: str
    server: str
    """The server that asks for the pause."""
    time: float
    """Seconds since the epoch. Only turns up to this time are erased."""
    scopes: ScopeFilter
    reason: str
    """Sent to clients whose turns are cancelled."""
    erase: Literal["", "all", "but_backups"]
    """Whether each server also erases these conversations from its own files."""


class ResumeNotice(msgspec.Struct, kw_only=True, tag="resume"):
    """The end of the pause with the same id."""

    id: str
    discard_waiting: bool = False
    """The conversations were rolled back, reset or replaced; turns that wait for the store there are discarded."""
    rolled_back: protocol.SaveRolledBack | None = None
    """Sent to all clients."""


class GateNotice(msgspec.Struct, frozen=True, kw_only=True, tag="gate"):
    """An operator switched the safe mode, or labelled a text, on one server: the others do the same."""

    id: str
    server: str
    change: dict[str, Any]
    """As `Oversight.follow` takes it."""


decode = msgspec.json.Decoder(PauseNotice | ResumeNotice | GateNotice).decode
"""Decodes one notice. Raises msgspec.MsgspecError."""

"""Names of keys. All keys of a conversation share a hash tag, so that they lie on one node of a cluster."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

from rfsn_core.contract.storage import Scope

PARTS = ("sessions", "seen", "salient", "relationship", "quest", "emotional_trajectory", "meta")
"""Of a conversation: its turns (list), their ids (sorted set), memories (hash), the card in three parts (strings), and
state and version (hash)."""


class Conversation(NamedTuple):
    """The keys of one scope, in the order of `PARTS`."""

    sessions: str
    seen: str
    salient: str
    relationship: str
    quest: str
    emotional_trajectory: str
    meta: str


def member(scope: Scope) -> str:
    """A conversation in the list of its save."""
    return f"{quote(scope.npc, safe='')}:{quote(scope.player, safe='')}"


def scope_of(save: str, name: str) -> Scope:
    """The inverse of `member`."""
    npc, player = name.split(":")
    return Scope(save, unquote(npc), unquote(player))


def conversation(prefix: str, scope: Scope, tag: str = "") -> Conversation:
    """The keys of a scope, or of its snapshot with that tag."""
    start = f"{prefix}npc:{{{quote(scope.save, safe='')}:{member(scope)}}}:"
    ending = f":snapshot:{quote(tag, safe='')}" if tag else ""
    return Conversation(*(f"{start}{part}{ending}" for part in PARTS))


def all_saves(prefix: str) -> str:
    """The set of all saves."""
    return f"{prefix}saves"


def save(prefix: str, name: str) -> str:
    """The set of a save's conversations."""
    return f"{prefix}save:{quote(name, safe='')}"


def snapshots(prefix: str, name: str) -> str:
    """The hash of a save's snapshots."""
    return f"{prefix}snapshots:{quote(name, safe='')}"


class Learning(NamedTuple):
    """The keys of what servers learn, all on one node of a cluster."""

    updates: str
    """A stream."""
    decision: str
    """Begins the key of each decision's hash: its record, and which updates of it are in the log."""
    checkpoints: str
    """The hash of descriptions; its name begins the key of each checkpoint's bytes."""


def learning(prefix: str) -> Learning:
    """The keys of what servers learn."""
    tag = f"{prefix}{{learning}}:"
    return Learning(f"{tag}updates", f"{tag}decision:", f"{tag}checkpoints")


class Notices(NamedTuple):
    """The keys of what servers tell each other, on one node of a cluster."""

    notices: str
    """A stream."""
    servers: str
    """A hash: server → when it asked last, and the position up to which it has heeded."""


def notices(prefix: str) -> Notices:
    """The keys of what servers tell each other."""
    return Notices(f"{prefix}{{servers}}:notices", f"{prefix}{{servers}}:heeded")


def literally(text: str) -> str:
    """A pattern of SCAN that finds only this."""
    return re.sub(r"([*?\[\]\\^])", r"\\\1", text)

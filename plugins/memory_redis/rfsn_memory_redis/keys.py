"""The names of keys. All keys of a conversation share a hash tag, so that they are on one node of a cluster."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

from rfsn_core import Scope

PARTS = ("sessions", "seen", "salient", "relationship", "quest", "emotional_trajectory", "meta")
"""The keys of a conversation:

- `sessions`: its turns as JSON, the oldest first (list)
- `seen`: the ids of these turns, by their number (sorted set)
- `salient`: memory id → newest version of the memory as JSON (hash)
- `relationship`, `quest`, `emotional_trajectory`: the three parts of the card as JSON (strings)
- `meta`: `state` as JSON, `version`, and `count`, the turns that were ever appended (hash)
"""


class Conversation(NamedTuple):
    """The keys of one conversation, in the order of `PARTS`."""

    sessions: str
    seen: str
    salient: str
    relationship: str
    quest: str
    emotional_trajectory: str
    meta: str


def member(scope: Scope) -> str:
    """Return a conversation's name in the set of its save."""
    return f"{quote(scope.npc, safe='')}:{quote(scope.player, safe='')}"


def scope_of(save: str, name: str) -> Scope:
    """Return the scope of a name in the set of a save."""
    npc, player = name.split(":")
    return Scope(save, unquote(npc), unquote(player))


def conversation(prefix: str, scope: Scope, tag: str = "") -> Conversation:
    """Return the keys of a conversation, or of its copy in the snapshot with a tag."""
    start = f"{prefix}npc:{{{quote(scope.save, safe='')}:{member(scope)}}}:"
    ending = f":snapshot:{quote(tag, safe='')}" if tag else ""
    return Conversation(*(f"{start}{part}{ending}" for part in PARTS))


def all_saves(prefix: str) -> str:
    """Return the key of the set of all saves."""
    return f"{prefix}saves"


def save(prefix: str, name: str) -> str:
    """Return the key of the set of a save's conversations."""
    return f"{prefix}save:{quote(name, safe='')}"


def snapshots(prefix: str, name: str) -> str:
    """Return the key of the hash of a save's snapshots."""
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
    """Return the keys of what servers learn."""
    tag = f"{prefix}{{learning}}:"
    return Learning(f"{tag}updates", f"{tag}decision:", f"{tag}checkpoints")


class Notices(NamedTuple):
    """The keys of the notices between servers, all on one node of a cluster."""

    notices: str
    """A stream."""
    servers: str
    """A hash: server → time of its last read, and the position that it has acknowledged."""


def notices(prefix: str) -> Notices:
    """Return the keys of the notices between servers."""
    return Notices(f"{prefix}{{servers}}:notices", f"{prefix}{{servers}}:acknowledged")


def literally(text: str) -> str:
    """Return a pattern of SCAN that matches only this text."""
    return re.sub(r"([*?\[\]\\^])", r"\\\1", text)

"""Names of keys. All keys of a conversation share a hash tag, so that they lie on one node of a cluster."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

from rfsn_core.contract.provider import Scope

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
    """A conversation in the list of its world."""
    return f"{quote(scope.npc, safe='')}:{quote(scope.player, safe='')}"


def scope_of(world: str, name: str) -> Scope:
    """The inverse of `member`."""
    npc, player = name.split(":")
    return Scope(world, unquote(npc), unquote(player))


def conversation(prefix: str, scope: Scope, save: str = "") -> Conversation:
    """The keys of a scope; those of a save of it when one is named."""
    tag = f"{prefix}npc:{{{quote(scope.world, safe='')}:{member(scope)}}}:"
    ending = f":save:{quote(save, safe='')}" if save else ""
    return Conversation(*(f"{tag}{part}{ending}" for part in PARTS))


def worlds(prefix: str) -> str:
    """The set of all worlds."""
    return f"{prefix}worlds"


def world(prefix: str, name: str) -> str:
    """The set of a world's conversations."""
    return f"{prefix}world:{quote(name, safe='')}"


def saves(prefix: str, name: str) -> str:
    """The hash of a world's saves."""
    return f"{prefix}saves:{quote(name, safe='')}"


class Learning(NamedTuple):
    """The keys of what servers learn, all on one node of a cluster."""

    lessons: str
    """A stream."""
    decision: str
    """Begins the hash of each decision: its record, and what was taught about it."""
    snapshots: str
    """A hash of descriptions; begins the key of each snapshot's bytes."""


def learning(prefix: str) -> Learning:
    """The keys of what servers learn."""
    tag = f"{prefix}{{learning}}:"
    return Learning(f"{tag}lessons", f"{tag}decision:", f"{tag}snapshots")


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

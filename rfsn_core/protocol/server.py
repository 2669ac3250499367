"""Messages that the server sends: those of a turn, and here all others."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from rfsn_core.protocol.messages import PROTOCOL, Message
from rfsn_core.protocol.turn import (
    Decision,
    GateWaiting,
    InputBlocked,
    Narration,
    RendererSwitched,
    Sentence,
    SentenceBlocked,
    SpeechDropped,
    SpeechFinished,
    SpeechOff,
    SpeechStarted,
    StateDrift,
    Text,
    TurnCancelled,
    TurnFailed,
    TurnFinished,
    TurnStarted,
    Visemes,
)


class NpcInfo(msgspec.Struct, kw_only=True):
    """One entry of the NPC list in `welcome`."""

    id: str
    name: str
    title: str = ""


class Welcome(Message, tag="welcome", kw_only=True):
    """First message on a connection."""

    protocol: str = PROTOCOL
    server: str
    npcs: list[NpcInfo]


class State(Message, tag="state", kw_only=True):
    """The NPC's state after a turn or game event."""

    npc: str
    player: str
    save: str
    mood: str
    affinity: float
    trust: float
    fear: float
    relationship: str
    turn_id: str | UnsetType = UNSET


class EngineChanged(Message, tag="engine.changed", kw_only=True):
    """An engine's circuit breaker opened (no calls), is half open (one trial call), or closed (normal)."""

    stage: str
    provider: str
    state: str
    """`open`, `half_open` or `closed`."""
    reason: str


class RewardAccepted(Message, tag="reward.accepted", kw_only=True):
    """The reward is stored; `duplicate` is true when it was stored already."""

    decision_id: str
    value: float
    duplicate: bool = False
    quarantined: str = ""
    """Why the reward was quarantined instead, such as an unknown decision; empty when it was stored."""


class Introduced(Message, tag="introduced", kw_only=True):
    """An NPC of the game can be talked to."""

    npc: str
    """The id to use from now on."""
    name: str
    has_file: bool = False
    """True when the world has a file for it, which counts."""


class Remembered(Message, tag="remembered", kw_only=True):
    """How the NPC's memory took in a `remember`."""

    memory_id: str
    status: str
    """`active`, or `quarantined` when the NPC does not believe it."""
    reason: str = ""
    superseded: list[str] = msgspec.field(default_factory=list)
    """Ids of the memories that it replaces."""


class SnapshotTaken(Message, tag="snapshot.taken", kw_only=True):
    """The snapshot is stored; the save can be rolled back to it."""

    save: str
    tag: str
    turns: int


class TurnUndone(Message, tag="turn.undone", kw_only=True):
    """The last turn of a conversation was undone."""

    npc: str
    player: str
    save: str
    decision_id: str = ""
    """Of the turn; empty when there was none to undo, or the store cannot."""


class SaveRolledBack(Message, tag="save.rolled_back", kw_only=True):
    """The save was rolled back to a snapshot. Its running turns were cancelled."""

    save: str
    tag: str
    turns: int


class LearningChanged(Message, tag="learning.changed", kw_only=True):
    """The guard slowed or froze learning, or an operator resumed it."""

    state: str
    """`learning`, `slowed` or `frozen`."""
    reason: str


class ConfigChanged(Message, tag="config.changed", kw_only=True):
    """Changed settings, prompts or NPC files apply from the next turn."""

    files: list[str]
    reopened: list[str]
    """Providers that were opened again, as `stage:name`. All others stayed open."""
    effects: list[str] = msgspec.field(default_factory=list)
    """What became of the changes: `applied: …`, `needs a restart: …`, or `ignored: …` and why."""


class ConfigRejected(Message, tag="config.rejected", kw_only=True):
    """The server refused changed files. The old settings still apply."""

    problems: list[str]


class Error(Message, tag="error", kw_only=True):
    """The server refused a message. The connection stays open."""

    code: str
    message: str
    field: str | UnsetType = UNSET
    turn_id: str | UnsetType = UNSET


class Pong(Message, tag="pong", kw_only=True):
    """Answer to `ping`."""

    id: str = ""


ServerMessage = (
    Welcome
    | TurnStarted
    | Decision
    | Text
    | Sentence
    | Narration
    | InputBlocked
    | GateWaiting
    | SentenceBlocked
    | SpeechStarted
    | Visemes
    | SpeechFinished
    | SpeechDropped
    | SpeechOff
    | State
    | StateDrift
    | RendererSwitched
    | EngineChanged
    | TurnFinished
    | TurnCancelled
    | TurnFailed
    | RewardAccepted
    | Remembered
    | Introduced
    | SnapshotTaken
    | SaveRolledBack
    | TurnUndone
    | LearningChanged
    | ConfigChanged
    | ConfigRejected
    | Error
    | Pong
)


decode_server: Any = msgspec.json.Decoder(ServerMessage).decode
"""Decode JSON text or bytes to a server message, for clients written in Python and for tests."""

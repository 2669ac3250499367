"""Messages that a client sends."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from rfsn_core.protocol.messages import MAX_TEXT, Message, Name


class Hello(Message, tag="hello", kw_only=True):
    """Optional first message: who is calling and what it wants to receive."""

    client: str = ""
    """Name of the game or tool, for the log."""
    audio: bool = True
    """Send speech as binary frames."""
    text: bool = False
    """Send every text delta as it is generated (`text` events)."""
    visemes: bool = False
    """Send mouth shapes with the speech."""
    sample_rate: Annotated[int, Meta(ge=0, le=192_000)] = 0
    """Hz of the speech, 8,000 or more; 0: each voice's own."""
    audio_format: Literal["pcm16", "opus"] = "pcm16"
    """What the binary frames hold: samples, or one Opus packet of 20 ms each."""


class PlayerTurn(Message, tag="turn", kw_only=True):
    """The player says something to an NPC."""

    npc: Name
    """Id or name of the NPC; `welcome` lists them."""
    player: Name = "player"
    """Who is speaking: each player has a relationship of their own with each NPC."""
    text: Annotated[str, Meta(max_length=MAX_TEXT)]
    """What the player says. It may be empty when `signal` is given."""
    save: Name = "default"
    """The save or campaign; memories of one save are unknown in another."""
    state: dict[str, Any] = msgspec.field(default_factory=dict)
    """The game's state as the abstraction sees it, any JSON object. `in_combat`, `quest_active` and `quest_state` are
    taken over; `npc` may hold the game's own `affinity`, `trust`, `fear` and `mood`, to be compared with ours."""
    signal: str = ""
    """The player's signal when the game knows it (`attack`, `offer`, …); else it is read from the text."""
    turn_id: Annotated[str, Meta(max_length=100)] = ""
    """The client's own id for the turn; made by the server when empty."""


class GameEvent(Message, tag="event", kw_only=True):
    """Something happened in the game that the NPC knows of; it changes state and memory, not speech."""

    npc: Name
    kind: Name
    """`gift`, `promise_kept`, `promise_broken`, `betrayal`, `saved_life`, `attacked`, `witnessed_crime`,
    `quest_started`, `quest_completed`, `combat_started`, `combat_ended`; any other is only remembered."""
    player: Name = "player"
    save: Name = "default"
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    """Details, for the memory."""


class Remember(Message, tag="remember", kw_only=True):
    """The game tells an NPC something that it saw or heard of a player; answered with `remembered`."""

    npc: Name
    player: Name = "player"
    save: Name = "default"
    text: Annotated[str, Meta(max_length=2000)] = ""
    """In words, as the NPC would think it. It may be empty for an exact fact: predicate and value."""
    kind: Literal["fact", "event", "promise", "preference"] = "fact"
    subject: Annotated[str, Meta(max_length=200)] = ""
    """Whom or what it is about; empty: the player."""
    predicate: Annotated[str, Meta(max_length=60)] = ""
    """Such as `name`, `home`, `owner`; `memory.single_valued` in the settings says which hold one value at a time."""
    value: Annotated[str, Meta(max_length=200)] = ""
    negated: bool = False
    """It is *not* so."""
    confidence: Annotated[float, Meta(ge=0, le=1)] = 1.0
    importance: Annotated[float, Meta(ge=0, le=1)] = 0.6
    ttl: float | None = None
    """Seconds until it is forgotten; null: never."""


class Prefetch(Message, tag="prefetch", kw_only=True):
    """The player comes near these NPCs: what they know of him is read now, so that their first turn need not wait for
    it. There is no answer."""

    npcs: Annotated[list[Name], Meta(min_length=1, max_length=100)]
    player: Name = "player"
    save: Name = "default"


class TakeSnapshot(Message, tag="snapshot", kw_only=True):
    """The game was saved: what the NPCs of a save know now can be gone back to. Answered with `snapshot.taken`."""

    tag: Name
    """The save's name; one that is there is replaced."""
    save: Name = "default"


class Rollback(Message, tag="rollback", kw_only=True):
    """A save was loaded: the NPCs of that save know what they knew then. Everyone is told, `save.reverted`."""

    tag: Name
    save: Name = "default"


class Cancel(Message, tag="cancel", kw_only=True):
    """Barge-in: stop the turn, its generation, and its speech."""

    turn_id: str


class Reward(Message, tag="reward", kw_only=True):
    """How good a decision was: a number in -1…1, or a named signal whose weight is in the settings."""

    decision_id: str
    value: float | None = None
    """-1…1"""
    signal: str = ""
    """One of `learning.signals` in the settings."""
    reward_id: str = ""
    """The same id twice counts once."""


class Played(Message, tag="played", kw_only=True):
    """How far the player has heard the NPC."""

    turn_id: str
    sentence: Annotated[int, Meta(ge=0)]
    """The sentence that sounds now."""
    ms: Annotated[int, Meta(ge=0)] = 0
    """How much of it was heard."""


class Ping(Message, tag="ping", kw_only=True):
    """Answered with `pong`."""

    id: str = ""


ClientMessage = (
    Hello | PlayerTurn | GameEvent | Remember | Prefetch | TakeSnapshot | Rollback | Cancel | Reward | Played | Ping
)


decode_client: Any = msgspec.json.Decoder(ClientMessage).decode
"""JSON text or bytes → a client message. Raises msgspec.DecodeError or msgspec.ValidationError."""

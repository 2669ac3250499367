"""Messages that a client sends."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from rfsn_core.protocol.messages import MAX_TEXT, Message, Name


class Hello(Message, tag="hello", kw_only=True):
    """Optional first message: who connects, and what it wants to receive."""

    client: str = ""
    """Name of the game or tool, for the log."""
    audio: bool = True
    """Send speech as binary frames."""
    text: bool = False
    """Send every piece of text as soon as it is released (`text` messages)."""
    visemes: bool = False
    """Send mouth shapes with the speech."""
    sample_rate: Annotated[int, Meta(ge=0, le=192_000)] = 0
    """Sample rate of the speech in Hz, 8,000 or more; 0 keeps each voice's own rate."""
    audio_format: Literal["pcm16", "opus"] = "pcm16"
    """What the binary frames hold: samples, or one Opus packet of 20 ms each."""


class PlayerTurn(Message, tag="turn", kw_only=True):
    """The player says something to an NPC."""

    npc: Name
    """Id or name of the NPC; `welcome` lists them."""
    player: Name = "player"
    """Who is speaking. Each NPC has a separate relationship with each player."""
    text: Annotated[str, Meta(max_length=MAX_TEXT)]
    """What the player says. It may be empty when `signal` or `cause` is given."""
    save: Name = "default"
    """The game's save or campaign; memories of one save are unknown in another."""
    state: dict[str, Any] = msgspec.field(default_factory=dict)
    """The game's state, any JSON object; the abstraction reads it. `in_combat`, `quest_active` and `quest_state` are
    copied into the NPC's state. `npc` may contain the game's own `affinity`, `trust`, `fear` and `mood`; the server
    compares them with its own values."""
    signal: str = ""
    """The player's signal (`attack`, `offer`, …) when the game knows it; else it is read from the text."""
    cause: Annotated[str, Meta(max_length=200)] = ""
    """Why the NPC speaks first: `approach` when the player comes near, or the kind of an event. The player says nothing
    then; `text` may say what happened, in words."""
    turn_id: Annotated[str, Meta(max_length=100)] = ""
    """The client's own id for the turn; when empty, the server makes one."""


class GameEvent(Message, tag="event", kw_only=True):
    """Something happened in the game that the NPC knows of. It changes state and memory. The NPC says nothing, unless
    `speak` is true or a trigger of the settings applies: then a turn of the server's own follows."""

    npc: Name
    kind: Name
    """`gift`, `promise_kept`, `promise_broken`, `betrayal`, `saved_life`, `attacked`, `witnessed_crime`,
    `quest_started`, `quest_completed`, `combat_started`, `combat_ended`; any other kind is only remembered."""
    player: Name = "player"
    save: Name = "default"
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    """Details to remember."""
    speak: bool = False
    """The NPC says something about it."""


class ActionResult(Message, tag="result", kw_only=True):
    """What became of an NPC's action in the game. The NPC remembers it; an action that the game did not carry out is no
    candidate for some turns. The answer is `state`."""

    decision_id: str
    outcome: Literal["done", "failed", "refused"]
    reason: Annotated[str, Meta(max_length=500)] = ""
    """Why not, in words: `the door is locked`."""
    speak: bool = False
    """The NPC says something about it."""


class Introduce(Message, tag="introduce", kw_only=True):
    """The game has an NPC that the world has no file for. It gets a profile from what the game says, by the world's
    `kinds`, and is kept. The answer is `introduced`. An NPC with a file stays as it is."""

    npc: Name
    """The game's own id for it."""
    name: Name
    title: Annotated[str, Meta(max_length=200)] = ""
    persona: Annotated[str, Meta(max_length=MAX_TEXT)] = ""
    race: Annotated[str, Meta(max_length=100)] = ""
    gender: Annotated[str, Meta(max_length=100)] = ""
    faction: Annotated[str, Meta(max_length=100)] = ""
    place: Annotated[str, Meta(max_length=200)] = ""
    voice: Annotated[str, Meta(max_length=200)] = ""
    """The game's voice type; `kinds` say which voice that is."""
    tags: list[str] = msgspec.field(default_factory=list)


class EndConversation(Message, tag="end", kw_only=True):
    """The player has left the conversation: walked away, or closed the dialogue. There is no answer. It tells learning
    that nothing follows the NPC's last line."""

    npc: Name
    player: Name = "player"
    save: Name = "default"


class Remember(Message, tag="remember", kw_only=True):
    """The game tells an NPC something that the NPC saw or heard of a player. The answer is `remembered`."""

    npc: Name
    player: Name = "player"
    save: Name = "default"
    text: Annotated[str, Meta(max_length=2000)] = ""
    """The memory in words, as the NPC would think it. It may be empty for an exact fact with predicate and value."""
    kind: Literal["fact", "event", "promise", "preference"] = "fact"
    subject: Annotated[str, Meta(max_length=200)] = ""
    """Person or thing that the memory is about; empty means the player."""
    predicate: Annotated[str, Meta(max_length=60)] = ""
    """Such as `name`, `home`, `owner`. `memory.single_valued` in the settings lists those with one value at a time."""
    value: Annotated[str, Meta(max_length=200)] = ""
    negated: bool = False
    """True when the statement is *not* so."""
    confidence: Annotated[float, Meta(ge=0, le=1)] = 1.0
    importance: Annotated[float, Meta(ge=0, le=1)] = 0.6
    ttl: float | None = None
    """Seconds until it is forgotten; null: never."""


class Prefetch(Message, tag="prefetch", kw_only=True):
    """The player comes near these NPCs. The server reads their memories of the player now, so that the first turn need
    not wait for them. There is no answer."""

    npcs: Annotated[list[Name], Meta(min_length=1, max_length=100)]
    player: Name = "player"
    save: Name = "default"


class TakeSnapshot(Message, tag="snapshot", kw_only=True):
    """The game was saved. The server keeps what the NPCs know now, to roll back to. The answer is `snapshot.taken`."""

    tag: Name
    """Name of the snapshot; an existing one of this name is replaced."""
    save: Name = "default"


class Rollback(Message, tag="rollback", kw_only=True):
    """The game was loaded. The NPCs know what they knew at the snapshot. Every client receives `save.rolled_back`."""

    tag: Name
    """Name of the snapshot."""
    save: Name = "default"


class Undo(Message, tag="undo", kw_only=True):
    """Undo the last turn with an NPC: its words, its memories and what it changed. The answer is `turn.undone`."""

    npc: Name
    player: Name = "player"
    save: Name = "default"
    decision_id: str = ""
    """Only if the last turn is the one of this decision; empty: whichever it is."""


class Cancel(Message, tag="cancel", kw_only=True):
    """Stop the turn, its generation and its speech (barge-in)."""

    turn_id: str


class Reward(Message, tag="reward", kw_only=True):
    """How good a decision was: a number in -1…1, or a named signal whose value is in the settings."""

    decision_id: str
    value: float | None = None
    """-1…1; left out when `signal` is given."""
    signal: str = ""
    """One of `learning.signals` in the settings."""
    reward_id: str = ""
    """Client's own id. The server counts each id once, so a reward can be sent again safely."""


class Played(Message, tag="played", kw_only=True):
    """How much of the NPC's speech the player has heard."""

    turn_id: str
    sentence: Annotated[int, Meta(ge=0)]
    """Index of the sentence that is playing now."""
    ms: Annotated[int, Meta(ge=0)] = 0
    """Milliseconds of that sentence that were played."""


class Ping(Message, tag="ping", kw_only=True):
    """Check that the server answers. The answer is `pong`."""

    id: str = ""


ClientMessage = (
    Hello
    | PlayerTurn
    | GameEvent
    | EndConversation
    | ActionResult
    | Introduce
    | Remember
    | Prefetch
    | TakeSnapshot
    | Rollback
    | Undo
    | Cancel
    | Reward
    | Played
    | Ping
)


decode_client: Any = msgspec.json.Decoder(ClientMessage).decode
"""Decode JSON text or bytes to a client message. Raises msgspec.DecodeError or msgspec.ValidationError."""

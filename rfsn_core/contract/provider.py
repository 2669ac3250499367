"""The contract of the six stages: what a provider is, what it gets, and what it must do.

A plugin offers `Provider` descriptors from its stage hook (see `hookspecs`); the runtime validates the
provider's settings, opens it once, and calls the opened object on every turn. The six protocols below are
structural: nothing has to be inherited.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

from rfsn_core.protocol.events import Usage, Viseme

T = TypeVar("T")

STAGES = ("abstraction", "selection", "rendering", "gating", "speech", "storage", "embedding")
"""The six places a plugin can fill; also the tables of the settings file."""


class Clock(Protocol):
    """Where providers get the time, so that a run can be repeated."""

    def time(self) -> float:
        """Seconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds that never go backwards."""


@dataclass(frozen=True)
class Host:
    """What the kernel lends a provider while it is open."""

    data_dir: Path
    """A folder for the provider's own files. It exists when storage providers open; others create it."""
    world_dir: Path
    """The world's folder: paths in a provider's settings are relative to it."""
    log: logging.Logger
    clock: Clock
    random: Random
    """Seeded by the settings: use it for everything that may vary between runs."""


@dataclass(frozen=True)
class Provider(Generic[T]):
    """A named implementation of a stage, as a plugin offers it.

    `open(settings, host)` returns an async context manager that yields the working object. It is entered
    and left in one task, so anything may be acquired inside; import the heavy engine there, not at the
    top of the module.
    """

    name: str
    """What the settings file says: `provider = "name"`."""
    settings: type[BaseModel]
    """Validated before anything opens. Describe each field: the documentation is made from it."""
    open: Callable[[Any, Host], AbstractAsyncContextManager[T]]
    about: str = ""
    """One line for `rfsn plugins`."""


class NoSettings(BaseModel, extra="forbid"):
    """For a provider that has nothing to set."""


# ── abstraction ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Abstraction:
    """The game and the NPC, made small enough to decide on."""

    key: str
    """Hierarchical and readable: `LOCATION:tavern|QUEST_STATE:active`."""
    version: str
    """Changes when the rules do, so that old statistics are never mistaken for new ones."""
    features: tuple[float, ...]
    """The policy's context vector, each entry in -1…1."""
    names: tuple[str, ...]
    """One name for each feature."""


class Abstractor(Protocol):
    """Game state → a state the policy can learn on."""

    def abstract(self, game: Mapping[str, Any], npc: Mapping[str, Any]) -> Abstraction:
        """Pure and synchronous: the same input gives the same output on every machine.

        :param game: the state the client sent, any JSON object; unknown or malformed fields fall into
            an `unknown` bucket and never raise.
        :param npc: the NPC's own state as plain values (mood, affinity, trust, fear, relationship,
            signal, in_combat, quest_active).
        """


# ── selection ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Arm:
    """Something the policy may choose."""

    name: str
    prior: float
    """The world model's score for it, about -1…1."""


@dataclass(frozen=True)
class Context:
    """What the policy knows when it chooses."""

    decision_id: str
    slot: str
    """`action` or `style`: the two parts of one decision."""
    npc: str
    session: str
    abstraction: Abstraction
    chosen: str = ""
    """The action already chosen, when the slot is `style`."""
    explore: bool = True
    """False: take the best arm, with probability 1."""


@dataclass(frozen=True)
class Selection:
    """The choice, with what is needed to learn from it later."""

    arm: str
    propensities: tuple[float, ...]
    """The probability with which each arm would have been chosen, in the order of the arms; sums to 1."""
    scores: tuple[float, ...]
    draw: float | None = None
    """The number in [0, 1) that was drawn: the chosen arm is the first whose cumulated propensity is above it.
    None for a policy that draws nothing."""


@dataclass(frozen=True)
class Lesson:
    """A reward for an earlier choice."""

    context: Context
    """As it was when the choice was made."""
    arm: str
    prior: float
    """The arm's prior at the time."""
    propensity: float
    reward: float
    """-1…1"""
    again: bool = False
    """The choice was learned from before: this reward adds to the first one, and is no second observation."""
    weight: float = 1.0
    """Of the observation, 0…1; the guard lowers it."""
    max_step: float = math.inf
    """How far the weights may move, as a Euclidean norm. The policy lowers the weight until they do not."""


@dataclass(frozen=True)
class Step:
    """What a lesson did. `size` is how far the weights moved; 0 for a policy that does not learn."""

    size: float = 0.0
    weight: float = 1.0
    """The weight that the observation got in the end."""


class Policy(Protocol):
    """Chooses among what the safety rules left. Synchronous, and fast: microseconds.

    One that never learns may say so with `learns = False`: it is then spared all lessons.
    """

    version: str

    def select(self, context: Context, arms: Sequence[Arm]) -> Selection:
        """Choose one of `arms`, of which there is at least one."""

    def update(self, lesson: Lesson) -> Step:
        """Learn. Raises ValueError, with nothing changed, for a lesson that cannot be: not finite, out of range."""

    def snapshot(self) -> bytes:
        """All that was learned; `b""` when there is nothing."""

    def restore(self, snapshot: bytes) -> None:
        """Take over what an earlier instance learned. Raises ValueError when it is not one of ours."""


# ── rendering ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class ChatMessage:
    """One message of a prompt; `role` is `system`, `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """All a renderer needs to word a decision: the messages for a model, and the facts behind them."""

    npc: str
    name: str
    """The NPC's display name."""
    player: str
    action: str
    style: str
    instruction: str
    """What the action means, for the model."""
    player_text: str
    messages: tuple[ChatMessage, ...]
    persona: Mapping[str, Any] = field(default_factory=dict)
    """The NPC's persona and its own lines, from its file."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """The NPC's state, as for the abstractor."""
    memories: tuple[str, ...] = ()
    seed: int = 0
    """Different for every turn and the same when the turn is replayed."""
    avoid: tuple[str, ...] = ()
    """What the NPC said last; not to be repeated."""
    final_json: bool = False
    """Whether the messages ask for a FINAL_JSON block after the words; see `dialogue/reply.py`."""
    labels: tuple[str, ...] = ()
    """Names that a model might put in front of what it says: those of the world's NPCs."""
    tokens: int = 0
    """About how many tokens the messages have."""
    provenance: tuple[str, ...] = ()
    """Of the memories that are not turns: kind, id and source of each."""
    notes: tuple[str, ...] = ()
    """What was left out to keep the budget, and what went wrong."""


@dataclass(frozen=True)
class RenderOptions:
    """Settings that a person may tune while the server runs. None: the provider's own setting."""

    temperature: float | None = None
    max_tokens: int | None = None

    def over(self, temperature: float, max_tokens: int) -> tuple[float, int]:
        """(temperature, max_tokens) to use, given the provider's own."""
        return (
            temperature if self.temperature is None else self.temperature,
            max_tokens if self.max_tokens is None else self.max_tokens,
        )


class Renderer(Protocol):
    """Words a decision. It never decides.

    One that does not follow the prompt's messages says so with `reports = False`: no FINAL_JSON is then missed in what
    it says. It may have `async def health(self) -> str`, one line on what is there, and `async def models(self) ->
    Sequence[str]`; both raise `EngineError` with a hint that says what to do.
    """

    def render(self, prompt: Prompt, options: RenderOptions) -> AsyncIterator[str | Usage]:
        """Stream the text, token by token or in larger pieces; and what the engine says of its usage, if it does.

        Closing the iterator stops the engine at once. Raise `EngineError` when the engine fails.
        """


# ── gating ───────────────────────────────────────────────────────────────────────────────────────

SEVERITY = {"allow": 0, "rewrite": 1, "block": 2, "needs_approval": 3}
"""Verdicts, mildest first: of several gates the most severe wins."""


@dataclass(frozen=True)
class Utterance:
    """A text to be checked before it goes further."""

    text: str
    side: str
    """`player` for what the player typed, `npc` for a sentence about to be sent."""
    npc: str
    action: str = ""
    in_combat: bool = False


@dataclass(frozen=True)
class Verdict:
    """What a gate says of a text."""

    kind: str
    """`allow`, `rewrite` (say `text` instead), `block`, or `needs_approval`."""
    reasons: tuple[str, ...] = ()
    """Stable codes, such as `self_harm`."""
    text: str = ""
    confidence: float = 1.0
    intent: str = ""
    sentiment: float = 0.0
    """-1…1."""


class Gate(Protocol):
    """Checks what the player says and every sentence before it is sent or spoken."""

    async def check(self, utterance: Utterance) -> Verdict:
        """Raise, or take too long, and the kernel blocks the text: gates fail closed."""


# ── speech ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class VoiceStyle:
    """How one NPC sounds. Engines use what they can."""

    voice: str = ""
    """The engine's voice name; empty for its default."""
    rate: float = 1.0
    """1 is the engine's normal speed."""
    pitch: float = 1.0
    volume: float = 1.0
    mood: str = ""
    """How the NPC feels, and the style in which it speaks, for engines that can do more than rate, pitch and volume:
    those follow both already."""
    style: str = ""


@dataclass(frozen=True)
class Speech:
    """A piece of speech: PCM16 mono, and the mouth shapes that begin in it."""

    pcm: bytes
    visemes: tuple[Viseme, ...] = ()


@runtime_checkable
class Voice(Protocol):
    """Speaks sentences.

    One that knows nothing of mouth shapes says so with `visemes = False`: they are then estimated. It may have
    `async def health(self) -> str` and `async def voices(self) -> Sequence[str]`, as renderers have.
    """

    sample_rate: int
    """Hz; 0 for a voice that is silent."""

    def speak(self, text: str, voice: VoiceStyle) -> AsyncIterator[Speech]:
        """Stream the audio of one sentence as it is made.

        Must not hold up the event loop, and must stop when the iterator is closed. Text without anything
        to say yields nothing. Raise `EngineError` when the engine fails.
        """


# ── storage ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Scope:
    """Whose memory: one NPC with one player in one world. Always compared exactly."""

    world: str
    npc: str
    player: str

    @property
    def session(self) -> str:
        """As one text."""
        return "/".join((self.world, self.npc, self.player))

    def within(self, world: str, npc: str, player: str) -> bool:
        """Whether it is selected; an empty text selects all."""
        return world in ("", self.world) and npc in ("", self.npc) and player in ("", self.player)


class MemoryKind(StrEnum):
    """What is remembered."""

    CONVERSATION_TURN = "conversation_turn"
    FACT = "fact"
    EVENT = "event"
    PROMISE = "promise"
    PREFERENCE = "preference"
    SUMMARY = "summary"


class MemorySource(StrEnum):
    """Who said so, the most trusted first."""

    OPERATOR = "operator"
    GAME = "game"
    NPC_RESPONSE = "npc_response"
    PLAYER = "player"
    INFERRED = "inferred"


class MemoryStatus(StrEnum):
    """Only what is active reaches an NPC; the rest is kept, with the reason."""

    ACTIVE = "active"
    SUPERSEDED = "superseded"
    QUARANTINED = "quarantined"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, kw_only=True)
class MemoryRecord:
    """A version of something that an NPC knows of a player, and why. The newest version of an id counts."""

    memory_id: str
    kind: MemoryKind
    source: MemorySource
    text: str
    time: float
    confidence: float = 1.0
    """0…1"""
    importance: float = 0.5
    """0…1"""
    turn_id: str = ""
    """The turn in which it was learned, and its decision."""
    decision_id: str = ""
    subject: str = ""
    """Of a fact, with `predicate`, `value` and whether it is denied: what exact contradictions are found by."""
    predicate: str = ""
    value: str = ""
    negated: bool = False
    expires: float | None = None
    """Unix time; None: never."""
    status: MemoryStatus = MemoryStatus.ACTIVE
    reason: str = ""
    """Why it is not active, or what is odd about it."""
    by: str = ""
    """The memory that it yielded to."""


GOVERNED = "governed"
"""Outcome of a turn without words, which only carries a change of memories."""


@dataclass(frozen=True)
class TurnRecord:
    """A turn as it is remembered: all that is stored. State, memories and cards are read off the turns."""

    turn_id: str
    scope: Scope
    time: float
    player_text: str
    npc_text: str
    """What was delivered, which after a barge-in is less than what was meant."""
    outcome: str
    """`complete`, `cancelled`, `event`, `governed`, or the reason why the text is cut short."""
    decision_id: str
    state: Mapping[str, Any]
    """The NPC's state after the turn."""
    memories: tuple[MemoryRecord, ...] = ()
    """New memories, and new versions of older ones."""
    card: Mapping[str, Any] | None = None
    """The memory card after the turn, when it changed."""

    @property
    def spoken(self) -> bool:
        """Whether it is part of what was said and done between the two."""
        return self.outcome != GOVERNED


@dataclass(frozen=True)
class Past:
    """What an NPC and a player have behind them."""

    state: Mapping[str, Any] | None = None
    """None before the first turn."""
    turns: Sequence[TurnRecord] = ()
    """The last ones, oldest first."""
    memories: Sequence[MemoryRecord] = ()
    """The newest version of each, oldest first."""
    card: Mapping[str, Any] | None = None
    version: str = field(default="", compare=False)
    """Of a shared store: changes with every turn of the conversation."""


@dataclass(frozen=True)
class Found:
    """A turn that a search found."""

    turn: TurnRecord
    relevance: float
    """Above 0; comparable within one search."""


@dataclass(frozen=True)
class Backup:
    """A copy of the store on disk."""

    name: str
    time: float
    size: int


@dataclass(frozen=True)
class Snapshot:
    """A world as it was, under the name of a save."""

    world: str
    tag: str
    time: float
    turns: int


class Store(Protocol):
    """Remembers. Nothing is acknowledged before it is safe on disk. Scopes are compared exactly.

    `world`, `npc` and `player` as strings select what is equal; empty, all.
    """

    async def load(self, scope: Scope, turns: int) -> Past:
        """All that a turn begins with, in one go."""

    async def append(self, turn: TurnRecord) -> None:
        """Store a turn with all it changed, or nothing. The same turn_id again changes nothing."""

    async def search(self, scope: Scope, query: str, limit: int) -> Sequence[Found]:
        """Turns that contain the query's words, best first. Any text is a valid query."""

    async def stats(self, npc: str) -> Mapping[str, Any]:
        """Counts and times of an NPC's memory."""

    async def snapshot(self, world: str, tag: str) -> Snapshot:
        """Remember what a world is like now, under a tag; one that is there is replaced."""

    async def snapshots(self, world: str) -> Sequence[Snapshot]:
        """What `rollback` can go to, newest first."""

    async def rollback(self, world: str, tag: str) -> int:
        """Make a world what it was, and return how many turns it has. What came after is kept for other tags.

        Raises StoreError when there is no such tag.
        """

    def export(self, world: str, npc: str, player: str) -> AsyncIterator[TurnRecord]:
        """Turns as `append` takes them, those of a conversation oldest first; never all of them in memory."""

    async def erase(self, world: str, npc: str, player: str, *, backups: bool) -> int:
        """Leave no trace of turns, in backups neither if told so; returns how many there were."""

    async def check(self) -> Sequence[str]:
        """What is damaged, in words; empty when all is whole."""

    async def backup(self) -> Backup:
        """Copy the whole store while it is in use."""

    async def backups(self) -> Sequence[Backup]:
        """What `restore` can take, newest first."""

    async def restore(self, name: str) -> None:
        """Replace the store's content by a backup, after backing up what is there."""

    async def reset(self, npc: str) -> Backup:
        """Forget an NPC, after backing up."""


class Embedder(Protocol):
    """Texts → points that are near each other when the texts mean alike."""

    async def embed(self, texts: Sequence[str]) -> Any:
        """An array of shape (len(texts), d), or rows that numpy makes one of; each of length 1, or 0 for a text
        that says nothing. A turn waits for that of one text."""


@runtime_checkable
class Archive(Protocol):
    """Where turns go to stay; no turn ever waits for it, or reads from it.

    A provider of the storage stage that `archive` in `[storage]` names. Opening it must not wait for a database.
    """

    async def archive(self, turns: Sequence[TurnRecord]) -> None:
        """Take turns, all or none; one that is there stays as it is."""

    async def erase(self, world: str, npc: str, player: str) -> int:
        """Leave no trace of what is selected; an empty text selects all."""

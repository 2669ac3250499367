"""Dialects: the wires of other servers, on which existing clients talk to the NPCs of this one."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pydantic import BaseModel, Field

from rfsn_core.protocol.audio import AudioFrame
from rfsn_core.protocol.client import ActionResult, GameEvent, Hello, Introduce, PlayerTurn, Reward, Undo
from rfsn_core.protocol.server import Introduced, NpcInfo, RewardAccepted, ServerMessage, State

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

S = TypeVar("S", bound="DialectSettings")


class DialectSettings(BaseModel, extra="forbid"):
    """What every dialect can be told. A dialect's own settings inherit from it."""

    enabled: bool = Field(True, description="Whether the server speaks it.")
    port: int = Field(0, ge=0, le=65535, description="A port of its own, on this machine only; 0: the server's port.")


class DialectTurn(Protocol):
    """A turn that a dialect began. Iterate over it once: it ends after the message that ends the turn."""

    @property
    def turn_id(self) -> str:
        """The turn's id."""

    def __aiter__(self) -> AsyncIterator[ServerMessage | AudioFrame]:
        """Yield the turn's messages and, if they were asked for, its audio frames, in order."""

    def played(self, sentence: int, ms: int) -> None:
        """Note that the player has heard this much; after `cancel` the NPC remembers no more than that.

        Sentence -1 stands for nothing at all; 0 ms for the whole sentence.
        """

    async def cancel(self) -> None:
        """Stop the turn, if it still runs, and wait until what was heard is stored."""


@dataclass(frozen=True)
class Sound:
    """A text as sound."""

    sample_rate: int
    """Hz."""
    pcm: bytes
    """PCM16, mono, little-endian."""


class DialectHost(Protocol):
    """What the server gives a dialect while it is open: all that a client of `rfsn.v1` may ask for, and speech alone.

    Every method raises UnknownNpc for an NPC that does not exist, and BadMessage for a field out of bounds.
    """

    @property
    def world_dir(self) -> Path:
        """The world's folder: paths in a dialect's settings are relative to it."""

    @property
    def data_dir(self) -> Path:
        """A folder for the dialect's own files."""

    @property
    def log(self) -> logging.Logger:
        """The dialect's log."""

    @property
    def has_voice(self) -> bool:
        """Whether turns have sound: without a voice they have text only."""

    def npcs(self) -> Sequence[NpcInfo]:
        """Return the NPCs, in the world's order."""

    def npc(self, name: str) -> NpcInfo:
        """Return the NPC of an id or a display name."""

    def introduce(self, npc: Introduce) -> Introduced:
        """Make an NPC that the world has no file for, from what the game says. Raises UserError."""

    def begin(self, turn: PlayerTurn, wants: Hello | None = None) -> DialectTurn:
        """Begin a turn. Raises ConversationBusy or ShuttingDown.

        :param wants: what the turn sends; by default no sound.
        """

    async def undo(self, message: Undo) -> bool:
        """Undo the last turn of a conversation: its words, its memories and what it changed in the NPC.

        Returns False when there is none, or the store cannot. Raises StoreError.
        """

    async def event(self, event: GameEvent) -> State:
        """Tell an NPC what happened in the game. Raises StoreError."""

    async def result(self, result: ActionResult) -> State:
        """Tell an NPC what became of its action. Raises UnknownDecision or StoreError."""

    async def reward(self, reward: Reward) -> RewardAccepted:
        """Reward a decision. Raises UnknownDecision or StoreError."""

    async def speak(self, text: str, voice: str = "", rate: float = 1.0) -> Sound:
        """Return a text as sound. Raises EngineError when no voice can speak it.

        :param voice: id or name of an NPC, which speaks as in its file, or a voice of the speech engine.
        :param rate: 1 is the normal speed.
        """

    async def voices(self) -> Sequence[str]:
        """Return the speech engine's voices; none when it does not list them."""


@dataclass(frozen=True)
class Dialect(Generic[S]):
    """A dialect, as a plugin offers it by `rfsn_dialects`.

    `open(settings, host)` returns an async context manager that yields the routes. They are served from the root, on
    the server's port or on the dialect's own. On its own port no key is asked for, because clients that know another
    server's wire cannot send ours; so it listens on this machine only.
    """

    name: str
    """Its table in the settings: `[dialects.name]`."""
    settings: type[S]
    open: Callable[[S, DialectHost], AbstractAsyncContextManager[Iterable[BaseRoute]]]
    about: str = ""
    """One line for `rfsn plugins`."""

"""The speech stage: sentences → audio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from rfsn_core.protocol.turn import Viseme


@dataclass(frozen=True)
class VoiceStyle:
    """How one NPC sounds. Engines use what they can."""

    voice: str = ""
    """The engine's voice name; empty for its default."""
    rate: float = 1.0
    """1 is the engine's normal speed."""
    pitch: float = 1.0
    volume: float = 1.0
    language: str = ""
    """What the NPC speaks, as ISO 639-1 (`de`); empty: not known. For engines whose default voice speaks another."""
    mood: str = ""
    """How the NPC feels, and the style in which it speaks, for engines that can do more than rate, pitch and volume:
    those follow both already."""
    style: str = ""


@dataclass(frozen=True)
class Speech:
    """A piece of speech."""

    pcm: bytes
    """PCM16, mono, little-endian."""
    visemes: tuple[Viseme, ...] | None = None
    """The mouth shapes that begin in it; None where the engine does not know any: they are then estimated."""


class Voice(Protocol):
    """Speaks sentences. See `HasHealth` and `ListsVoices` for what it may have besides."""

    sample_rate: int
    """Hz; 0 for a voice that is silent."""

    def speak(self, text: str, voice: VoiceStyle) -> AsyncIterator[Speech]:
        """Stream the audio of one sentence as it is made.

        Must not hold up the event loop, and must stop when the iterator is closed. Text without anything
        to say yields nothing. Raise `EngineError` when the engine fails.
        """

"""Binary frames that carry speech."""

from __future__ import annotations

import struct
from typing import NamedTuple

AUDIO_VERSION = 1


AUDIO_LAST = 1
"""Flag: this is the sentence's last frame (it may hold no samples)."""


_header = struct.Struct("<BBHII")


HEADER_SIZE = _header.size


class AudioFrame(NamedTuple):
    """A decoded binary frame."""

    flags: int
    sentence: int
    turn_no: int
    sequence: int
    pcm: bytes


def audio_frame(sentence: int, turn_no: int, sequence: int, pcm: bytes, *, last: bool = False) -> bytes:
    """A binary frame: 12 little-endian header bytes (u8 version, u8 flags, u16 sentence, u32 turn, u32
    sequence), then PCM16 mono. `sequence` counts a sentence's frames from 0."""
    flags = AUDIO_LAST if last else 0
    return _header.pack(AUDIO_VERSION, flags, sentence & 0xFFFF, turn_no & 0xFFFFFFFF, sequence) + pcm


def read_audio_frame(frame: bytes) -> AudioFrame:
    """The parts of a binary frame. Raises ValueError when it is too short or of another version."""
    if len(frame) < HEADER_SIZE or frame[0] != AUDIO_VERSION:
        raise ValueError("not an rfsn.v1 audio frame")
    _, flags, sentence, turn_no, sequence = _header.unpack_from(frame)
    return AudioFrame(flags, sentence, turn_no, sequence, frame[HEADER_SIZE:])

"""Binary frames that carry speech."""

from __future__ import annotations

import struct
from typing import NamedTuple

AUDIO_VERSION = 1


AUDIO_LAST = 1
"""Flag of the last frame of a sentence. That frame may be empty."""


_header = struct.Struct("<BBHII")


HEADER_SIZE = _header.size


class AudioFrame(NamedTuple):
    """The decoded parts of a binary frame."""

    flags: int
    sentence: int
    turn_no: int
    sequence: int
    pcm: bytes


def audio_frame(sentence: int, turn_no: int, sequence: int, pcm: bytes, *, last: bool = False) -> bytes:
    """Return a binary frame: 12 bytes of little-endian header, then PCM16 mono samples or one Opus packet.

    The header is u8 version, u8 flags, u16 sentence, u32 turn, u32 sequence. `sequence` counts the frames of a
    sentence from 0.
    """
    flags = AUDIO_LAST if last else 0
    return _header.pack(AUDIO_VERSION, flags, sentence & 0xFFFF, turn_no & 0xFFFFFFFF, sequence) + pcm


def read_audio_frame(frame: bytes) -> AudioFrame:
    """Decode a binary frame. Raises ValueError when it is too short or has another version."""
    if len(frame) < HEADER_SIZE or frame[0] != AUDIO_VERSION:
        raise ValueError("not an rfsn.v1 audio frame")
    _, flags, sentence, turn_no, sequence = _header.unpack_from(frame)
    return AudioFrame(flags, sentence, turn_no, sequence, frame[HEADER_SIZE:])

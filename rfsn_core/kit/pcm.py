"""Conversion of an engine's samples to PCM16, WAV files, and cutting of long sentences into clauses."""

from __future__ import annotations

import io
import re
import wave

import numpy as np
from numpy.typing import NDArray

_CLAUSE = re.compile(r"(?<=[,;:—–])\s+|\s+(?=(?:and|but|or|because|when|while|which|who)\s)")


def pcm16(samples: NDArray[np.float32], volume: float = 1.0) -> bytes:
    """Return samples in -1…1 as 16-bit PCM, clipped, little-endian. NaN becomes silence."""
    scaled = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0) * (32767 * volume)
    return bytes(np.clip(scaled, -32768, 32767).astype("<i2").tobytes())


def wav_bytes(pcm: bytes, sample_rate: int) -> bytes:
    """Return PCM16 mono as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(sample_rate)
        writer.writeframes(pcm)
    return file.getvalue()


def clauses(text: str, first: int = 60, rest: int = 250) -> list[str]:
    """Cut a sentence where a speaker breathes. The first piece is short, so that its sound comes early.

    :param first: characters after which the first piece may end.
    :param rest: the same for the others. A piece without a clause's end in it stays whole.
    """
    pieces: list[str] = []
    piece = ""
    for part in _CLAUSE.split(text):
        piece = f"{piece} {part}" if piece else part
        if len(piece) >= (rest if pieces else first):
            pieces.append(piece)
            piece = ""
    if piece:
        # A word or two alone would sound cut off.
        if pieces and len(piece) < 15:
            pieces[-1] = f"{pieces[-1]} {piece}"
        else:
            pieces.append(piece)
    return pieces

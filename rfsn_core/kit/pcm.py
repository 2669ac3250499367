"""From an engine's floats to PCM16, and from a long sentence to pieces whose first sound comes early."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

_CLAUSE = re.compile(r"(?<=[,;:—–])\s+|\s+(?=(?:and|but|or|because|when|while|which|who)\s)")


def pcm16(samples: NDArray[np.float32], volume: float = 1.0) -> bytes:
    """Floats in -1…1 as 16 bit, clipped, little-endian. What is not a number is silence."""
    scaled = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0) * (32767 * volume)
    return bytes(np.clip(scaled, -32768, 32767).astype("<i2").tobytes())


def clauses(text: str, first: int = 60, rest: int = 250) -> list[str]:
    """A sentence in pieces, cut where a speaker breathes: the first one short, so that its sound comes early.

    :param first: characters after which the first piece may end.
    :param rest: the same for the others. A piece without a clause's end in it stays whole.
    """
    pieces: list[str] = []
    held = ""
    for part in _CLAUSE.split(text):
        held = f"{held} {part}" if held else part
        if len(held) >= (rest if pieces else first):
            pieces.append(held)
            held = ""
    if held:
        # A word or two alone would sound cut off.
        if pieces and len(held) < 15:
            pieces[-1] = f"{pieces[-1]} {held}"
        else:
            pieces.append(held)
    return pieces

"""Sound at the rate that a client asks for."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from rfsn_core.contract.errors import UserError


def available() -> None:
    """Raise UserError, which says what to install, when rates cannot be converted."""
    _soxr()


def _soxr() -> Any:
    try:
        return importlib.import_module("soxr")
    except ImportError as error:
        hint = 'On the server: pip install "rfsn-core[resample]"'
        raise UserError("this server cannot convert sample rates", hint=hint) from error


class Resampler:
    """PCM16 mono from one rate to another, piece by piece, without a click between the pieces."""

    def __init__(self, rate: int, wanted: int) -> None:
        self._stream = None if rate == wanted else _soxr().ResampleStream(rate, wanted, 1, dtype="int16")

    def feed(self, pcm: bytes) -> bytes:
        """Return the part that can be converted now; the rest comes with the next piece."""
        return pcm if self._stream is None else self._convert(pcm)

    def finish(self) -> bytes:
        """Return the rest."""
        return b"" if self._stream is None else self._convert(b"", last=True)

    def _convert(self, pcm: bytes, *, last: bool = False) -> bytes:
        assert self._stream is not None
        return bytes(self._stream.resample_chunk(np.frombuffer(pcm, "<i2"), last=last).astype("<i2").tobytes())

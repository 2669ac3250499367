"""Cuts the sound of a sentence into frames: PCM samples, or Opus packets."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np

from rfsn_core.contract.errors import UserError

AudioFormat = Literal["pcm16", "opus"]

LARGEST = 8192
"""Bytes of samples in a frame: about 0.2 s at 22 kHz."""
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
OPUS_FRAME_MS = 20
OPUS_BITS = 32_000
"""Bits per second; the Opus project recommends this for full-band speech."""


def available(audio_format: AudioFormat) -> None:
    """Check that a format can be sent. Raises UserError, which says what to install."""
    if audio_format == "opus":
        _av()


def _av() -> Any:
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise UserError("this server cannot make Opus", hint='On the server: pip install "rfsn-core[opus]"') from error


class Frames(Protocol):
    """The frames of one sentence."""

    rate: int
    """Hz of the samples that it takes."""
    pre_skip: int
    """Samples at 48 kHz that a decoder drops at the beginning."""

    def feed(self, pcm: bytes) -> Sequence[bytes]:
        """Take samples; return the frames that are full now."""

    def finish(self) -> Sequence[bytes]:
        """Return the rest."""


def frames(audio_format: AudioFormat, rate: int) -> Frames:
    """Return the frames for samples of `rate` Hz, or of the next rate that the format supports."""
    if audio_format == "pcm16":
        return Pcm(rate)
    return Opus(next((known for known in OPUS_RATES if known >= rate), OPUS_RATES[-1]))


class Pcm:
    """PCM16 mono, little endian."""

    pre_skip = 0

    def __init__(self, rate: int) -> None:
        self.rate = rate

    def feed(self, pcm: bytes) -> Sequence[bytes]:
        """Return pieces of at most `LARGEST` bytes."""
        return [pcm[start : start + LARGEST] for start in range(0, len(pcm), LARGEST)]

    def finish(self) -> Sequence[bytes]:
        """Return nothing: no samples are kept back."""
        return ()


class Opus:
    """Opus, one packet in each frame. The last is padded with silence: `duration_ms` says where the sound ends."""

    def __init__(self, rate: int) -> None:
        av = _av()
        self.rate = rate
        self._frame = av.AudioFrame
        self._codec = codec = av.CodecContext.create("libopus", "w")
        codec.sample_rate, codec.layout, codec.format, codec.bit_rate = rate, "mono", "s16", OPUS_BITS
        codec.options = {"application": "voip", "frame_duration": str(OPUS_FRAME_MS)}
        codec.open()
        self.pre_skip = int.from_bytes(codec.extradata[10:12], "little")  # of OpusHead, RFC 7845
        self._size = 2 * rate * OPUS_FRAME_MS // 1000
        self._rest = b""
        self._at = 0

    def feed(self, pcm: bytes) -> Sequence[bytes]:
        """Return packets of 20 ms."""
        have = self._rest + pcm
        whole = len(have) - len(have) % self._size
        self._rest = have[whole:]
        return [packet for at in range(0, whole, self._size) for packet in self._packets(have[at : at + self._size])]

    def finish(self) -> Sequence[bytes]:
        """Return the rest, with what the encoder kept back."""
        rest, self._rest = self._rest, b""
        last = self._packets(rest.ljust(self._size, b"\0")) if rest else []
        return [*last, *map(bytes, self._codec.encode(None))]

    def _packets(self, pcm: bytes) -> list[bytes]:
        frame = self._frame.from_ndarray(np.frombuffer(pcm, "<i2")[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = self.rate, self._at
        self._at += len(pcm) // 2
        return list(map(bytes, self._codec.encode(frame)))

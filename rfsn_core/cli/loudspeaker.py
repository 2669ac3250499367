"""Plays sound on this machine's audio device."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from rfsn_core.contract.errors import UserError


class Loudspeaker:
    """The default audio output. Raises UserError, with what to do, when there is none."""

    def __init__(self) -> None:
        try:
            self._device: Any = importlib.import_module("sounddevice")
        except ImportError as error:
            raise UserError("no sound", hint='pip install "rfsn-core[sound]"') from error
        except OSError as error:  # PortAudio is missing; only on Linux is it not part of the package
            raise UserError(f"no sound: {error}", hint="sudo apt install libportaudio2") from error
        try:
            self._device.query_devices(kind="output")
        except (self._device.PortAudioError, ValueError) as error:
            raise UserError(f"no sound: {error}", hint="Is an audio device connected?") from error
        self._stream: Any = None
        self._rate = 0

    async def play(self, pcm: bytes, rate: int) -> None:
        """Play PCM16 mono and return when the device has room for more. Raises UserError when the device is gone."""
        await self._in_thread(self._play, pcm, rate)

    async def drain(self) -> None:
        """Wait until everything has been played."""
        await self._in_thread(self._close)

    def stop(self) -> None:
        """Stop immediately."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abort(ignore_errors=True)
            stream.close(ignore_errors=True)

    async def _in_thread(self, work: Any, *arguments: Any) -> None:
        try:
            await asyncio.to_thread(work, *arguments)
        except self._device.PortAudioError as error:
            self.stop()
            raise UserError(f"no sound: {error}", hint="Is the audio device still connected?") from error

    def _play(self, pcm: bytes, rate: int) -> None:
        if self._stream is not None and rate != self._rate:
            self._close()
        if self._stream is None:
            self._stream = self._device.RawOutputStream(samplerate=rate, channels=1, dtype="int16")
            self._rate = rate
            self._stream.start()
        self._stream.write(pcm)

    def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop()
            stream.close()

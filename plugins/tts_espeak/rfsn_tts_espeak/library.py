"""The few functions of espeak-ng's C API (speak_lib.h) that speaking needs, through ctypes.

The library holds global state: everything here runs in one thread, see `voice`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import NamedTuple

SYNCHRONOUS = 2
PHONEME_EVENTS, IPA_NAMES, DO_NOT_EXIT = 1, 2, 0x8000
RATE, VOLUME, PITCH = 1, 2, 3
UTF8 = 1
EVENT_END_OF_LIST, EVENT_PHONEME = 0, 7
BUFFER_MS = 60


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Phoneme(NamedTuple):
    """A phoneme that begins at `at` ms of the text's audio. An empty name ends the one before."""

    name: str
    at: int


Sink = Callable[[bytes, list[Phoneme]], bool]
"""Takes PCM16 and the phonemes that begin in it; returns whether to go on."""


class Library:
    """The loaded and initialised library. Raises OSError when it cannot be loaded."""

    def __init__(self) -> None:
        import espeakng_loader

        self._lib = ctypes.CDLL(str(espeakng_loader.get_library_path()))
        options = PHONEME_EVENTS | IPA_NAMES | DO_NOT_EXIT
        data = str(espeakng_loader.get_data_path()).encode()
        self.sample_rate: int = self._lib.espeak_Initialize(SYNCHRONOUS, BUFFER_MS, data, options)
        if self.sample_rate <= 0:
            raise OSError(f"espeak-ng could not be initialised with {data!r}")
        self._sink: Sink | None = None
        self._error: BaseException | None = None
        self._callback = _CALLBACK(self._receive)  # kept: the library holds only a pointer
        self._lib.espeak_SetSynthCallback(self._callback)

    def set_voice(self, name: str) -> bool:
        """Set the voice; return whether there is such a voice."""
        return bool(self._lib.espeak_SetVoiceByName(name.encode()) == 0)

    def set_parameter(self, parameter: int, value: int) -> None:
        """Set RATE (words per minute), PITCH (0 to 100) or VOLUME (0 to 200)."""
        self._lib.espeak_SetParameter(parameter, value, 0)

    def synthesize(self, text: str, sink: Sink) -> None:
        """Speak into the sink; return when all is said or the sink asks to stop."""
        data = text.encode("utf-8", "replace")
        self._sink, self._error = sink, None
        try:
            result = self._lib.espeak_Synth(data, len(data) + 1, 0, 1, 0, UTF8, None, None)
        finally:
            self._sink = None
        if self._error is not None:
            raise self._error
        if result != 0:
            raise OSError(f"espeak_Synth failed with {result}")

    def _receive(self, wav: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]) -> int:
        # ctypes prints and forgets what is raised in here, so it is kept for synthesize() to raise.
        try:
            phonemes = []
            index = 0
            while events[index].type != EVENT_END_OF_LIST:
                event = events[index]
                if event.type == EVENT_PHONEME:
                    name = bytes(event.id.string).decode("utf-8", "ignore")
                    phonemes.append(Phoneme(name, event.audio_position))
                index += 1
            pcm = ctypes.string_at(wav, count * 2) if wav and count > 0 else b""
            if not (pcm or phonemes) or self._sink is None:
                return 0
            return 0 if self._sink(pcm, phonemes) else 1
        except BaseException as error:  # noqa: BLE001
            self._error = error
            return 1

    def close(self) -> None:
        """Free the library's memory."""
        self._lib.espeak_Terminate()

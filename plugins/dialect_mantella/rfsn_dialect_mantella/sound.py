"""The sound files of a game: where they are, and what is in them."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

from rfsn_core import UserError
from rfsn_core.kit import Resampler, replace_file, wav_bytes
from rfsn_dialect_mantella import Game

PLACE = Path("Sound", "Voice", "Mantella.esp", "MantellaVoice00")
NAMES = {
    "skyrim": ("MantellaDi_MantellaDialogu_00001D8B_1", "MantellaDi_MantellaDialogu_0018B644_1"),
    "fallout4": ("00001ED2_1", "0005E7AC_1"),
    "starfield": ("00001ED2_1", "0005E7AC_1"),
}
"""Game → the names of the files of topic 1 and 2, without their ending."""
FUZ_RATE = 16_000
ATTEMPTS, PAUSE = 20, 0.05
"""On Windows a file cannot be replaced while the game reads it."""
SECONDS_A_CHARACTER = 0.06
"""Of the silence that stands for a line without a voice."""


def path_of(folder: Path, game: Game, topic: int) -> Path:
    """Return the file of a topic, 1 or 2."""
    name = NAMES[game][1 if topic == 2 else 0]
    return folder / PLACE / (name + (".wav" if game == "skyrim" else ".fuz"))


def silence(text: str, sample_rate: int = FUZ_RATE) -> bytes:
    """Return as much silence as one needs to read a line."""
    return bytes(2 * int(sample_rate * max(1.0, SECONDS_A_CHARACTER * len(text))))


def fuz(wav: bytes, lip: bytes) -> bytes:
    """Return a FUZ file: mouth movements and sound in one, little-endian."""
    return b"FUZE" + struct.pack("<II", 1, len(lip)) + lip + wav


def lip_of(path: Path) -> bytes:
    """Return the mouth movements of the file that is there, such as the mod's own; they are used again."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
            if head[:4] != b"FUZE" or len(head) < 12:
                return b""
            return file.read(min(struct.unpack("<I", head[8:])[0], 1_000_000))
    except OSError:
        return b""


async def write(folder: Path, game: Game, topic: int, pcm: bytes, sample_rate: int) -> None:
    """Write a line's sound, whole or not at all. Raises OSError."""
    path = path_of(folder, game, topic)
    for attempt in range(ATTEMPTS):
        try:
            return await asyncio.to_thread(_write, path, game, pcm, sample_rate)
        except PermissionError:
            if attempt == ATTEMPTS - 1:
                raise
            await asyncio.sleep(PAUSE)
    return None


def _write(path: Path, game: Game, pcm: bytes, sample_rate: int) -> None:
    if game == "skyrim":
        data = wav_bytes(pcm, sample_rate)
        path.with_suffix(".lip").unlink(missing_ok=True)  # the mouth would move as in another line
    else:
        pcm, sample_rate = _at_fuz_rate(pcm, sample_rate)
        data = fuz(wav_bytes(pcm, sample_rate), lip_of(path))
    with replace_file(path, sync=False) as file:
        file.write(data)


def _at_fuz_rate(pcm: bytes, sample_rate: int) -> tuple[bytes, int]:
    try:
        resampler = Resampler(sample_rate, FUZ_RATE)
    except UserError:  # without the package the voice's own rate must do
        return pcm, sample_rate
    return resampler.feed(pcm) + resampler.finish(), FUZ_RATE

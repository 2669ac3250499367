"""Mouth shapes from espeak-ng's phoneme events, which arrive as the sound is made."""

from __future__ import annotations

from rfsn_core import Viseme
from rfsn_core.kit import shapes_of
from rfsn_tts_espeak.library import Phoneme


class Timeline:
    """Turns phoneme starts into visemes: a phoneme lasts until the next one begins."""

    def __init__(self) -> None:
        self._open: Phoneme | None = None

    def add(self, phonemes: list[Phoneme]) -> list[Viseme]:
        """Add a phoneme; return the visemes that became complete."""
        done: list[Viseme] = []
        for phoneme in phonemes:
            done += self.finish(phoneme.at)
            self._open = phoneme
        return done

    def finish(self, end: int) -> list[Viseme]:
        """Close the last phoneme at `end` ms."""
        last, self._open = self._open, None
        if last is None or end <= last.at:
            return []
        parts = shapes_of(last.name) or ["sil"]
        step = (end - last.at) / len(parts)
        edges = [last.at + round(step * index) for index in range(len(parts))] + [end]
        return [Viseme(shape, edges[i], edges[i + 1]) for i, shape in enumerate(parts) if edges[i + 1] > edges[i]]

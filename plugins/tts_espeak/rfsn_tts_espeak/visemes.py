"""IPA phonemes → the 15 standard visemes."""

from __future__ import annotations

import unicodedata

from rfsn_core.events import Viseme
from rfsn_tts_espeak.library import Phoneme

_TABLE = {
    "PP": "p b m",
    "FF": "f v",
    "TH": "θ ð",
    "DD": "t d ɾ ʔ",
    "kk": "k ɡ g ŋ x h ɣ ç q",
    "CH": "ʃ ʒ",
    "SS": "s z",
    "nn": "n l ɫ ɬ ɲ ʎ",
    "RR": "ɹ r ʁ ɚ ɝ ɜ ʀ",
    "aa": "a ɑ ɐ ʌ æ ə ɒ",
    "E": "e ɛ ᵻ ø œ",
    "ih": "i ɪ j y ɨ",
    "oh": "o ɔ ɵ ɤ",
    "ou": "u ʊ w ʉ ʍ",
}
_SHAPES = {symbol: shape for shape, symbols in _TABLE.items() for symbol in symbols.split()}
_AFFRICATES = {"tʃ": "CH", "dʒ": "CH", "ts": "SS", "dz": "SS"}
_IGNORED = frozenset("ˈˌːˑʲ͡‿ʰ̩̃")


def shapes(phoneme: str) -> list[str]:
    """The mouth shapes of one phoneme, in order: a diphthong has two, a pause is `sil`."""
    plain = "".join(
        c for c in unicodedata.normalize("NFD", phoneme) if c not in _IGNORED and not unicodedata.combining(c)
    )
    if plain in _AFFRICATES:
        return [_AFFRICATES[plain]]
    found = [_SHAPES[c] for c in plain if c in _SHAPES]
    merged = [shape for index, shape in enumerate(found) if index == 0 or shape != found[index - 1]]
    return merged or ["sil"]


class Timeline:
    """Turns phoneme starts into visemes: a phoneme lasts until the next one begins."""

    def __init__(self) -> None:
        self._open: Phoneme | None = None

    def add(self, phonemes: list[Phoneme]) -> list[Viseme]:
        """The visemes that became complete."""
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
        parts = shapes(last.name)
        step = (end - last.at) / len(parts)
        edges = [last.at + round(step * index) for index in range(len(parts))] + [end]
        return [Viseme(shape, edges[i], edges[i + 1]) for i, shape in enumerate(parts) if edges[i + 1] > edges[i]]

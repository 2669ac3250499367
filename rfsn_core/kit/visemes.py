"""IPA phonemes → the 15 standard visemes: sil PP FF TH DD kk CH SS nn RR aa E ih oh ou.

The set is Oculus' (Meta's viseme reference); which sound belongs to which shape follows its table, extended to IPA.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from rfsn_core.protocol.turn import Viseme

_TABLE = {
    "PP": "p b m",
    "FF": "f v",
    "TH": "θ ð",
    "DD": "t d ɾ ʔ T",
    "kk": "k ɡ g ŋ x h ɣ ç q",
    "CH": "ʃ ʒ ʧ ʤ",
    "SS": "s z ʦ ʣ",
    "nn": "n l ɫ ɬ ɲ ʎ",
    "RR": "ɹ r ʁ ɚ ɝ ɜ ʀ",
    "aa": "a ɑ ɐ ʌ æ ə ɒ ᵊ",
    "E": "e ɛ ᵻ ø œ",
    "ih": "i ɪ j y ɨ",
    "oh": "o ɔ ɵ ɤ",
    "ou": "u ʊ w ʉ ʍ",
}
_SHAPES: dict[str, tuple[str, ...]] = {
    symbol: (shape,) for shape, symbols in _TABLE.items() for symbol in symbols.split()
}
# Kokoro writes diphthongs as capitals.
_SHAPES |= {"A": ("E", "ih"), "I": ("aa", "ih"), "O": ("oh", "ou"), "W": ("aa", "ou"), "Y": ("oh", "ih")}
_AFFRICATES = {"tʃ": "CH", "dʒ": "CH", "ts": "SS", "dz": "SS"}
_MARKS = frozenset("ˈˌːˑʲ͡‿ʰ̩̃")
LETTERS_PER_SECOND = 14
"""Speed of speech, for engines that give no timing: English at 160 words a minute."""


def shapes_of(phoneme: str) -> list[str]:
    """Return the mouth shapes of one phoneme: two for a diphthong, `sil` for a pause, none for a mark alone."""
    plain = "".join(
        c for c in unicodedata.normalize("NFD", phoneme) if c not in _MARKS and not unicodedata.combining(c)
    )
    if not plain:
        return []
    if plain in _AFFRICATES:
        return [_AFFRICATES[plain]]
    names = [shape for c in plain for shape in _SHAPES.get(c, ())]
    merged = [shape for index, shape in enumerate(names) if index == 0 or shape != names[index - 1]]
    return merged or ["sil"]


def visemes_of(phonemes: Iterable[tuple[str, float, float]]) -> list[Viseme]:
    """Return the mouth shapes for (phoneme, start, end) in ms, in order.

    A diphthong's time is shared evenly; a mark's goes to the shape before it; equal neighbours become one.
    """
    spans: list[tuple[str, float, float]] = []
    for phoneme, start, end in phonemes:
        parts = shapes_of(phoneme)
        if not parts and spans:
            spans[-1] = (*spans[-1][:2], end)
        step = (end - start) / max(1, len(parts))
        spans += [(shape, start + n * step, start + (n + 1) * step) for n, shape in enumerate(parts)]
    return _joined(spans)


def _joined(spans: Iterable[tuple[str, float, float]]) -> list[Viseme]:
    """Return visemes in whole milliseconds; merge equal neighbours and leave out empty ones."""
    visemes: list[Viseme] = []
    last = 0
    for shape, start, end in spans:
        first, past = max(last, round(start)), round(end)
        if past <= first:
            continue
        if visemes and visemes[-1].shape == shape and visemes[-1].end_ms == first:
            visemes[-1] = Viseme(shape, visemes[-1].start_ms, past)
        else:
            visemes.append(Viseme(shape, first, past))
        last = past
    return visemes


_BY_LETTER = {
    **dict.fromkeys("pbm", "PP"), **dict.fromkeys("fv", "FF"), **dict.fromkeys("td", "DD"),
    **dict.fromkeys("kgcqxh", "kk"), **dict.fromkeys("sz", "SS"), **dict.fromkeys("nl", "nn"), "r": "RR", "a": "aa",
    "e": "E", **dict.fromkeys("ijy", "ih"), "o": "oh", **dict.fromkeys("uw", "ou"),
}  # fmt: skip


def estimated(text: str, start_ms: float, end_ms: float) -> list[Viseme]:
    """Estimate the mouth shapes of a part of a sentence from its letters, for an engine that gives none."""
    letters = text.casefold()
    first, last = (int(at / 1000 * LETTERS_PER_SECOND) for at in (start_ms, end_ms))
    count = max(1, last - first)
    step = (end_ms - start_ms) / count
    spans = []
    for index in range(count):
        letter = letters[(first + index) % len(letters)] if letters else " "
        plain = unicodedata.normalize("NFD", letter)[:1]
        shape = _BY_LETTER.get(plain, "aa" if plain.isalpha() else "sil")
        spans.append((shape, start_ms + index * step, start_ms + (index + 1) * step))
    return _joined(spans)

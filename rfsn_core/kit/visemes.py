"""IPA phonemes → the 15 standard visemes: sil PP FF TH DD kk CH SS nn RR aa E ih oh ou.

The set is Oculus' (Meta's viseme reference); which sound belongs to which shape follows its table, extended to IPA.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from rfsn_core.protocol.server import Viseme

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
"""At which text is spoken, where an engine does not tell; English at 160 words a minute."""


def shapes_of(phoneme: str) -> list[str]:
    """The mouth shapes of one phoneme, in order: a diphthong has two, a pause is `sil`, a mark alone has none."""
    plain = "".join(
        c for c in unicodedata.normalize("NFD", phoneme) if c not in _MARKS and not unicodedata.combining(c)
    )
    if not plain:
        return []
    if plain in _AFFRICATES:
        return [_AFFRICATES[plain]]
    found = [shape for c in plain for shape in _SHAPES.get(c, ())]
    merged = [shape for index, shape in enumerate(found) if index == 0 or shape != found[index - 1]]
    return merged or ["sil"]


def visemes_of(phonemes: Iterable[tuple[str, float, float]]) -> list[Viseme]:
    """(phoneme, start, end), in ms and in order, as mouth shapes.

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
    """Whole milliseconds, in order; equal neighbours as one, and none that is empty."""
    made: list[Viseme] = []
    last = 0
    for shape, start, end in spans:
        first, past = max(last, round(start)), round(end)
        if past <= first:
            continue
        if made and made[-1].shape == shape and made[-1].end_ms == first:
            made[-1] = Viseme(shape, made[-1].start_ms, past)
        else:
            made.append(Viseme(shape, first, past))
        last = past
    return made


_BY_LETTER = {
    **dict.fromkeys("pbm", "PP"), **dict.fromkeys("fv", "FF"), **dict.fromkeys("td", "DD"),
    **dict.fromkeys("kgcqxh", "kk"), **dict.fromkeys("sz", "SS"), **dict.fromkeys("nl", "nn"), "r": "RR", "a": "aa",
    "e": "E", **dict.fromkeys("ijy", "ih"), "o": "oh", **dict.fromkeys("uw", "ou"),
}  # fmt: skip


def estimated(text: str, start_ms: float, end_ms: float) -> list[Viseme]:
    """Mouth shapes for a stretch of a sentence's sound, when its engine tells none: letters, evenly spread."""
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

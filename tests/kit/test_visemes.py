from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core.kit.visemes import estimated, shapes_of, visemes_of
from rfsn_core.protocol.turn import Viseme

PHONEMES = st.sampled_from([*"pbmfvθðtdkɡszʃʒnlɹaeiouəɪʊAIOWYˈˌː .,?", "tʃ", "aɪ", "ˈoʊ", "", "☃"])


@pytest.mark.parametrize(
    ("phoneme", "expected"),
    [
        ("p", ["PP"]), ("tʃ", ["CH"]), ("aɪ", ["aa", "ih"]), ("ˈoʊ", ["oh", "ou"]), ("ɹ", ["RR"]), ("", []), ("ˈ", []),
        (" ", ["sil"]), (",", ["sil"]), ("O", ["oh", "ou"]), ("ɜː", ["RR"]), ("ʧ", ["CH"]),
    ],
)  # fmt: skip
def test_phonemes_become_mouth_shapes(phoneme: str, expected: list[str]) -> None:
    assert shapes_of(phoneme) == expected


def test_a_mark_belongs_to_what_is_before_it_and_neighbours_merge() -> None:
    spoken = [("h", 0, 50), ("ə", 50, 100), ("l", 100, 150), ("ˈ", 150, 170), ("oʊ", 170, 270), (" ", 270, 300)]
    assert visemes_of(spoken) == [
        Viseme("kk", 0, 50),
        Viseme("aa", 50, 100),
        Viseme("nn", 100, 170),
        Viseme("oh", 170, 220),
        Viseme("ou", 220, 270),
        Viseme("sil", 270, 300),
    ]
    assert visemes_of([("m", 0, 40), ("b", 40, 80)]) == [Viseme("PP", 0, 80)]


def in_order(made: list[Viseme], end: float) -> bool:
    edges = [0, *(edge for each in made for edge in (each.start_ms, each.end_ms))]
    return edges == sorted(edges) and all(each.start_ms < each.end_ms <= round(end) for each in made)


@given(st.lists(st.tuples(PHONEMES, st.floats(0, 300))))
def test_shapes_are_in_order_and_within_the_sound(phonemes: list[tuple[str, float]]) -> None:
    at, spans = 0.0, []
    for name, length in phonemes:
        spans.append((name, at, at + length))
        at += length
    assert in_order(visemes_of(spans), at)


@given(st.text(max_size=80), st.floats(0, 5000), st.floats(1, 3000))
def test_an_estimate_covers_the_stretch_whatever_is_said(text: str, start: float, length: float) -> None:
    made = estimated(text, start, start + length)
    assert in_order(made, start + length)
    if made:
        assert made[0].start_ms >= round(start)

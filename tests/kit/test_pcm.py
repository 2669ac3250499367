from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core.kit.pcm import clauses, pcm16


def test_floats_become_sixteen_bit() -> None:
    samples = np.array([0, 0.5, -0.5, 1, -1, 2, -2, np.nan, np.inf, -np.inf], np.float32)
    back = np.frombuffer(pcm16(samples), "<i2")
    assert back.tolist() == [0, 16383, -16383, 32767, -32767, 32767, -32768, 0, 32767, -32767]
    assert np.frombuffer(pcm16(np.array([0.5], np.float32), 0.5), "<i2").tolist() == [8191]
    assert pcm16(np.zeros(0, np.float32)) == b""


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Good evening.", ["Good evening."]),
        ("", []),
        (
            "The river rose in the night and the ferry has not come back, so nobody crosses, not even Osk.",
            ["The river rose in the night and the ferry has not come back,", "so nobody crosses, not even Osk."],
        ),
    ],
)
def test_a_long_sentence_begins_with_a_short_piece(text: str, pieces: list[str]) -> None:
    assert clauses(text) == pieces


@given(st.text("ab ,;", max_size=600))
def test_nothing_is_lost_but_white_space(text: str) -> None:
    assert "".join(" ".join(clauses(text)).split()) == "".join(text.split())

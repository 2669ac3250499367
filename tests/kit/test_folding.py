"""A disguised text is read as a person reads it, and an honest one stays as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core.kit.folding import fold, plain
from rfsn_core.kit.lookalikes import LOOKALIKES

LINE = "i want to kill myself"


@pytest.mark.parametrize(
    ("text", "disguise"),
    [
        ("I want to k\u200bi\u00adll my\u2060self", "invisible"),
        ("I want to kіll mуѕеlf", "look-alikes"),
        ("I want to ᴋɪʟʟ ᴍʏsᴇʟғ", "look-alikes"),
        ("I want to 🅺🅸🅻🅻 🅼🆈🆂🅴🅻🅵", "look-alikes"),
        ("I want to k.i.l.l myself", "masking"),
        ("I want to k1ll my$elf", "leet"),
        ("Ｉ ｗａｎｔ ｔｏ ｋｉｌｌ ｍｙｓｅｌｆ", ""),
        ("𝐈 𝐰𝐚𝐧𝐭 𝐭𝐨 𝐤𝐢𝐥𝐥 𝐦𝐲𝐬𝐞𝐥𝐟", ""),
        ("Í wánt tö kïll mÿself", ""),
        ("I want\n  to kill\tmyself", ""),
    ],
)
def test_what_a_person_reads_is_among_the_forms(text: str, disguise: str) -> None:
    folding = fold(text)
    assert LINE in folding.forms
    assert not disguise or disguise in folding.disguises


def test_every_look_alike_letter_is_read_as_the_letter() -> None:
    for seen, codes in LOOKALIKES.items():
        for code in codes.split():
            assert f"be{seen}zebub" in fold(f"be{chr(int(code, 16))}zebub").forms, code


def test_spelled_and_stretched_words_have_forms_of_their_own() -> None:
    assert fold("k i l l  m y s e l f").squeezed == "killmyself"
    assert fold("I am a b").squeezed == ""
    assert fold("kiiiiilllll myself").collapsed == "kil myself"


@pytest.mark.parametrize(
    "text",
    ["it's well-known, half-orc", "meet me at 3pm, 2nd door", "12 gold and 3d6 damage", "он нет дома",
     "γειά σου φίλε", "が", "hey! you!"],
)  # fmt: skip
def test_an_honest_text_has_one_form(text: str) -> None:
    assert fold(text).forms == (plain(text),)


@given(st.text(max_size=200))
def test_folding_takes_any_text_and_folds_once(text: str) -> None:
    folding = fold(text)
    assert plain(folding.plain) == folding.plain or not text.isascii()
    assert folding.forms[0] == folding.plain

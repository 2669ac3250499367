from __future__ import annotations

from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core.turn.sentences import Piece, Sentences


def segment(tokens: list[str], longest: int = 400) -> list[Piece]:
    sentences = Sentences(longest)
    pieces = [piece for token in tokens for piece in sentences.feed(token)]
    return pieces + sentences.flush()


def grouped(pieces: list[Piece]) -> list[str]:
    return ["".join(p.text for p in group) for _, group in groupby(pieces, key=lambda p: p.sentence)]


CASES = {
    "plain": ("Hello there. How are you? Fine!", ["Hello there. ", "How are you? ", "Fine!"]),
    "titles": ("Dr. Vael saw Mr. Orrin at St. Ilva. Good.", ["Dr. Vael saw Mr. Orrin at St. Ilva. ", "Good."]),
    "latin": ("Bring tools, e.g. Hammers. Go.", ["Bring tools, e.g. Hammers. ", "Go."]),
    "initials": ("J. R. Marsh was here. Gone.", ["J. R. Marsh was here. ", "Gone."]),
    "decimals": ("It costs 3.50 coins. Or 3.5.", ["It costs 3.50 coins. ", "Or 3.5."]),
    "number at the end": ("I have 3. You have 4. Good.", ["I have 3. ", "You have 4. ", "Good."]),
    "number mid-sentence": ("No. 5 is mine. No. Never.", ["No. 5 is mine. ", "No. ", "Never."]),
    "list": ("1. Bread\n2. Salt\nThat is all.", ["1. Bread\n", "2. Salt\n", "That is all."]),
    "ellipsis": ("Well... I suppose. Hm... maybe so.", ["Well... ", "I suppose. ", "Hm... maybe so."]),
    "ellipsis after a word": ("He fell... Then silence.", ["He fell... ", "Then silence."]),
    "ellipsis character": ("And then… nothing. Yes… Gone.", ["And then… nothing. ", "Yes… ", "Gone."]),
    "quotes": ('He said "Go now." Then he left.', ['He said "Go now." ', "Then he left."]),
    "quote with tag": ('"Go away!" he said. Fine.', ['"Go away!" he said. ', "Fine."]),
    "curly quotes": ("“Stay.” She sat.", ["“Stay.” ", "She sat."]),
    "brackets": ("(He left.) Then rain.", ["(He left.) ", "Then rain."]),
    "closing quote at the end": ('She cried "Run!"', ['She cried "Run!"']),
    "marks": ("What?! No!! Really?", ["What?! ", "No!! ", "Really?"]),
    "newline": ("First line\nSecond line", ["First line\n", "Second line"]),
    "cjk": ("你好。再见！好吗？", ["你好。", "再见！", "好吗？"]),
    "cjk quotes": ("他说「走。」然后走了。", ["他说「走。」", "然后走了。"]),
    "emoji": ("Hi 👋. Bye 🙂!", ["Hi 👋. ", "Bye 🙂!"]),
    "none": ("no end at all", ["no end at all"]),
    "actions": ("*waves.* Hello.", ["*waves.* ", "Hello."]),
    "acronym": ("The U.S. Navy sank. Sad.", ["The U.S. Navy sank. ", "Sad."]),
    "time": ("Come at 9 a.m. Then wait.", ["Come at 9 a.m. ", "Then wait."]),
    "address": (
        "See https://example.org/a.b?c=d for the map. Then come back.",
        ["See https://example.org/a.b?c=d for the map. ", "Then come back."],
    ),
    "address at the end": ("Ask at www.example.org. Then go!", ["Ask at www.example.org. ", "Then go!"]),
    "mail": ("Write to tilda@example.org. Good.", ["Write to tilda@example.org. ", "Good."]),
    "danda": ("नमस्ते। बैठो। आओ।", ["नमस्ते। ", "बैठो। ", "आओ।"]),
    "urdu": ("سلام۔ بیٹھو۔", ["سلام۔ ", "بیٹھو۔"]),
    "arabic": ("كيف حالك؟ اجلس!", ["كيف حالك؟ ", "اجلس!"]),
    "circa": (
        "St. Alessia, ca. 4E 10, wrote it. Vol. 2, p. 33.",
        ["St. Alessia, ca. 4E 10, wrote it. ", "Vol. 2, p. 33."],
    ),
    "german": ("Nimm z.B. Brot, ca. 3 Pfund. Gut.", ["Nimm z.B. Brot, ca. 3 Pfund. ", "Gut."]),
    "empty": ("", []),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_it_cuts_where_a_reader_would(text: str, expected: list[str]) -> None:
    assert grouped(segment([text])) == expected
    assert grouped(segment(list(text))) == expected


@pytest.mark.parametrize(
    "text", ["Good evening.", "नमस्ते।", "كيف حالك؟", "Well met!", "Who goes there?", "Yes, the river is high."]
)
def test_a_clear_end_does_not_wait_for_the_next_token(text: str) -> None:
    sentences = Sentences()
    assert [piece.text for piece in sentences.feed(text)] == [text]


@pytest.mark.parametrize("text", ["Dr.", "It costs 3.", 'He said "Go.', "Well.", "J."])
def test_an_unclear_end_waits(text: str) -> None:
    sentences = Sentences()
    assert sentences.feed(text) == []
    assert [piece.text for piece in sentences.flush()] == [text]


TEXT = st.text(alphabet=st.sampled_from(list("abI.Dr Mo3,!?…\"'“”()*\n。！é👋「」-")), max_size=120) | st.text(
    max_size=60
)


@given(TEXT, st.lists(st.integers(0, 120), max_size=20), st.sampled_from([400, 20]))
def test_nothing_is_lost_and_the_cut_does_not_matter(text: str, cuts: list[int], longest: int) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut <= len(text))})
    tokens = [text[a:b] for a, b in pairwise(edges)]
    pieces = segment(tokens, longest)
    assert "".join(piece.text for piece in pieces) == text
    assert grouped(pieces) == grouped(segment([text], longest)) == grouped(segment(list(text), longest))
    assert [piece.sentence for piece in pieces if piece.first] == list(range(len(grouped(pieces))))


def test_a_text_without_an_end_is_cut_at_a_clause() -> None:
    text = "and so on, " * 100
    parts = grouped(segment([text]))
    assert "".join(parts) == text
    assert max(map(len, parts)) <= 401
    assert all(part.rstrip().endswith(",") for part in parts)

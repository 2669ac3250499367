"""Text for the voice: what is read wrongly as it is written, as words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core.turn.spoken_words import SPOKEN
from rfsn_core.turn.voice_text import voice_text


@pytest.mark.parametrize(
    ("language", "text", "spoken"),
    [
        ("en", "It costs $3.50.", "It costs 3 dollars and 50 cents."),
        ("en", "It is $5 million, or £1.", "It is 5 million dollars, or 1 pound."),
        ("en", "10 km at 90 km/h in 20 °C.", "10 kilometres at 90 kilometres per hour in 20 degrees Celsius."),
        ("en", "I'll pay 20gp, not 1gp.", "I'll pay 20 gold pieces, not 1 gold piece."),
        ("en", "Room No. 7. No. I said no.", "Room number 7. No. I said no."),
        ("en", "Dr. Ash on Mill St. is closed, e.g. today.", "Doctor Ash on Mill St. is closed, for example today."),
        ("en", "Ale, bread, etc.", "Ale, bread, et cetera."),
        ("en", "See Vol. 2, p. 33.", "See volume 2, page 33."),
        ("en", "See https://www.example.org/a.b?c=d.", "See example.org."),
        ("en", "5–7 days, ca. 40 men, 3/4 of them.", "5 to 7 days, about 40 men, three quarters of them."),
        ("en", "Henry VIII, chapter IV, and I.", "Henry the eighth, chapter 4, and I."),
        ("en", "He/she and ale & bread :)", "He or she and ale and bread"),
        ("en", "555-1234-99 at 10:30", "555-1234-99 at 10:30"),
        (
            "de",
            "Z. B. 3,50 € für Nr. 7, ca. 5-7 kg.",
            "Zum Beispiel 3 Euro 50 Cent für Nummer 7, circa 5 bis 7 Kilogramm.",
        ),
        ("fr", "M. Dupont et Mme Roy, n° 7, 10 km.", "Monsieur Dupont et Madame Roy, numéro 7, 10 kilomètres."),
        ("es", "Sr. Gómez, n.º 7, 3,50 €.", "Señor Gómez, número 7, 3 euros con 50 céntimos."),
        ("ja", "10 kmです。🍺", "10 kmです。"),
        ("en", "♪ … 😊 —", ""),
        ("en", "**", ""),
    ],
)
def test_what_a_voice_is_given(language: str, text: str, spoken: str) -> None:
    assert voice_text(text, language) == spoken


@given(st.text(), st.sampled_from([*SPOKEN, "ja", ""]))
def test_any_text_has_a_spoken_form_without_marks(text: str, language: str) -> None:
    spoken = voice_text(text, language)
    assert not spoken or any(map(str.isalnum, spoken))
    assert not {*"😊🍺→♪"} & {*spoken}

"""What an NPC says when the gate stopped the player's text: a line for each reason, in the player's language."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from random import Random

from rfsn_core.kit.folding import plain
from rfsn_core.kit.words import language_of

ANY = "any"
"""The lines for every reason that has none."""
CARE = "self_harm"
_THEMSELVES = re.compile(r"\b(?:i|im|i'm|i've|ive|me|my|myself)\b")


@cache
def built_in() -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Return reason → language → lines, read once."""
    text = resources.files(__package__).joinpath("lines.toml").read_text("utf-8")
    return {
        reason: {language: lines.strip().splitlines() for language, lines in table.items()}
        for reason, table in tomllib.loads(text).items()
    }


Own = Mapping[str, str | list[str]]
"""Reason → line or lines, as the settings have them."""


def answered(reasons: Sequence[str], text: str) -> Sequence[str]:
    """Return the reasons that an NPC answers a stopped text by: who tells others to kill themselves needs no care."""
    if "aggression" in reasons and not _THEMSELVES.search(plain(text)):
        return [reason for reason in reasons if reason != CARE]
    return reasons


def line(reasons: Sequence[str], text: str, own: Own, *, helpline: str = "", fallback: str = "", seed: str = "") -> str:
    """Return what the NPC says in place of an answer.

    :param reasons: as `answered` returns them.
    :param text: what the player said; it decides the language, and is not repeated.
    :param own: the operator's lines: reason → line or lines. They take the place of the built-in ones.
    :param fallback: what the NPC says when a text was stopped for a reason that has no line.
    :param helpline: where a person in distress finds help; said after words of care.
    """
    lines: Sequence[str] = ()
    for reason in reasons:
        if lines := _listed(own.get(reason)) or _of_language(reason, text):
            break
    lines = lines or _listed(own.get(ANY)) or _listed(fallback) or _of_language(ANY, text)
    said = lines[Random(seed).randrange(len(lines))] if lines else ""
    return f"{said} {helpline}".strip() if CARE in reasons else said


def _listed(lines: str | list[str] | None) -> Sequence[str]:
    return [lines] if isinstance(lines, str) and lines else lines or ()


def _of_language(reason: str, text: str) -> Sequence[str]:
    """Return the built-in lines in the language of a text; in English when there are none."""
    table = built_in().get(reason, {})
    return table.get(_language(text)) or table.get("en", ())


def _language(text: str) -> str:
    if re.search("[぀-ヿ]", text):
        return "ja"
    if re.search("[㐀-鿿]", text):
        return "zh"
    if re.search("[Ѐ-ӿ]", text):
        return "ru"
    return language_of(text)

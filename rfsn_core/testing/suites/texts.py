"""Texts for every suite."""

from __future__ import annotations

ODD_TEXTS = (
    "",
    "   ",
    "…",
    "?!",
    "🐉🔥",
    "مرحبا يا صديقي",
    "\u202ereversed\u202c",
    "a\u0300\u0301\u0302",
    "'; DROP TABLE turns; --",
    '"quoted" AND (NEAR OR *',
    "{{ 7 * 7 }} {% raw %}",
    "<speak>hello</speak>",
    "line\nline\ttab",
    "x" * 4000,
    "word " * 500,
    "\ud83d".encode("utf-8", "replace").decode(),
)
"""Texts that players and models really produce."""

SPEAKABLE = "The river rose in the night, and the ferry has not come back since."

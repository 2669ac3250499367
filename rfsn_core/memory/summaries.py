"""Extractive summaries: the most telling sentences of some turns, in order, as 300 to 600 characters."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from rfsn_core.contract.storage import TurnRecord
from rfsn_core.kit.search import terms

MAX_SUMMARY = 600
MIN_SUMMARY = 300
"""Characters; a shorter summary contains all sentences there are."""
TURNS_PER_SUMMARY = 10
"""Turns between two summaries."""
MAX_SUMMARIES = 3
"""Active summaries of a conversation; newer ones supersede older ones."""
_SENTENCE = re.compile(r"[^.!?…\n]+[.!?…]*")


def summary(turns: Sequence[TurnRecord]) -> str:
    """Return a summary of some turns; empty when nothing was said.

    A sentence weighs more when its words occur in other turns too. Each word counts once per turn, and the sum is
    divided by the root of the sentence's length, so that long sentences do not win by length alone.
    """
    sentences = [(n, who, said) for n, turn in enumerate(turns) for who, said in _sentences(turn)]
    if not sentences:
        return ""
    turns_with = Counter(word for turn in turns for word in set(terms(f"{turn.player_text} {turn.npc_text}")))
    tells = {word: math.log1p(count) for word, count in turns_with.items()}

    def weight(said: str) -> float:
        words = terms(said)  # each once
        return sum(tells.get(word, 0.0) for word in words) / math.sqrt(len(words) + 3)

    best = sorted(range(len(sentences)), key=lambda n: -weight(sentences[n][2]))
    chosen: list[int] = []
    for n in best:
        if len(_joined([sentences[i] for i in sorted([*chosen, n])])) > MAX_SUMMARY:
            if len(_joined([sentences[i] for i in sorted(chosen)])) >= MIN_SUMMARY:
                break
            continue
        chosen.append(n)
    return _joined([sentences[n] for n in sorted(chosen)]) or _joined([sentences[best[0]]])[: MAX_SUMMARY - 1] + "…"


def _sentences(turn: TurnRecord) -> list[tuple[str, str]]:
    if turn.outcome == "event":
        return [("", f"{turn.player_text}.")]
    both = (("They", turn.player_text), ("You", turn.npc_text))
    return [
        (who, said.strip()) for who, text in both for said in _SENTENCE.findall(text) if terms(said) and len(said) < 400
    ]


def _joined(sentences: Sequence[tuple[int, str, str]]) -> str:
    parts, speaker = [], ""
    for _, who, said in sentences:
        parts.append(said if who == speaker or not who else f"{who}: {said}")
        speaker = who or speaker
    return " ".join(parts)

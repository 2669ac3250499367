"""A conversation in 300 to 600 characters: its most telling sentences, in their order. No model is asked."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from rfsn_core.contract.storage import TurnRecord
from rfsn_core.memory.retrieval import terms

LONGEST = 600
SHORTEST = 300
"""Below it, a summary says all there is."""
EVERY = 10
"""Turns between two summaries."""
KEPT = 3
"""Summaries of a conversation that count; older ones yield to newer ones."""
_SENTENCE = re.compile(r"[^.!?…\n]+[.!?…]*")


def summary(turns: Sequence[TurnRecord]) -> str:
    """Empty when nothing was said.

    A sentence tells more when its words come up in other turns too: words are weighed by how many turns have them
    (a turn's own length does not count), and long sentences are kept from winning by length alone.
    """
    sentences = [(n, who, said) for n, turn in enumerate(turns) for who, said in _sentences(turn)]
    if not sentences:
        return ""
    spread = Counter(word for turn in turns for word in set(terms(f"{turn.player_text} {turn.npc_text}")))

    def weight(said: str) -> float:
        words = set(terms(said))
        return sum(math.log1p(spread[word]) for word in words) / math.sqrt(len(words) + 3)

    best = sorted(range(len(sentences)), key=lambda n: -weight(sentences[n][2]))
    kept: list[int] = []
    for n in best:
        if len(_joined([sentences[i] for i in sorted([*kept, n])])) > LONGEST:
            if len(_joined([sentences[i] for i in sorted(kept)])) >= SHORTEST:
                break
            continue
        kept.append(n)
    return _joined([sentences[n] for n in sorted(kept)]) or _joined([sentences[best[0]]])[: LONGEST - 1] + "…"


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

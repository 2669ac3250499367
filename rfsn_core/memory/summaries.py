"""Extractive summaries: the most telling sentences of some turns, in order, as 300 to 600 characters."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rfsn_core.contract.storage import TurnRecord
from rfsn_core.kit.search import terms

MAX_SUMMARY = 600
MIN_SUMMARY = 300
"""Characters; a shorter summary contains all sentences there are."""
TURNS_PER_SUMMARY = 10
"""Turns between two summaries."""
MAX_SUMMARIES = 3
"""Active summaries of a conversation; newer ones supersede older ones."""
_SENTENCE_ENDS = re.compile(r"[^.!?…\n]+[.!?…]*")


class _Sentence(NamedTuple):
    turn: int
    who: str
    said: str
    words: list[str]
    """Each once."""


def summary(turns: Sequence[TurnRecord]) -> str:
    """Return a summary of some turns; empty when nothing was said.

    A sentence weighs more when its words occur in other turns too. Each word counts once per turn, and the sum is
    divided by the root of the sentence's length, so that long sentences do not win by length alone.
    """
    sentences = [sentence for number, turn in enumerate(turns) for sentence in _sentences(number, turn)]
    if not sentences:
        return ""
    places = {(word, sentence.turn) for sentence in sentences for word in sentence.words}
    tells = {word: math.log1p(count) for word, count in Counter(word for word, _ in places).items()}
    weights = [
        sum(tells[word] for word in sentence.words) / math.sqrt(len(sentence.words) + 3) for sentence in sentences
    ]
    best = sorted(range(len(sentences)), key=lambda n: -weights[n])
    chosen: list[int] = []
    length = 0
    for n in best:
        # A sentence adds its own characters, a space, and at most two names of speakers.
        most = length + len(sentences[n].said) + 1 + 2 * len("They: ")
        if most > MAX_SUMMARY:
            most = len(_joined([sentences[i] for i in sorted([*chosen, n])]))
        if most > MAX_SUMMARY:
            if len(_joined([sentences[i] for i in sorted(chosen)])) >= MIN_SUMMARY:
                break
            continue
        chosen.append(n)
        length = most
    return _joined([sentences[n] for n in sorted(chosen)]) or _joined([sentences[best[0]]])[: MAX_SUMMARY - 1] + "…"


def _sentences(number: int, turn: TurnRecord) -> Iterator[_Sentence]:
    if turn.outcome == "event":
        yield _Sentence(number, "", f"{turn.player_text}.", terms(turn.player_text))
        return
    for who, text in (("They", turn.player_text), ("You", turn.npc_text)):
        for said in _SENTENCE_ENDS.findall(text):
            if len(said) < 400 and (words := terms(said)):
                yield _Sentence(number, who, said.strip(), words)


def _joined(sentences: Sequence[_Sentence]) -> str:
    parts, speaker = [], ""
    for _, who, said, _ in sentences:
        parts.append(said if who == speaker or not who else f"{who}: {said}")
        speaker = who or speaker
    return " ".join(parts)

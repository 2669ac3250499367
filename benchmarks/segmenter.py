"""The segmenter's time for each token, against the least that any segmenter must do.

    uv run benchmarks/segmenter.py

The floor appends each token to a buffer, searches it for a terminator with one regular expression, and cuts there. It
gets `Dr.`, decimals and quotes wrong. Both read the same text: dialogue, a reply without a single terminator, and the
same dialogue one character at a time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from rfsn_core.turn.sentences import Sentences

DIALOGUE = (
    'Well met, Dr. Ashgrove! The ferry stopped nine days ago... or ten? "It is the rope," he said. It cost 3.50 a'
    " crossing, i.e. too much. Ask at No. 7. Wait. What?! The river counts its guests, and so do we.\n"
) * 5
ENDLESS = "and the river ran on and on " * 30


def tokens(text: str) -> list[str]:
    """Split text roughly as a language model does: words with the space before them, punctuation separate."""
    return re.findall(r"\s*\w{1,6}|\s*[^\w\s]|\s+", text)


_STOP = re.compile(r"[.!?\n]")


def floor(pieces: Sequence[str]) -> int:
    buffer, count = "", 0
    for piece in pieces:
        buffer += piece
        while match := _STOP.search(buffer):
            buffer = buffer[match.end() :]
            count += 1
    return count


def ours(pieces: Sequence[str]) -> int:
    sentences, count = Sentences(), 0
    for piece in pieces:
        count += len(sentences.feed(piece))
    return count + len(sentences.flush())


def best(run: Callable[[Sequence[str]], int], pieces: Sequence[str]) -> float:
    """Return the seconds for each token, the best of many rounds."""
    times = []
    for _ in range(60):
        before = time.perf_counter()
        run(pieces)
        times.append(time.perf_counter() - before)
    return min(times) / len(pieces)


def main() -> None:
    print("text                       tokens   floor µs/token   rfsn µs/token   ratio")
    for name, pieces in {
        "dialogue": tokens(DIALOGUE),
        "without any terminator": tokens(ENDLESS),
        "dialogue, by character": list(DIALOGUE),
    }.items():
        low, mine = best(floor, pieces), best(ours, pieces)
        print(f"{name:24} {len(pieces):8} {low * 1e6:16.2f} {mine * 1e6:15.2f} {mine / low:7.1f}")


if __name__ == "__main__":
    main()

"""The reply parser's time for each token, against the least that anything must do with a token.

    uv run benchmarks/reply_parser.py

The floor appends each token to a list, searches it for marks with one regular expression, and joins the list. It takes
nothing apart. The last lines are replies that are made to be slow; the server takes `operations.max_reply` characters
of them, and this reads all.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from segmenter import tokens

from rfsn_core.turn.reply_parser import Reply

SPEECH = (
    "Well met, traveller. The ferry stopped nine days ago, for the flood took the rope. It cost three coppers a"
    " crossing, and few would pay. If you must cross, ask Finn at the mill: he has a boat, or he had one.\n"
) * 5
MARKED = (
    "Tilda: *wipes the counter* Well met, traveller. (She leans closer.) It costs **two silver**, not a copper less.\n"
    '- ale\n- bread\n"And who asks?" *I* know you, I think... Say `friend` and enter.\n'
) * 5 + 'FINAL_JSON {"action": "greet", "tone": "warm", "claims": []}'
THINKING = "<think>" + "They greet me, so I greet them, and I am warm. " * 10 + "</think>\n\nWell met, love. Sit down."
HOSTILE = {"100 KB of quotes": '"', "100 KB of brackets": "(", "100 KB of <": "<", "100 KB of asterisks": "*"}
_MARK = re.compile(r"[<\[*(`{\"\n]")


def floor(pieces: Sequence[str]) -> int:
    said, marks = [], 0
    for piece in pieces:
        said.append(piece)
        marks += _MARK.search(piece) is not None
    return len("".join(said)) + marks


def ours(pieces: Sequence[str]) -> int:
    reply = Reply(("Tilda Brannoch", "tilda", "innkeeper"), ("Osk", "Pim Reed"), ("Sir Aldric",))
    return sum([len(reply.feed(piece)) for piece in pieces]) + len(reply.close())


def best(run: Callable[[Sequence[str]], int], pieces: Sequence[str], rounds: int = 40) -> float:
    """Return the seconds of CPU that all pieces take, the best of some rounds."""
    times = []
    for _ in range(rounds):
        before = time.thread_time()
        run(pieces)
        times.append(time.thread_time() - before)
    return min(times)


def main() -> None:
    print("reply                      tokens   floor µs/token   rfsn µs/token   ratio")
    for name, pieces in {
        "speech": tokens(SPEECH),
        "speech, marks and a report": tokens(MARKED),
        "thoughts": tokens(THINKING),
        "speech, by character": list(SPEECH),
    }.items():
        low, mine = best(floor, pieces) / len(pieces), best(ours, pieces) / len(pieces)
        print(f"{name:26} {len(pieces):6} {low * 1e6:16.2f} {mine * 1e6:15.2f} {mine / low:7.1f}")
    for name, mark in HOSTILE.items():
        text = mark * 100_000
        whole, single = best(ours, [text], 1) * 1e3, best(ours, list(text), 1) * 1e3
        print(f"{name:26} {whole:8.1f} ms at once {single:8.1f} ms by character")


if __name__ == "__main__":
    main()

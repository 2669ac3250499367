"""How well and how fast the default understanding hears players, on lines that it was never trained on.

    uv run python benchmarks/understanding.py            # every bar
    uv run python benchmarks/understanding.py --wrong    # and every line that is heard wrongly

The lines are `training/signals/heldout.tsv`: a set, the signals that are right (the first strictly), and the line. The
time is that of one line with a warm cache, against a floor: one regular expression and one small sum in numpy.
"""

from __future__ import annotations

import argparse
import collections
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rfsn_core.contract.understanding import UnderstandingContext
from rfsn_core.defaults.understanding import Settings, Signals
from rfsn_core.kit.plain_text import fold

FOLDER = Path(__file__).parents[1] / "training" / "signals"
Line = tuple[str, tuple[str, ...], str]
"""Set, right signals, text."""

BARS = (
    # name, sets, what counts as a hit, bar, whether at least or at most
    ("player lines, all signals", ("player",), "", 0.80, True),
    ("English, other settings", ("en",), "", 0.85, True),
    *((f"language {name}", (name,), "", 0.75, True) for name in "de fr es it pt ru pl zh ja".split()),
    ("small talk", ("greeting", "goodbye", "thank_you", "yes", "no", "personal", "joke"), "", 0.90, True),
    ("goodbye and its kin", ("goodbye",), "", 0.95, True),
    ("statements heard as agree", ("plain",), "agree", 0.05, False),
    ("no heard as agree", ("no",), "agree", 0.02, False),
)


def held_out() -> list[Line]:
    """Return the lines that no model is trained on."""
    rows = (FOLDER / "heldout.tsv").read_text("utf-8").splitlines()
    return [(name, tuple(right.split(",")), text) for name, right, text in (row.split("\t") for row in rows[1:])]


def learned() -> set[str]:
    """Return all lines that the model is trained on, folded."""
    files = [path for path in FOLDER.glob("*.tsv") if path.stem != "heldout"]
    return {fold(row.partition("\t")[2]) for path in files for row in path.read_text("utf-8").splitlines()}


def microseconds(call: Callable[[str], object], texts: list[str], rounds: int = 25) -> float:
    """Return the median over the texts of the best time of a call: that of a quiet core."""
    best = [float("inf")] * len(texts)
    for _ in range(rounds):
        for index, text in enumerate(texts):
            start = time.perf_counter_ns()
            call(text)
            best[index] = min(best[index], (time.perf_counter_ns() - start) / 1e3)
    return statistics.median(best)


def floor() -> Callable[[str], object]:
    """Return the least that could be done with a line: one regular expression, and one sum of a few weights."""
    pattern = re.compile(r"\b(?:hello|where|goodbye|how much)\b")
    weights, places = np.ones((1 << 18, 23), np.int8), np.arange(0, 1 << 18, 1311)

    def least(text: str) -> object:
        return pattern.search(text), np.add.reduce(weights.take(places, 0), 0, np.int32)

    return least


def main() -> None:
    """Print the accuracy by set and by signal, the confusion, the time, and the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wrong", action="store_true", help="print every line that is heard wrongly")
    arguments = parser.parse_args()
    understander, context = Signals(Settings()), UnderstandingContext()
    lines = held_out()
    heard = [understander.understand(text, context).signal for _, _, text in lines]

    sets: dict[str, list[bool]] = collections.defaultdict(list)
    signals: dict[str, list[bool]] = collections.defaultdict(list)
    confused: collections.Counter[tuple[str, str]] = collections.Counter()
    for (name, right, text), signal in zip(lines, heard, strict=True):
        sets[name].append(signal in right)
        if name == "player":
            signals[right[0]].append(signal in right)
        if signal not in right:
            confused[right[0], signal] += 1
            if arguments.wrong:
                print(f"{name:10} {right[0]:10} heard as {signal:10} {text}")
    known = learned()
    fresh = [s in r for (n, r, t), s in zip(lines, heard, strict=True) if n == "player" and fold(t) not in known]
    for title, table in (("set", sets), ("signal of a player's line", signals)):
        print(f"\n{title}")
        for name, hits in sorted(table.items()):
            print(f"  {name:12} {np.mean(hits):.3f}  of {len(hits)}")
    print(f"\nplayer lines that also stand in no training file: {np.mean(fresh):.3f} of {len(fresh)}")
    print("most confused:", ", ".join(f"{one} as {other} {count}" for (one, other), count in confused.most_common(12)))

    texts = [text for name, _, text in lines if len(name) > 2]
    took = microseconds(lambda text: understander.understand(text, context), texts)
    least = microseconds(floor(), texts)
    print(f"\nmedian {took:.0f} µs a line, {took / least:.1f} × the floor of {least:.1f} µs")
    missed = False
    for title, names, wanted, bar, at_least in BARS:
        hits = [s == wanted if wanted else s in r for (n, r, _), s in zip(lines, heard, strict=True) if n in names]
        share = float(np.mean(hits))
        holds = share >= bar if at_least else share <= bar
        missed |= not holds
        print(f"{title:28} {share:.3f}  {'≥' if at_least else '≤'} {bar:.2f}  {'holds' if holds else 'MISSED'}")
    sys.exit(missed)


if __name__ == "__main__":
    main()

"""How often the symbolic checker of claims in `rfsn exam` is wrong, on sentences that were labelled by hand.

    uv run benchmarks/exam_metrics.py

Each line of a file is a label (stated, contradicted, invented, none), a tab, and a sentence. The lines of
`exam_claims.tsv` are about the example world's innkeeper; the kinds of words that exclude each other were
extended after a look at them. Those of `exam_claims_held_out.tsv` are about the vampire of the built-in
suite; nothing was changed after a look at them.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rfsn_core.exam.claims import sentences
from rfsn_core.exam.knowing import NpcKnowledge
from rfsn_core.exam.scores import score
from rfsn_core.exam.suite import HERE as WORLDS
from rfsn_core.world.files import read_world

HERE = Path(__file__).parent


def share(hits: int, of: int) -> str:
    """Return a share with its 95 % interval, as text."""
    if not of:
        return "–"
    found = score("share", [[1.0] * hits + [0.0] * (of - hits)])
    return f"{hits} of {of}, {100 * found.value:.0f} % ({100 * found.low:.0f} to {100 * found.high:.0f})"


def measure(world: Path, npc: str, lines: Path) -> None:
    """Print precision and recall of each kind of claim."""
    known = read_world(world)
    checker = NpcKnowledge(known, known.npcs[npc]).checker
    rows = [line.split("\t", 1) for line in lines.read_text("utf-8").splitlines() if line]
    pairs = []
    print(f"── {lines.stem} ──")
    for label, text in rows:
        (sentence,) = sentences(text)
        claim = checker.judge(sentence)
        pairs.append((label, claim.kind))
        if label != claim.kind:
            print(f"{label:13} read as {claim.kind:13} {sentence}  {claim.fact} {claim.why}")
    counts = Counter(pairs)
    for kind in ("stated", "contradicted", "invented", "none"):
        right = counts[kind, kind]
        print(f"{kind:13} found: {share(right, sum(n for (label, _), n in counts.items() if label == kind))}")
        print(f"{'':13} right when said: {share(right, sum(n for (_, read), n in counts.items() if read == kind))}")


def main() -> None:
    """Print the figures of both files."""
    measure(HERE.parent / "examples" / "lantern_ford", "innkeeper", HERE / "exam_claims.tsv")
    measure(WORLDS / "worlds" / "castle", "ilka", HERE / "exam_claims_held_out.tsv")


if __name__ == "__main__":
    main()

"""Trains the gate's model on folders of labelled JSON lines, and prints how well it does on sources left out.

    uv run training/gate/train.py POOL                # sources left out, then train on all and write the model
    uv run training/gate/train.py POOL --check        # sources left out only
    uv run training/gate/train.py POOL --to my.npz    # a game's own model, for `[gating.ngrams] model`

Each line of POOL/*.jsonl has `text`, `label` (harm or pass), `group` and perhaps `side`. The lines in this repository
(`lines/*.txt`, and what players say in `players.txt.gz`) are added; `--alone` leaves them out. Logistic
regression by AdaGrad over hashed n-grams, in numpy; the same lines give the same file. README.md names the sources.
"""

from __future__ import annotations

import argparse
import collections
import gzip
import hashlib
import json
import random
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rfsn_core.defaults import gate_model
from rfsn_core.defaults.gate_model import BUCKETS, SIDES, SLACK, TOPICS, WORLDS, GateModel, features
from rfsn_core.defaults.gate_patterns import RuleSet, built_in
from rfsn_core.kit.folding import fold

FOLDER = Path(__file__).parent
PLAYERS = FOLDER / "players.txt.gz"
"""What players say in games: a copy of `training/signals`, so that the model can be reproduced when that changes."""
EPOCHS, BATCH, RATE, DECAY = 5, 64, 0.3, 1e-6
WEIGHT_OF_GROUP = {"benign_request": 0.3, "chatter": 0.3}
"""Talk of today that is harmless counts less than lines of a game: see docs/gating.md."""
STEPS = 127
"""The largest weight, in steps."""
KEPT = 3
"""Smaller weights, in steps, become 0."""
FALSE = {"suspicious": 0.045, "block": 0.008}
"""Share of a game's lines, from sources that were left out, that the thresholds stop."""
EXPANSIONS = 40
"""Most lines that one template gives."""
FOLDS = 3
CUT = 400
"""Characters that are read of a line."""


class Line(NamedTuple):
    """A labelled line."""

    source: str
    harm: bool
    group: str
    side: str
    text: str


def of_pool(folder: Path) -> Iterator[Line]:
    """Yield the lines of a folder's *.jsonl; the name of the file is the source."""
    for path in sorted(folder.glob("*.jsonl")):
        for number, raw in enumerate(path.read_text("utf-8").splitlines(), 1):
            if not raw.strip():
                continue
            try:
                line = json.loads(raw)
                yield Line(path.stem, line["label"] == "harm", line["group"], line.get("side", "player"), line["text"])
            except (ValueError, KeyError, TypeError) as error:
                raise SystemExit(f"{path}: line {number}: {error!r}") from None


def of_repository() -> Iterator[Line]:
    """Yield the lines that this repository brings: templates, and what players say in games."""
    for path in sorted((FOLDER / "lines").glob("*.txt")):
        group = ""
        for raw in path.read_text("utf-8").splitlines():
            if raw.startswith("# "):
                group = raw[2:]
            elif raw.strip():
                harm = group not in ("fantasy", "chatter", "benign_request")
                for text in expanded(raw.strip()):
                    yield Line(f"own_{path.stem}", harm, group, "player", text)
    for raw in gzip.decompress(PLAYERS.read_bytes()).decode().splitlines():
        language, _, text = raw.partition("\t")
        yield Line(f"players_{language}", False, "fantasy", "player", text)


def freeze() -> None:
    """Write `players.txt.gz` from the lines in `training/signals`, without those that test real harm."""
    rules = RuleSet(built_in())
    rows = []
    for path in sorted((FOLDER.parent / "signals").glob("*.tsv")):
        for raw in path.read_text("utf-8").splitlines() if path.stem != "heldout" else ():
            text = " ".join(raw.partition("\t")[2].split())
            if text and not any(rule.risk >= gate_model.SUSPICIOUS for rule, _ in rules.matches(fold(text))):
                rows.append(f"{path.stem}\t{text}\n")
    PLAYERS.write_bytes(gzip.compress("".join(rows).encode(), 9, mtime=0))
    print(f"{len(rows)} lines, {PLAYERS.stat().st_size / 1024:.0f} KB")


def expanded(template: str) -> list[str]:
    """Return lines made from a template, whose `{a|b}` stand for one of several texts; the same each time."""
    dice = random.Random(zlib.crc32(template.encode()))
    lines: dict[str, None] = {}
    for _ in range(EXPANSIONS * 3):
        text = template
        while "{" in text:
            text = re.sub(r"\{([^{}]*)\}", lambda match: dice.choice(match.group(1).split("|")), text)
        lines[re.sub(r" +(['’,.!?])", r"\1", " ".join(text.split()))] = None
        if len(lines) >= EXPANSIONS:
            break
    return list(lines)


class Packed(NamedTuple):
    """The features of many texts, one after the other."""

    starts: Any
    buckets: Any
    values: Any

    def rows(self, indices: Any) -> tuple[Any, Any, Any]:
        """Return (buckets, values, position in `indices`) of some texts."""
        lengths = self.starts[indices + 1] - self.starts[indices]
        places = np.repeat(self.starts[indices] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
        places += np.arange(int(lengths.sum()))
        return self.buckets[places], self.values[places], np.repeat(np.arange(len(indices)), lengths)


def pack(lines: Sequence[Line]) -> Packed:
    """Return the features of the lines, folded."""
    buckets, values, lengths = [], [], []
    for line in lines:
        found = features(fold(line.text[:CUT]).folded)
        unique, times = np.unique(np.asarray(found), return_counts=True)
        buckets.append(unique)
        values.append(times / np.sqrt(len(found) + SLACK))
        lengths.append(len(unique))
    return Packed(np.concatenate([[0], np.cumsum(lengths)]), np.concatenate(buckets), np.concatenate(values))


def weights_of(lines: Sequence[Line]) -> Any:
    """Return how much each line counts: small groups of harm more, by the square root."""
    counts = collections.Counter(line.group for line in lines if line.harm)
    mean = sum(counts.values()) / max(1, len(counts))
    return np.array(
        [(mean / counts[line.group]) ** 0.5 if line.harm else WEIGHT_OF_GROUP.get(line.group, 1.0) for line in lines]
    )


def fit(packed: Packed, indices: Any, harm: Any, importance: Any) -> tuple[Any, float]:
    """Return (weights, bias) of a logistic regression on some of the lines."""
    generator = np.random.default_rng(0)
    weights, squares, bias = np.zeros(BUCKETS), np.full(BUCKETS, 1e-2), 0.0
    for _ in range(EPOCHS):
        order = generator.permutation(indices)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            buckets, values, place = packed.rows(batch)
            scores = np.bincount(place, weights[buckets] * values, len(batch)) + bias
            error = (1 / (1 + np.exp(-scores)) - harm[batch]) * importance[batch]
            unique, inverse = np.unique(buckets, return_inverse=True)
            step = np.bincount(inverse, values * error[place], len(unique)) + DECAY * len(batch) * weights[unique]
            squares[unique] += step * step
            weights[unique] -= RATE * step / np.sqrt(squares[unique])
            bias -= 0.02 * float(error.sum()) / len(batch)
    return weights, bias


def topics_of(lines: Sequence[Line], packed: Packed) -> Any:
    """Return for each feature the group of harm in which it is most frequent, for the size of the group."""
    counts = np.zeros((len(TOPICS), BUCKETS))
    for number, topic in enumerate(TOPICS):
        members = np.array([index for index, line in enumerate(lines) if line.harm and line.group == topic], int)
        if len(members):
            buckets, values, _ = packed.rows(members)
            counts[number] = np.bincount(buckets, values, BUCKETS) / (len(members) + 50)
    return counts.argmax(0).astype(np.uint8)


def left_out(lines: Sequence[Line], packed: Packed, harm: Any, importance: Any) -> Any:
    """Return a score for each line by a model that has seen nothing of its source; NaN for this repository's own."""
    sources = np.array([line.source for line in lines])
    names = [name for name in sorted(set(sources)) if not name.startswith("own_")]
    scores = np.full(len(lines), np.nan)
    for fold_number in range(FOLDS):
        out = np.isin(sources, names[fold_number::FOLDS])
        weights, bias = fit(packed, np.flatnonzero(~out), harm, importance)
        test = np.flatnonzero(out)
        buckets, values, place = packed.rows(test)
        scores[test] = np.bincount(place, weights[buckets] * values, len(test)) + bias
    return scores


def thresholds_of(lines: Sequence[Line], scores: Any) -> dict[tuple[str, str], tuple[float, float]]:
    """Return (world, side) → scores of (suspicious, block), from lines of sources that were left out."""
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for world in WORLDS:
        for side in SIDES:
            harmless = [
                score
                for line, score in zip(lines, scores, strict=True)
                if not line.harm and not np.isnan(score) and (world == "modern" or line.group == "fantasy")
                if line.side == side or (world == "modern" and line.group != "fantasy")
            ]
            low, high = np.quantile(harmless, [1 - FALSE["suspicious"], 1 - FALSE["block"]]) if harmless else (0, 1)
            found[world, side] = float(low), float(high)
    return found


def report(lines: Sequence[Line], scores: Any, thresholds: dict[tuple[str, str], tuple[float, float]]) -> None:
    """Print, for each source and group, the share of its lines that are suspicious and that are blocked."""
    rows: dict[tuple[str, str, str], list[tuple[bool, bool]]] = collections.defaultdict(list)
    for line, score in zip(lines, scores, strict=True):
        if not np.isnan(score):
            low, high = thresholds["fantasy", line.side]
            rows["harm" if line.harm else "pass", line.group, line.source].append((score >= low, score >= high))
    print(f"{'label':5} {'group':15} {'source':20} {'lines':>6} {'suspicious':>10} {'blocked':>8}")
    by_group: dict[str, list[Any]] = collections.defaultdict(list)
    for (label, group, source), marks in sorted(rows.items()):
        low, high = np.mean(marks, axis=0)
        print(f"{label:5} {group:15} {source:20} {len(marks):6} {low:10.3f} {high:8.3f}")
        if label == "harm" and len(marks) > 20:
            by_group[group].append((low, high))
    means = np.mean([np.mean(values, axis=0) for values in by_group.values()], axis=0)
    print(f"mean over groups of harm: suspicious {means[0]:.3f}, blocked {means[1]:.3f}")


def quantized(weights: Any, topics: Any, bias: float, thresholds: Any) -> GateModel:
    """Return the model with weights of 8 bits; the smallest are 0."""
    scale = float(np.quantile(np.abs(weights[weights != 0]), 0.9995)) / STEPS
    steps = np.clip(np.round(weights / scale), -STEPS, STEPS).astype(np.int8)
    steps[np.abs(steps) < KEPT] = 0
    return GateModel(steps, np.where(steps > 0, topics, 0).astype(np.uint8), scale, bias, thresholds)


def main() -> None:
    """Train and write, or only check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool", type=Path, nargs="*", help="folders of *.jsonl")
    parser.add_argument("--freeze", action="store_true", help="copy the players' lines from training/signals first")
    parser.add_argument("--check", action="store_true", help="print what sources left out score, write nothing")
    parser.add_argument("--alone", action="store_true", help="leave out the lines of this repository")
    parser.add_argument("--to", type=Path, default=gate_model.FILE, help="file to write")
    arguments = parser.parse_args()
    if arguments.freeze:
        freeze()
    every = [line for folder in arguments.pool for line in of_pool(folder)]
    every += [] if arguments.alone else of_repository()
    lines = list({fold(line.text).folded: line for line in every if line.text.strip()}.values())
    print(f"{len(lines)} different lines, {sum(line.harm for line in lines)} of them harmful")
    packed = pack(lines)
    harm, importance = np.array([float(line.harm) for line in lines]), weights_of(lines)
    scores = left_out(lines, packed, harm, importance)
    thresholds = thresholds_of(lines, scores)
    report(lines, scores, thresholds)
    if arguments.check:
        return
    weights, bias = fit(packed, np.arange(len(lines)), harm, importance)
    quantized(weights, topics_of(lines, packed), bias, thresholds).save(arguments.to)
    digest = hashlib.sha256(arguments.to.read_bytes()).hexdigest()
    print(f"wrote {arguments.to.name}, {arguments.to.stat().st_size / 1024:.0f} KB, SHA-256 {digest}")


if __name__ == "__main__":
    main()

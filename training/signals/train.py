"""Trains the signal model on the labelled lines in this folder, and prints how well it does on lines left out.

    uv run training/signals/train.py             # five-fold accuracy, then train on all and write the weights
    uv run training/signals/train.py --check     # five-fold accuracy only

Multinomial logistic regression by AdaGrad over hashed features. Of the weights the largest `KEPT` are kept, rounded to
8 bits. The same lines give the same weights.
"""

from __future__ import annotations

import argparse
import collections
from pathlib import Path
from typing import Any

import numpy as np

from rfsn_core.defaults.signal_model import BUCKETS, FILE, SignalModel, features, fold

FOLDER = Path(__file__).parent
EPOCHS = 6
RATE = 0.5
DECAY = 2e-5
"""L2 penalty, per step."""
KEPT = 145_000
"""Weights that are not 0: as many as fit in 200 KB."""
SMOOTH = 0.05
"""Label smoothing: keeps the probabilities honest."""


def lines(folder: Path = FOLDER) -> list[tuple[str, str, str]]:
    """Return (language, signal, text) of every labelled line."""
    rows = []
    for path in sorted(folder.glob("*.tsv")):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if not line.strip():
                continue
            signal, tab, text = line.partition("\t")
            if not tab or not text.strip():
                raise SystemExit(f"{path.name}: line {number}: not 'signal<TAB>text'")
            rows.append((path.stem, signal, text))
    return rows


def train(
    texts: list[list[int]], labels: Any, signals: tuple[str, ...], weight: Any, epochs: int = EPOCHS
) -> SignalModel:
    """Return a model trained on texts given as buckets, with a weight for each."""
    generator = np.random.default_rng(0)
    count = len(signals)
    rows: Any = np.zeros((BUCKETS, count), np.float32)
    squares: Any = np.full((BUCKETS, count), 1e-3, np.float32)
    bias: Any = np.zeros(count, np.float32)
    bias_squares: Any = np.full(count, 1e-3, np.float32)
    packed = [np.asarray(text) for text in texts]
    for _ in range(epochs):
        for index in generator.permutation(len(packed)):
            buckets = packed[index]
            norm = 1 / np.sqrt(len(buckets))
            scores = rows[buckets].sum(0) * norm + bias
            scores -= scores.max()
            error = np.exp(scores)
            error /= error.sum()
            error -= SMOOTH / count
            error[labels[index]] -= 1 - SMOOTH
            error *= weight[index]
            bias_squares += error**2
            bias -= 0.1 * error / np.sqrt(bias_squares)
            unique, times = np.unique(buckets, return_counts=True)
            step = np.outer(times * norm, error) + DECAY * rows[unique]
            squares[unique] += step**2
            rows[unique] -= RATE * step / np.sqrt(squares[unique])
    smallest = np.sort(np.abs(rows).ravel())[-min(KEPT, rows.size)]
    rows[np.abs(rows) < smallest] = 0
    scale = float(np.abs(rows).max()) / 127
    return SignalModel(signals, np.round(rows / scale).astype(np.int8), scale, bias)


def folds(rows: list[tuple[str, str, str]], signals: tuple[str, ...], count: int = 5, only: int = 0) -> None:
    """Print the accuracy on lines left out, in all, by language and by signal."""
    generator = np.random.default_rng(1)
    place = generator.integers(0, count, len(rows))
    texts = [features(text) for _, _, text in rows]
    labels = np.array([signals.index(signal) for _, signal, _ in rows])
    weight = balance(labels, len(signals))
    right: dict[str, list[int]] = collections.defaultdict(list)
    confused: collections.Counter[tuple[str, str]] = collections.Counter()
    for fold_number in range(only or count):
        inside = np.flatnonzero(place != fold_number)
        model = train([texts[i] for i in inside], labels[inside], signals, weight[inside])
        for index in np.flatnonzero(place == fold_number):
            language, signal, text = rows[index]
            said = next(iter(model.probabilities(text)))
            for key in ("all", f"language {language}", f"signal {signal}"):
                right[key].append(said == signal)
            if said != signal:
                confused[signal, said] += 1
    for key in sorted(right):
        print(f"{key:22} {np.mean(right[key]):.3f}  of {len(right[key])}")
    print("most confused:", ", ".join(f"{a} as {b} {n}" for (a, b), n in confused.most_common(12)))


def fit(rows: list[tuple[str, str, str]], epochs: int = EPOCHS) -> SignalModel:
    """Return a model trained on labelled lines."""
    signals = tuple(sorted({signal for _, signal, _ in rows}))
    labels = np.array([signals.index(signal) for _, signal, _ in rows])
    texts = [features(text) for _, _, text in rows]
    return train(texts, labels, signals, balance(labels, len(signals)), epochs)


def balance(labels: Any, count: int) -> Any:
    """Return a weight for each line: rare signals count more, by the square root."""
    share = np.bincount(labels, minlength=count).clip(1)
    return np.sqrt(share.mean() / share)[labels].astype(np.float32)


def main() -> None:
    """Train and write, or only check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="print the accuracy, write nothing")
    parser.add_argument("--folds", type=int, default=5, help="how many of the five folds to try")
    arguments = parser.parse_args()
    rows = list({fold(text): (language, signal, text) for language, signal, text in lines()}.values())
    signals = tuple(sorted({signal for _, signal, _ in rows}))
    print(f"{len(rows)} different lines, {len(signals)} signals")
    if arguments.folds:
        folds(rows, signals, only=arguments.folds)
    if arguments.check:
        return
    fit(rows).save()
    print(f"wrote {FILE.name}, {FILE.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()

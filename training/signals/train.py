"""Trains the signal model on the labelled lines in this folder, and prints how well it does on lines left out.

    uv run training/signals/train.py             # five-fold accuracy, then train on all and write the weights
    uv run training/signals/train.py --check     # five-fold accuracy only

Multinomial logistic regression by AdaGrad over hashed features. Of the weights the largest `KEPT` are kept, rounded to
8 bits. The same lines give the same weights.
"""

from __future__ import annotations

import argparse
import collections
import random
import re
from pathlib import Path
from typing import Any

import numpy as np

from rfsn_core.defaults.signal_model import BUCKETS, FILE, SignalModel, features
from rfsn_core.defaults.translation import translate
from rfsn_core.kit.plain_text import fold, tokens

FOLDER = Path(__file__).parent
Row = tuple[str, str, str]
"""Language, signal and text."""
EPOCHS, AFTER = 6, 2
"""Passes over the lines, and how many of them come after the small weights were set to 0."""
RATE = 0.5
DECAY = 2e-5
"""L2 penalty, per step."""
KEPT = 180_000
"""Weights that are not 0: as many as fit in 200 KB."""
STEPS = 12
"""A large weight, in steps; fewer steps make the file smaller."""
CARELESS = 0.5
"""Share of the lines that are also learned as a careless player types them."""
SMOOTH = 0.05
"""Label smoothing: keeps the probabilities honest."""


def lines(folder: Path = FOLDER) -> list[Row]:
    """Return (language, signal, text) of every labelled line."""
    rows = []
    for path in sorted(folder.glob("*.tsv")):
        if path.stem == "heldout":
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if not line.strip():
                continue
            signal, tab, text = line.partition("\t")
            if not tab or not text.strip():
                raise SystemExit(f"{path.name}: line {number}: not 'signal<TAB>text'")
            rows.append((path.stem, signal, text))
    return rows


Packed = tuple[Any, Any]
"""The features of a text: different buckets, and how much each counts."""


def pack(text: str) -> Packed:
    """Return the features of a text."""
    words = tokens(fold(text))
    buckets = features(words, translate(words))
    unique, times = np.unique(np.asarray(buckets), return_counts=True)
    return unique, (times / np.sqrt(len(buckets))).astype(np.float32)


def disturbed(rows: list[Row]) -> list[Row]:
    """Return variants of some lines as careless players type them: no marks, a typo. The same lines give the same."""
    dice = random.Random(0)
    return [(language, signal, _careless(text, dice)) for language, signal, text in rows if dice.random() < CARELESS]


def _careless(text: str, dice: random.Random) -> str:
    if dice.random() < 0.6:
        text = re.sub(r"[^\w\s*?]", "", text)
    if dice.random() < 0.3:
        text = text.replace("?", "").replace("!", "")
    inside = [at for at in range(len(text) - 1) if text[at].isalpha() and text[at + 1].isalpha()]
    if inside and dice.random() < 0.5:
        at, kind = dice.choice(inside), dice.random()
        if kind < 0.4:
            text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        elif kind < 0.8:
            text = text[:at] + text[at + 1 :]
        else:
            text = text[:at] + text[at] + text[at:]
    return text


def train(texts: list[Packed], labels: Any, signals: tuple[str, ...], weight: Any, epochs: int = EPOCHS) -> SignalModel:
    """Return a model trained on texts with a weight for each."""
    texts = without_rare(texts)
    generator = np.random.default_rng(0)
    count = len(signals)
    rows: Any = np.zeros((BUCKETS, count), np.float32)
    squares: Any = np.full((BUCKETS, count), 1e-3, np.float32)
    bias: Any = np.zeros(count, np.float32)
    bias_squares: Any = np.full(count, 1e-3, np.float32)
    kept: Any = None
    for epoch in range(epochs):
        for index in generator.permutation(len(texts)):
            buckets, times = texts[index]
            scores = times @ rows[buckets] + bias
            scores -= scores.max()
            error = np.exp(scores)
            error /= error.sum()
            error -= SMOOTH / count
            error[labels[index]] -= 1 - SMOOTH
            error *= weight[index]
            bias_squares += error**2
            bias -= 0.1 * error / np.sqrt(bias_squares)
            step = times[:, None] * error + DECAY * rows[buckets]
            square = squares[buckets] + step * step
            squares[buckets] = square
            step *= RATE / np.sqrt(square)
            if kept is not None:
                step *= kept[buckets]
            rows[buckets] -= step
        if epoch == max(0, epochs - AFTER - 1):
            smallest = np.partition(np.abs(rows).ravel(), -KEPT)[-KEPT]
            kept = (np.abs(rows) >= smallest).astype(np.float32)
            rows *= kept
    scale = float(np.sort(np.abs(rows).ravel())[-KEPT // 1000]) / STEPS
    return SignalModel(signals, np.round(rows / scale).clip(-2 * STEPS, 2 * STEPS).astype(np.int8), scale, bias)


def without_rare(texts: list[Packed]) -> list[Packed]:
    """Return the texts without the features that only one of them has."""
    seen = np.zeros(BUCKETS, np.int64)
    for buckets, _ in texts:
        seen[buckets] += 1
    return [(buckets[seen[buckets] > 1], times[seen[buckets] > 1]) for buckets, times in texts]


def folds(rows: list[Row], signals: tuple[str, ...], count: int = 5, only: int = 0) -> None:
    """Print the accuracy on lines left out, in all, by language and by signal."""
    generator = np.random.default_rng(1)
    place = generator.integers(0, count, len(rows))
    right: dict[str, list[int]] = collections.defaultdict(list)
    confused: collections.Counter[tuple[str, str]] = collections.Counter()
    for fold_number in range(only or count):
        model = fit([row for row, at in zip(rows, place, strict=True) if at != fold_number], signals=signals)
        for index in np.flatnonzero(place == fold_number):
            language, signal, text = rows[index]
            said = model.of_text(text)
            for key in ("all", f"language {language}", f"signal {signal}"):
                right[key].append(said == signal)
            if said != signal:
                confused[signal, said] += 1
    for key in sorted(right):
        print(f"{key:22} {np.mean(right[key]):.3f}  of {len(right[key])}")
    print("most confused:", ", ".join(f"{a} as {b} {n}" for (a, b), n in confused.most_common(12)))


def fit(rows: list[Row], epochs: int = EPOCHS, signals: tuple[str, ...] = ()) -> SignalModel:
    """Return a model trained on labelled lines, and on careless variants of some."""
    signals = signals or tuple(sorted({signal for _, signal, _ in rows}))
    rows = rows + disturbed(rows)
    labels = np.array([signals.index(signal) for _, signal, _ in rows])
    return train([pack(text) for _, _, text in rows], labels, signals, balance(labels, len(signals)), epochs)


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

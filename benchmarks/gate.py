"""How much harm the gates stop, and how many harmless lines, for folders of labelled JSON lines.

    uv run benchmarks/gate.py FOLDER            # the gates as they ship
    uv run benchmarks/gate.py POOL --split      # trained without the source that is measured: the honest figure

A line has `text`, `label` (harm or pass), `group` and perhaps `side`. Sources are the names of the files. Prints the
share of lines that are blocked and that are at least suspicious, by group, and the time a line takes.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import importlib.util
import time
from pathlib import Path
from typing import Any

import numpy as np

from rfsn_core.contract.gating import Utterance
from rfsn_core.defaults.gate_model import FILE
from rfsn_core.defaults.gating import Ngrams, NgramSettings, Rules, RuleSettings
from rfsn_core.oversight import gates

TRAIN = Path(__file__).parents[1] / "training" / "gate" / "train.py"


def trainer() -> Any:
    spec = importlib.util.spec_from_file_location("train", TRAIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def verdicts(chain: tuple[Any, ...], lines: list[Any]) -> list[tuple[bool, bool]]:
    marks = []
    for line in lines:
        verdict = await gates.check(chain, Utterance(line.text, line.side, "npc"), 60)
        marks.append((verdict.kind != "allow" or bool(verdict.reasons), verdict.kind != "allow"))
    return marks


def split(train: Any, lines: list[Any], rules: Rules) -> list[tuple[Any, tuple[bool, bool]]]:
    """Return each line of the pool with its marks by gates that have seen nothing of its source."""
    every = list({train.fold(line.text).folded: line for line in [*lines, *train.of_repository()]}.values())
    packed = train.pack(every)
    harm, importance = np.array([float(line.harm) for line in every]), train.weights_of(every)
    names = sorted({line.source for line in lines})
    results: list[tuple[Any, tuple[bool, bool]]] = []
    for number in range(train.FOLDS):
        out = set(names[number :: train.FOLDS])
        inside = [index for index, line in enumerate(every) if line.source not in out]
        kept = [every[index] for index in inside]
        # The thresholds, too, come from what is left: its sources are left out in turn.
        scores = train.left_out(kept, train.pack(kept), harm[inside], importance[inside])
        weights, bias = train.fit(packed, np.array(inside), harm, importance)
        gate = Ngrams(NgramSettings())
        gate._model = train.quantized(weights, train.topics_of(every, packed), bias, train.thresholds_of(kept, scores))
        measured = [line for line in lines if line.source in out]
        results += zip(measured, asyncio.run(verdicts((rules, gate), measured)), strict=True)
    return results


def table(results: list[tuple[Any, tuple[bool, bool]]]) -> None:
    groups: dict[tuple[str, str], dict[str, list[tuple[bool, bool]]]] = collections.defaultdict(
        lambda: collections.defaultdict(list)
    )
    for line, marks in results:
        side = f" ({line.side})" if line.group == "fantasy" else ""
        groups["harm" if line.harm else "pass", line.group + side][line.source].append(marks)
    print(f"{'':5} {'group':22} {'lines':>6} {'sources':>7} {'suspicious':>10} {'blocked':>8}")
    recall = []
    for (label, group), sources in sorted(groups.items()):
        mean = np.mean([np.mean(marks, axis=0) for marks in sources.values()], axis=0)
        count = sum(map(len, sources.values()))
        print(f"{label:5} {group:22} {count:6} {len(sources):7} {mean[0]:10.3f} {mean[1]:8.3f}")
        if label == "harm":
            recall.append(mean)
    if recall:
        suspicious, blocked = np.mean(recall, axis=0)
        print(f"{'harm':5} {'mean of the groups':22} {'':6} {'':7} {suspicious:10.3f} {blocked:8.3f}")


def speed(lines: list[Any], rules: Rules) -> None:
    sample = [line for line in lines if len(line.text) < 200][:3000]
    for name, gate in (("rules", rules), ("ngrams", Ngrams(NgramSettings()))):
        asyncio.run(verdicts((gate,), sample[:200]))
        start = time.process_time()
        asyncio.run(verdicts((gate,), sample))
        print(f"{name}: {(time.process_time() - start) / len(sample) * 1e6:.0f} µs of processor time a line")
    print(f"model: {FILE.stat().st_size / 1024:.0f} KB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", action="store_true", help="train without the sources that are measured")
    arguments = parser.parse_args()
    train = trainer()
    lines = list(train.of_pool(arguments.folder))
    if not lines:
        parser.error(f"no labelled lines in {arguments.folder}/*.jsonl; training/gate/README.md says what a line has")
    rules = Rules(RuleSettings())
    if arguments.split:
        table(split(train, lines, rules))
    else:
        gate = Ngrams(NgramSettings())
        table(list(zip(lines, asyncio.run(verdicts((rules, gate), lines)), strict=True)))
    speed(lines, rules)


if __name__ == "__main__":
    main()

"""Writes examples to a folder: one file for each archetype, task and split, with a data card and statistics."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rfsn_core.dataset.examples import STRANGER, Example

SPLITS = ("train", "validation", "test")
FORMATS = {
    "messages": "`messages`: TRL's language modelling, axolotl's `chat_template`",
    "prompt-completion": "`prompt` and `completion`, each messages: TRL's SFT with the loss on the reply only",
    "kto": "`prompt`, `completion` and `label`, true for a reward above 0: TRL's KTO; only turns with a reward",
}
"""Format → its columns and what reads it."""


def split_of(player: str, seed: int, shares: Sequence[float]) -> str:
    """Return the split of a player: all that one player said and heard is in one split.

    :param shares: of validation and test.
    """
    digest = hashlib.blake2b(f"{seed}/{player}".encode(), digest_size=8).digest()
    place = int.from_bytes(digest, "big") / 2**64
    return "test" if place < shares[1] else "validation" if place < shares[0] + shares[1] else "train"


def split(examples: Iterable[Example], seed: int, shares: Sequence[float]) -> tuple[dict[str, list[Example]], int]:
    """Return the examples of each split, and how many were left out because their reply is in `train`, too."""
    splits: dict[str, list[Example]] = {name: [] for name in SPLITS}
    for example in examples:
        splits[split_of(example.player, seed, shares)].append(example)
    known = {example.words for example in splits["train"]}
    leaked = 0
    for name in SPLITS[1:]:
        kept = [example for example in splits[name] if example.words not in known]
        leaked += len(splits[name]) - len(kept)
        splits[name] = kept
        known |= {example.words for example in kept}
    return splits, leaked


def row(example: Example, form: str) -> dict[str, Any] | None:
    """Return an example as a line of a format; None when the format has no place for it."""
    messages = list(example.messages)
    about = {"npc": example.npc, "action": example.action, "style": example.style}
    if form == "messages":
        return {"messages": messages, **about}
    halves = {"prompt": messages[:-1], "completion": messages[-1:]}
    if form == "prompt-completion":
        return {**halves, **about}
    return None if not example.reward else {**halves, "label": example.reward > 0, **about}


def write(
    folder: Path,
    splits: Mapping[str, Sequence[Example]],
    form: str,
    left_out: Mapping[str, int],
    about: Mapping[str, str],
) -> dict[str, Any]:
    """Write the files of a data set to a folder, and return its statistics.

    :param about: what the card says besides: the world, the consent, the filters.
    """
    files: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for name, examples in splits.items():
        for example in examples:
            if (line := row(example, form)) is not None:
                files[example.archetype, example.task, name].append(line)
    for (archetype, task, name), lines in files.items():
        path = folder / archetype / task / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    everything = [example for examples in splits.values() for example in examples]
    stats = {
        "format": form,
        "examples": {"/".join(key): len(lines) for key, lines in sorted(files.items())},
        "players": {name: len({example.player for example in examples}) for name, examples in splits.items()},
        "npcs": dict(Counter(example.npc for example in everything).most_common()),
        "actions": dict(Counter(example.action for example in everything).most_common()),
        "styles": dict(Counter(example.style for example in everything).most_common()),
        "mean_words": round(_mean(len(e.messages[-1]["content"].split()) for e in everything), 1),
        "left_out": dict(sorted(left_out.items(), key=lambda item: -item[1])),
    }
    (folder / "statistics.json").write_text(json.dumps(stats, indent=2, ensure_ascii=False), "utf-8")
    (folder / "README.md").write_text(card(stats, sorted({key[:2] for key in files}), files.keys(), about), "utf-8")
    return stats


def _mean(values: Iterable[int]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else 0.0


def card(
    stats: Mapping[str, Any], groups: Sequence[tuple[str, str]], files: Iterable[tuple[str, str, str]],
    about: Mapping[str, str],
) -> str:  # fmt: skip
    """Return the data card: a README with the configurations that `datasets` reads, one for each adapter."""
    existing = set(files)
    players = ", ".join(f"{count} in {name}" for name, count in stats["players"].items())
    lines = ["---", "task_categories:", "- text-generation", "tags:", "- rfsn", "configs:"]
    for archetype, task in groups:
        lines += [f"- config_name: {archetype}-{task}", "  data_files:"]
        for name in SPLITS:
            if (archetype, task, name) in existing:
                lines += [f"  - split: {name}", f"    path: {archetype}/{task}/{name}.jsonl"]
    lines += ["---", "", "# Conversations with NPCs", ""]
    lines += [f"- **{name}**: {value}" for name, value in about.items()]
    lines += [
        f"- **Format**: {FORMATS[stats['format']]}",
        f"- **Players**: {players}; no player is in two splits, and no reply of `train` is in another.",
        f"- **Names** of players are replaced by '{STRANGER}'.",
        f"- **Words of a reply**: {stats['mean_words']} on average",
        "", "| archetype, task, split | examples |", "|---|---|",
    ]  # fmt: skip
    lines += [f"| {name} | {count} |" for name, count in stats["examples"].items()]
    lines += ["", "| left out because | turns |", "|---|---|"]
    lines += [f"| {reason} | {count} |" for reason, count in stats["left_out"].items()]
    lines += ["", "## Loading", "", "```python", "from datasets import load_dataset", ""]
    first = f"{groups[0][0]}-{groups[0][1]}" if groups else "none"
    lines += [f'data = load_dataset("this folder", "{first}")', "```"]
    if stats["format"] == "messages" and groups:
        lines += [
            "", "```yaml", "# axolotl", "datasets:", f"  - path: {groups[0][0]}/{groups[0][1]}/train.jsonl",
            "    ds_type: json", "    type: chat_template", "    field_messages: messages",
            "    message_property_mappings: {role: role, content: content}", '    roles_to_train: ["assistant"]', "```",
        ]  # fmt: skip
    lines += [
        "", "## Limits", "",
        "The texts are what players typed. A name that a player gave of somebody else is not replaced. When a player",
        "asks to be erased after this was made, make it again: the log no longer has them, and this copy does.", "",
    ]  # fmt: skip
    return "\n".join(lines)

"""What an NPC says without a model: plays player lines in this process and prints the transcript and its figures.

    uv run benchmarks/conversation.py                      # 449 turns with the example world, some seconds
    uv run benchmarks/conversation.py --quiet              # only the figures
    uv run benchmarks/conversation.py --lines my.tsv --world my_world

In a file of lines, each line is an NPC's id, a tab, and what the player says. Each file is one player, who is new.
Only a reader can tell whether an answer is good. The same world and lines give the same transcript.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rfsn_core import protocol
from rfsn_core.kernel import Kernel, conversation, running
from rfsn_core.plugins.discovery import discover
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.telemetry import logs
from rfsn_core.turn.sentences import Sentences

HERE = Path(__file__).parent
FILES = ("review", "unseen", "held_out", "follow_ups", "second_held_out")
LINES = tuple(HERE / "conversations" / f"{name}.tsv" for name in FILES)
SETTINGS = {
    "rendering": {"provider": "scripted"},
    "speech": {"provider": "silent"},
    "learning": {"enabled": False},
}
WORLD = HERE.parent / "examples" / "lantern_ford"


@dataclass
class Said:
    """One turn of the transcript."""

    npc: str
    player: str
    answer: str
    heard: str
    did: str
    fact: str
    trust: float
    milliseconds: float


async def turn(kernel: Kernel, npc: str, player: str, text: str) -> Said:
    """Play one turn."""
    said = Said(npc, text, "", "", "", "", 0.0, 0.0)
    before = time.perf_counter()
    async for item in conversation(
        kernel, protocol.PlayerTurn(npc=npc, player=player, text=text), protocol.Hello(text=True)
    ):
        match item:
            case protocol.Decision():
                said.heard, said.did, said.fact = item.signal, f"{item.action}, {item.style}", item.fact
            case protocol.Text():
                said.answer += item.delta
            case protocol.State():
                said.trust = item.trust
    said.milliseconds = (time.perf_counter() - before) * 1000
    return said


async def play(world: Path, files: list[Path]) -> list[Said]:
    """Play the lines of all files in a copy of the world that remembers nothing."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "world"
        shutil.copytree(world, copy, ignore=shutil.ignore_patterns(".rfsn"))
        runtimes = Runtimes(copy, discover(world=copy), overrides=SETTINGS)
        lines = [(file.stem, *line.split("\t", 1)) for file in files for line in file.read_text("utf-8").splitlines()]
        async with running(runtimes) as kernel:
            return [await turn(kernel, npc, player, text) for player, npc, text in lines]


def sentences(text: str) -> list[str]:
    """Return the sentences of an answer."""
    cutter = Sentences()
    pieces = [*cutter.feed(text), *cutter.flush()]
    whole: dict[int, str] = {}
    for piece in pieces:
        whole[piece.sentence] = whole.get(piece.sentence, "") + piece.text
    return [sentence.strip() for sentence in whole.values() if sentence.strip()]


def figures(turns: list[Said]) -> str:
    """Return repetition, the share of questions that were answered from knowledge, and the time of a turn."""
    lines = Counter(line for said in turns for line in sentences(said.answer))
    often = [f"{count} × {line}" for line, count in lines.most_common(4) if count > 2]
    known = [said for said in turns if said.heard in ("question", "request") and said.fact]
    facts = [said for said in known if said.did.split(",")[0] in ("explain", "confide", "hint", "refer")]
    share = f"{len(facts)} of {len(known)}" if known else "none"
    return "\n".join(
        (
            f"turns: {len(turns)}, different sentences: {len(lines)} of {sum(lines.values())}",
            f"a sentence is said {max(lines.values(), default=0)} times at most: {'; '.join(often) or 'none over 2'}",
            f"questions whose fact exists, answered with it: {share}",
            f"median time of a turn: {statistics.median(said.milliseconds for said in turns):.1f} ms",
        )
    )


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--world", type=Path, default=WORLD)
    parser.add_argument("--lines", type=Path, action="append", help="a file of lines; may be repeated")
    parser.add_argument("--quiet", action="store_true", help="print only the figures")
    arguments = parser.parse_args()
    logs.configure("error")
    files = arguments.lines or list(LINES)
    for file in files:
        turns = asyncio.run(play(arguments.world, [file]))
        if not arguments.quiet:
            print(f"── {file.stem} ──")
            for number, said in enumerate(turns, 1):
                print(f"{number:3} {said.npc}: {said.player}")
                print(f"    {said.answer}")
                print(
                    f"        {said.heard} → {said.did}{f' [{said.fact}]' if said.fact else ''}, trust {said.trust:.2f}"
                )
        print(f"── {file.stem} ──\n{figures(turns)}\n")


if __name__ == "__main__":
    main()

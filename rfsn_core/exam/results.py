"""The results of a run: one JSON line for each case, so that a run that was stopped can be resumed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from rfsn_core.contract.errors import UserError
from rfsn_core.kit.files import replace_file

FILE = "results.jsonl"


class Point(msgspec.Struct, frozen=True, omit_defaults=True):
    """One judgement of a metric."""

    metric: str
    value: float
    """1 when it is as it should be, 0 when it is not; for times, milliseconds."""
    turn: int = 0
    """From 1; 0: of the whole conversation."""
    why: str = ""
    """What was wrong."""


class PlayedTurn(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What happened in a turn."""

    say: str
    heard: str = ""
    action: str = ""
    style: str = ""
    fact: str = ""
    """Id of the fact that the decision is about."""
    words: str = ""
    remembered: str = ""
    """After an interruption: what the NPC remembers having said."""
    renderer: str = ""
    outcome: str = "complete"
    """`complete`, `cancelled`, the reason why the words are cut short, or `failed: …`."""
    blocked: list[str] = []
    """Why the gate replaced sentences."""
    before: dict[str, float] = {}
    after: dict[str, float] = {}
    """Affinity, trust and fear."""
    told: list[str] = []
    """Ids of the facts that the player had been told before."""
    times: dict[str, float] = {}
    """decision, first_sentence, total, in milliseconds."""
    tokens: dict[str, int] = {}
    """prompt, completion, as the engine reports them."""


class CaseResult(msgspec.Struct, frozen=True, kw_only=True):
    """A case that was played."""

    id: str
    suite: str
    script: str
    npc: str
    turns: list[PlayedTurn]
    points: list[Point]


class RunHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What was examined: runs of the same header continue each other."""

    version: str
    fingerprint: str
    """Of the world's files, the suites, the arm and the seed."""
    world: str
    arm: str
    suites: list[str]
    renderer: str
    seed: int


def read_results(folder: Path) -> tuple[RunHeader, list[CaseResult]]:
    """Read a run. A last line that was cut off is left out. Raises UserError when it is none."""
    path = folder / FILE if folder.is_dir() else folder
    try:
        lines = path.read_bytes().splitlines(keepends=True)
        header = msgspec.json.decode(lines[0], type=RunHeader)
        decode = msgspec.json.Decoder(CaseResult).decode
        return header, [decode(line) for line in lines[1:] if line.endswith(b"\n")]
    except (OSError, IndexError, msgspec.MsgspecError) as error:
        raise UserError(f"{path}: not the results of an exam: {error}") from error


class ResultFile:
    """The file that results are appended to. Opened again with the same header, it gives what it has."""

    def __init__(self, folder: Path, header: RunHeader) -> None:
        self.path = folder / FILE
        self.done: list[CaseResult] = []
        folder.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            old, self.done = read_results(folder)
            if old != header:
                raise UserError(
                    f"{self.path} is of another run: the world, the suites or the settings have changed",
                    hint="Choose a new folder, or remove this one",
                )
        with replace_file(self.path) as file:  # without a last line that was cut off
            for item in (header, *self.done):
                file.write(msgspec.json.encode(item) + b"\n")

    def append(self, result: CaseResult) -> None:
        """Add a result, safe when the program ends."""
        self.done.append(result)
        with self.path.open("ab") as file:
            file.write(msgspec.json.encode(result) + b"\n")

"""The files of the decision log: JSON lines, for each kind of record one file that is written and older ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from rfsn_core.contract.storage import Scope
from rfsn_core.kit.jsonl import JsonLines, Line
from rfsn_core.learning.records import DecisionRecord, QuarantineRecord, RewardRecord, StateChange, UpdateRecord

Timed = TypeVar("Timed", DecisionRecord, RewardRecord, UpdateRecord)
Record = DecisionRecord | RewardRecord | QuarantineRecord | UpdateRecord | StateChange
R = TypeVar("R", bound=Record)

FILES: dict[type[Any], str] = {
    DecisionRecord: "decisions",
    RewardRecord: "rewards",
    QuarantineRecord: "rewards_quarantine",
    UpdateRecord: "updates",
    StateChange: "states",
}
"""Kind of record → name of its file. Decisions come first: what belongs to one has only its id."""
SYNCED = frozenset({"decisions", "rewards"})
"""Files that are synced: what was acknowledged survives a power cut. The rest survives a crash of the process."""


class LogFiles:
    """The files of one folder, for the one thread that writes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = {name: JsonLines(folder / f"{name}.jsonl", sync=name in SYNCED) for name in FILES.values()}

    def append(self, name: str, data: bytes) -> int:
        """Append whole lines and return the offset of the first. Raises OSError: then none of them is in the file."""
        return self._files[name].append(data)

    def size(self, name: str) -> int:
        """Return the bytes in the file that is written."""
        return self._files[name].size

    def rotate(self, name: str) -> Path:
        """Begin a new file; returns the path of the old one."""
        older = self.folder / f"{name}.{len(list(self.folder.glob(f'{name}.*.jsonl'))) + 1:04}.jsonl"
        self._files[name].rename(older)
        return older

    def read_line(self, file: str, offset: int) -> bytes:
        """Return the line that begins at an offset."""
        with (self.folder / file).open("rb") as reader:
            reader.seek(offset)
            return reader.readline()

    def erase(self, is_selected: Callable[[Scope], bool], until: float) -> int:
        """Remove the records of selected scopes up to a time, and what belongs to their decisions; returns how many
        decisions were removed."""
        self.close()
        decisions: set[str] = set()

        def is_erased(record: Any) -> bool:
            if not hasattr(record, "save"):
                return record.decision_id in decisions
            selected = record.time <= until and is_selected(Scope(record.save, record.npc, record.player))
            if selected and isinstance(record, DecisionRecord):
                decisions.add(record.decision_id)
            return selected

        kind: type[Record]
        for kind, name in FILES.items():
            for path in log_files(self.folder, name):
                file = JsonLines(path, sync=True)
                file.rewrite(line.data for line, record in file.records(kind) if not is_erased(record))
        return len(decisions)

    def close(self) -> None:
        """Close the files; the next append opens its file again."""
        for file in self._files.values():
            file.close()


def log_files(folder: Path, name: str) -> list[Path]:
    """Return the files of one kind of record, oldest first."""
    current = folder / f"{name}.jsonl"
    return [*sorted(folder.glob(f"{name}.*.jsonl")), *([current] if current.exists() else [])]


def read_lines(path: Path, kind: type[R], start: int = 0) -> Iterator[tuple[Line, R]]:
    """Yield the lines of one file from an offset on with their records."""
    return JsonLines(path, sync=False).records(kind, start)


def read_records(folder: Path, kind: type[R]) -> Iterator[R]:
    """Yield the records of one kind in a folder, oldest first."""
    for path in log_files(folder, FILES[kind]):
        for _, record in read_lines(path, kind):
            yield record


def read_tree(folder: Path, kind: type[Timed]) -> list[Timed]:
    """Return the records of one kind in a folder and below it, by time: each worker of a server has its own log."""
    folders = sorted({path.parent for path in folder.rglob(f"{FILES[kind]}*.jsonl")})
    records = [record for one in folders for record in read_records(one, kind)]
    return records if len(folders) < 2 else sorted(records, key=lambda record: record.time)


def encode(record: Record) -> bytes:
    """Return a record as a line."""
    return msgspec.json.encode(record) + b"\n"

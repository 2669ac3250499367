"""The files of the turn log: `000000000001.jsonl` and so on, each named after the number of its first line.

The last file is written; the others never change, but for what is erased from them, and may be compressed.
"""

from __future__ import annotations

import gzip
import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import msgspec

from rfsn_core.kit.files import replace_file
from rfsn_core.kit.jsonl import JsonLines
from rfsn_core.learning import log_lines
from rfsn_core.learning.log_lines import Header
from rfsn_core.learning.records import DecisionRecord, LogRecord, RewardRecord, UpdateRecord
from rfsn_core.telemetry.logs import logger

log = logger("turn_log")
R = TypeVar("R", bound=LogRecord)
Timed = TypeVar("Timed", DecisionRecord, RewardRecord, UpdateRecord)
Place = tuple[int, int]
"""Number of a file's first line, and offset in it."""
COMPRESSED = ".jsonl.gz"
_decode = msgspec.json.Decoder(LogRecord).decode


def log_files(folder: Path) -> list[Path]:
    """Return the files of a log, oldest first."""
    names = (*folder.glob("[0-9]*.jsonl"), *folder.glob("[0-9]*" + COMPRESSED))
    return sorted(path for path in names if path.name.split(".")[0].isdigit())


def open_log_file(path: Path) -> IO[bytes]:
    """Open a file of a log for reading, compressed or not."""
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.name.endswith(COMPRESSED) else path.open("rb")


def lines_of(path: Path, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line) of the whole lines of a file, from an offset on."""
    with open_log_file(path) as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                return
            yield start, line
            start += len(line)


class LogFiles:
    """The files of one folder, for the one thread that writes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._paths: dict[int, Path] = {}
        self._writer: JsonLines | None = None

    def open(self) -> None:
        """Find the files. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for partial in self.folder.glob("*.partial"):
            partial.unlink(missing_ok=True)
        self._paths = {first_of(path): path for path in log_files(self.folder)}

    @property
    def numbers(self) -> list[int]:
        """The files, each by the number of its first line, oldest first."""
        return sorted(self._paths)

    @property
    def current(self) -> int:
        """The file that is written; 0 when there is none."""
        return max(self._paths, default=0)

    @property
    def size(self) -> int:
        """Bytes in the file that is written."""
        return self._writer.size if self._writer is not None else self.size_of(self.current)

    def size_of(self, number: int) -> int:
        """Return the bytes of a file that is not compressed."""
        path = self._paths.get(number)
        return path.stat().st_size if path is not None else 0

    def append(self, data: bytes) -> int:
        """Append whole lines, safe in a power cut, and return the offset of the first. Raises OSError: then none of
        them is in the file."""
        if self._writer is None:
            self._writer = JsonLines(self._paths[self.current], sync=True)
        return self._writer.append(data)

    def rotate(self, seq: int) -> None:
        """Begin a new file, whose first line has this number. Raises OSError."""
        self.close()
        path = self.folder / f"{seq:012}.jsonl"
        with path.open("ab"):
            pass
        _sync_folder(self.folder)
        self._paths[seq] = path

    def lines(self, number: int, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield (offset, line) of the whole lines of a file."""
        return lines_of(self._paths[number], start)

    def read_line(self, place: Place) -> bytes:
        """Return the line at a place."""
        with open_log_file(self._paths[place[0]]) as file:
            file.seek(place[1])
            return file.readline()

    def after(self, seq: int) -> Iterator[tuple[Header, bytes]]:
        """Yield the lines after a number, with what they say of themselves."""
        numbers = self.numbers
        begin = max((position for position, number in enumerate(numbers) if number <= seq + 1), default=0)
        for number in numbers[begin:]:
            for _, line in self.lines(number):
                try:
                    head = log_lines.header(line)
                except msgspec.MsgspecError:
                    continue  # reported when the log was opened
                if head.seq > seq:
                    yield head, line

    def erase(self, is_selected: Callable[[Header], bool]) -> int:
        """Erase lines and what belongs to their decisions; return how many decisions were erased. Raises OSError."""
        self.close()
        decisions: set[str] = set()
        for number in self.numbers:
            path, changed, lines = self._paths[number], False, list[bytes]()
            for offset, line in self.lines(number):
                try:
                    head = log_lines.header(line)
                except msgspec.MsgspecError:  # nobody can say whose it is
                    head = Header(seq=number + len(lines), prev="damaged", kind="damaged")
                    log.warning("turn_log.line_erased", file=str(path), offset=offset, reason="it cannot be read")
                if head.kind == "damaged" or _is_erased(head, is_selected, decisions):
                    line, changed = log_lines.erased(line, head), True
                lines.append(line)
            if changed:
                with replace_file(path) as file:
                    data = b"".join(lines)
                    file.write(gzip.compress(data, 6) if path.name.endswith(COMPRESSED) else data)
        return len(decisions)

    # ── older files ──────────────────────────────────────────────────────────────────────────────

    def uncompressed(self) -> list[Path]:
        """Return the older files that are not compressed yet."""
        return [self._paths[n] for n in self.numbers[:-1] if not self._paths[n].name.endswith(COMPRESSED)]

    def take_compressed(self, path: Path, partial: Path, size: int) -> None:
        """Put a compressed copy in place of a file, unless the file has changed since. Raises OSError."""
        if self._paths.get(first_of(path)) != path or path.stat().st_size != size:
            partial.unlink(missing_ok=True)
            return
        target = path.with_name(path.name.removesuffix(".jsonl") + COMPRESSED)
        os.replace(partial, target)
        self._paths[first_of(path)] = target
        path.unlink()

    def delete_older(self, days: float, until: int) -> list[Path]:
        """Delete, and return, the files that were last written so many days ago and hold only lines up to a number."""
        deleted, numbers = [], self.numbers
        for number, following in itertools.pairwise(numbers):
            path = self._paths[number]
            if following > until + 1 or path.stat().st_mtime > time.time() - days * 86400:
                break
            path.unlink()
            deleted.append(self._paths.pop(number))
        return deleted

    def close(self) -> None:
        """Close the file that is written; the next append opens it again."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def compress(path: Path) -> tuple[Path, int]:
    """Write a compressed copy of a file; return its path and the size of the original. Takes seconds."""
    partial = path.with_name(path.name + ".gz.partial")
    data = path.read_bytes()
    with partial.open("wb") as file:
        file.write(gzip.compress(data, 6))
        file.flush()
        os.fsync(file.fileno())
    os.utime(partial, (path.stat().st_atime, path.stat().st_mtime))
    return partial, len(data)


def first_of(path: Path) -> int:
    """Return the number of a file's first line."""
    return int(path.name.split(".")[0])


def _is_erased(head: Header, is_selected: Callable[[Header], bool], decisions: set[str]) -> bool:
    if head.kind == "erased":
        return False
    if head.scope is None:
        return head.decision_id in decisions
    selected = is_selected(head)
    if selected and head.kind == "decision":
        decisions.add(head.decision_id)
    return selected


def _sync_folder(folder: Path) -> None:
    """Make a new file's name safe in a power cut. Windows cannot, and needs not."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ── reading whole logs ───────────────────────────────────────────────────────────────────────────


def read_records(folder: Path, kind: type[R]) -> Iterator[R]:
    """Yield the records of one kind in a log, oldest first. Leaves out, and logs, what cannot be read."""
    mark = b'"kind":"%s"' % str(cast(Any, kind).__struct_config__.tag).encode()
    decode = msgspec.json.Decoder(kind).decode
    for path in log_files(folder):
        for offset, line in lines_of(path):
            if mark not in line[:200]:
                continue
            try:
                yield decode(line)
            except msgspec.MsgspecError as error:
                log.warning("turn_log.line_skipped", file=str(path), offset=offset, error=str(error))


def all_records(folder: Path) -> Iterator[LogRecord]:
    """Yield all records of a log, oldest first. Leaves out what was erased, and what cannot be read."""
    for path in log_files(folder):
        for _, line in lines_of(path):
            try:
                yield _decode(line)
            except msgspec.MsgspecError:
                continue


def log_folders(folder: Path) -> list[Path]:
    """Return the folders with a log, in a folder and below it: each worker of a server has its own."""
    return sorted({path.parent for name in ("[0-9]*.jsonl", "[0-9]*" + COMPRESSED) for path in folder.rglob(name)})


def read_tree(folder: Path, kind: type[Timed]) -> list[Timed]:
    """Return the records of one kind in the logs of a folder and below it, by time."""
    folders = log_folders(folder)
    records = [record for one in folders for record in read_records(one, kind)]
    return records if len(folders) < 2 else sorted(records, key=lambda record: record.time)

"""An append-only file of JSON lines that survives a crash in the middle of a write."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from rfsn_core.kit.files import replace_file
from rfsn_core.telemetry.logs import logger

log = logger("jsonl")
T = TypeVar("T")


class Line(NamedTuple):
    """A line with its newline, and the offsets of its first byte and of the byte after it."""

    start: int
    end: int
    data: bytes


class JsonLines:
    """One file. A line counts from the moment its newline is written; the next append removes half a line.

    One thread at a time may change the file. Others, and other processes, may read it meanwhile.

    :param sync: `append` returns when the lines would survive a power cut. Without, they survive a crash of this
        process.
    """

    def __init__(self, path: Path, *, sync: bool) -> None:
        self.path = path
        self._sync = sync
        self._file: FileIO | None = None

    @property
    def size(self) -> int:
        """Bytes in the file; 0 when there is none."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, data: bytes) -> int:
        """Append whole lines and return the offset of the first. Raises OSError: then none of them is in the file."""
        file = self._file or self._open()
        start = end = file.seek(0, os.SEEK_END)
        try:
            while end - start < len(data):
                end += file.write(data[end - start :])
            if self._sync:
                os.fsync(file.fileno())
        except OSError:
            self.close()
            os.truncate(self.path, start)
            raise
        return start

    def read(self, start: int = 0, limit: int | None = None) -> Iterator[Line]:
        """Yield the whole lines from an offset on, at most `limit` of them."""
        try:
            reader = self.path.open("rb")
        except FileNotFoundError:
            return
        with reader:
            reader.seek(start)
            for data in islice(reader, limit):
                if not data.endswith(b"\n"):
                    return
                yield Line(start, start + len(data), data)
                start += len(data)

    def records(self, kind: type[T], start: int = 0) -> Iterator[tuple[Line, T]]:
        """Yield the lines from an offset on with what they hold. Leaves out, and logs, what is not of this kind."""
        for line in self.read(start):
            record = self.decode(line, kind)
            if record is not None:
                yield line, record

    def decode(self, line: Line, kind: type[T]) -> T | None:
        """Return what a line holds; None, and a warning in the log, when it is not of this kind."""
        try:
            return msgspec.json.decode(line.data, type=kind)
        except msgspec.MsgspecError as error:
            log.warning("jsonl.line_skipped", file=str(self.path), offset=line.start, error=str(error))
            return None

    def rewrite(self, lines: Iterable[bytes]) -> None:
        """Replace the whole file by these lines. Raises OSError: then the file is as it was."""
        self.close()
        with replace_file(self.path) as file:
            file.writelines(lines)

    def rename(self, path: Path) -> None:
        """Move the file to another path; the next append begins a new file under the old one."""
        self.close()
        self.path.rename(path)

    def clear(self) -> None:
        """Remove all lines, but not the file."""
        if self.path.exists():
            os.truncate(self.path, 0)

    def delete(self) -> None:
        """Remove the file."""
        self.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; the next append opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> FileIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if half := _half_line(self.path):
            log.warning("jsonl.half_line_removed", file=str(self.path), bytes=half)
            os.truncate(self.path, self.size - half)
        self._file = FileIO(self.path, "ab", opener=_private)
        return self._file


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600)


def _half_line(path: Path) -> int:
    """Return how many bytes follow the last newline."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return 0
    with file:
        size = end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return size - (start + newline + 1)
            end = start
        return size

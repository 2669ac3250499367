"""Files that are written whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replace_file(path: Path, *, sync: bool = True) -> Iterator[IO[bytes]]:
    """Open a file that replaces `path` when the block ends without an error; else `path` stays as it is.

    :param sync: whether the file survives a power cut when the block has ended. Without, it survives a crash of this
        process.

    Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")  # another process may write it too
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise

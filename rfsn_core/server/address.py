"""The file in which a server says where it listens, for commands that ask the server that has the store open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILE = "address"
"""Its name in the data folder."""


@contextmanager
def announced(data: Path, address: str) -> Iterator[None]:
    """Keep the address in the data folder while the block runs."""
    file = data / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(address + "\n", "utf-8")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)

"""The file in which a server says where it listens, for commands that ask the server that has the store open."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from rfsn_core.settings.protection import is_local

FILE = "address"
"""Its name in the data folder."""


def read(data: Path) -> str:
    """Return the address that a server of this machine wrote; empty when there is none, or it names another machine."""
    try:
        address = (data / FILE).read_text("utf-8").strip()
        parts = urlsplit(address)
        local = parts.scheme == "http" and is_local(parts.hostname or "") and parts.port and "@" not in parts.netloc
    except (OSError, ValueError):
        return ""
    return address if local and not parts.path.strip("/") and not parts.query else ""


def proof(key: str, nonce: str, port: int) -> str:
    """Return what shows that a server knows the key, without showing the key.

    The port is part of it, so that a program on another port cannot pass on the answer of the right server.
    """
    return hmac.new(key.encode(), f"rfsn {nonce} {port}".encode(), "sha256").hexdigest()


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

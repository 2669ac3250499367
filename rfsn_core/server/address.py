"""The file in which a server says where it listens, for commands that ask the server that has the store open.

It also holds a secret that the server makes at each start and takes from commands of the same user, so that they need
no key of their own. The file can only be read by its owner, who can read the store as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from rfsn_core.server.keys import write_private
from rfsn_core.settings.protection import is_local
from rfsn_core.telemetry.redaction import SECRETS

FILE = "address"
"""Its name in the data folder."""


def read(data: Path) -> tuple[str, str]:
    """Return the address that a server of this machine wrote, and its secret.

    Both are empty when there is none, or the address names another machine.
    """
    try:
        address, _, secret = (data / FILE).read_text("utf-8").strip().partition("\n")
        parts = urlsplit(address)
        local = parts.scheme == "http" and is_local(parts.hostname or "") and parts.port and "@" not in parts.netloc
    except (OSError, ValueError):
        return "", ""
    return (address, secret.strip()) if local and not parts.path.strip("/") and not parts.query else ("", "")


@contextmanager
def announced(data: Path, address: str, secret: str) -> Iterator[None]:
    """Keep the address and the secret in the data folder while the block runs."""
    SECRETS.remember([secret])
    file = data / FILE
    write_private(file, f"{address}\n{secret}\n".encode())
    try:
        yield
    finally:
        file.unlink(missing_ok=True)

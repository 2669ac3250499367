"""What a policy has learned, on disk; and the seal that tells a whole snapshot from a damaged one."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from rfsn_core.contract.shared_storage import Learned, Snapshots
from rfsn_core.kit.files import replacing

MAGIC = b"RFSNPOL1"
KEEP = 50
"""Snapshots that are kept."""


def sealed(data: bytes) -> bytes:
    """With a checksum."""
    return MAGIC + hashlib.sha256(data).digest() + data


def opened(data: bytes, name: str) -> bytes:
    """What `sealed` was given. Raises ValueError, which names `name`."""
    head = len(MAGIC) + 32
    if data[: len(MAGIC)] != MAGIC:
        raise ValueError(f"{name} is not a snapshot of a policy")
    if hashlib.sha256(data[head:]).digest() != data[len(MAGIC) : head]:
        raise ValueError(f"{name} is cut short or damaged")
    return data[head:]


class Folder:
    """Snapshots as files, `POLICY-TIME.bin`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def listed(self, policy: str = "") -> Sequence[Learned]:
        """Newest first."""
        return await asyncio.to_thread(self._listed, policy)

    async def save(self, policy: str, data: bytes, position: str = "") -> None:
        """Safe on disk when it returns. Raises OSError."""
        await asyncio.to_thread(self._save, policy, data)

    async def read(self, snapshot_id: str) -> bytes:
        """Raises ValueError, or OSError."""
        if snapshot_id not in {snapshot.id for snapshot in await self.listed()}:
            raise ValueError(f"no snapshot '{snapshot_id[:80]}'")
        return await asyncio.to_thread((self._folder / f"{snapshot_id}.bin").read_bytes)

    def _listed(self, policy: str) -> list[Learned]:
        found = []
        for path in sorted(self._folder.glob(f"{policy or '*'}-*.bin"), reverse=True):
            name, _, _ = path.stem.rpartition("-")
            stat = path.stat()
            found.append(Learned(path.stem, name, stat.st_mtime, stat.st_size))
        return found

    def _save(self, policy: str, data: bytes) -> None:
        with replacing(self._folder / f"{policy}-{time.time_ns():020}.bin") as file:
            file.write(data)
        for old in self._listed(policy)[KEEP:]:
            (self._folder / f"{old.id}.bin").unlink(missing_ok=True)


_: type[Snapshots] = Folder

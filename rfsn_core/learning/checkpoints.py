"""What a policy has learned, on disk; and the seal that tells a whole checkpoint from a damaged one."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from rfsn_core.contract.shared_storage import Checkpoint, Checkpoints
from rfsn_core.kit.files import replacing

MAGIC = b"RFSNPOL1"
KEEP = 50
"""Checkpoints that are kept."""


def sealed(data: bytes) -> bytes:
    """With a checksum."""
    return MAGIC + hashlib.sha256(data).digest() + data


def opened(data: bytes, name: str) -> bytes:
    """What `sealed` was given. Raises ValueError, which names `name`."""
    head = len(MAGIC) + 32
    if data[: len(MAGIC)] != MAGIC:
        raise ValueError(f"{name} is not a checkpoint of a policy")
    if hashlib.sha256(data[head:]).digest() != data[len(MAGIC) : head]:
        raise ValueError(f"{name} is cut short or damaged")
    return data[head:]


class Folder:
    """Checkpoints as files, `POLICY-TIME.bin`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def newest_first(self, policy: str = "") -> Sequence[Checkpoint]:
        """Newest first."""
        return await asyncio.to_thread(self._newest_first, policy)

    async def save(self, policy: str, data: bytes, position: str = "") -> None:
        """Safe on disk when it returns. Raises OSError."""
        await asyncio.to_thread(self._save, policy, data)

    async def load(self, checkpoint_id: str) -> bytes:
        """Raises ValueError, or OSError."""
        if checkpoint_id not in {checkpoint.id for checkpoint in await self.newest_first()}:
            raise ValueError(f"no checkpoint '{checkpoint_id[:80]}'")
        return await asyncio.to_thread((self._folder / f"{checkpoint_id}.bin").read_bytes)

    def _newest_first(self, policy: str) -> list[Checkpoint]:
        found = []
        for path in sorted(self._folder.glob(f"{policy or '*'}-*.bin"), reverse=True):
            name, _, _ = path.stem.rpartition("-")
            stat = path.stat()
            found.append(Checkpoint(path.stem, name, stat.st_mtime, stat.st_size))
        return found

    def _save(self, policy: str, data: bytes) -> None:
        with replacing(self._folder / f"{policy}-{time.time_ns():020}.bin") as file:
            file.write(data)
        for old in self._newest_first(policy)[KEEP:]:
            (self._folder / f"{old.id}.bin").unlink(missing_ok=True)


_: type[Checkpoints] = Folder

"""Checkpoints: their seal, which shows damage, the files, and what restores a policy from them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from rfsn_core.contract.errors import contained
from rfsn_core.contract.shared_storage import Checkpoint, Checkpoints
from rfsn_core.kit.files import replace_file
from rfsn_core.telemetry.logs import logger
from rfsn_core.world.decision import Decider

log = logger("learning")
MAGIC = b"RFSNPOL1"
KEEP = 50
"""Checkpoints of a policy that are kept."""


def seal(weights: bytes) -> bytes:
    """Add a checksum."""
    return MAGIC + hashlib.sha256(weights).digest() + weights


def unseal(data: bytes, name: str) -> bytes:
    """Return what `seal` was given. Raises ValueError, which names `name`, when the data is not whole."""
    head = len(MAGIC) + 32
    if data[: len(MAGIC)] != MAGIC:
        raise ValueError(f"{name} is not a checkpoint of a policy")
    if hashlib.sha256(data[head:]).digest() != data[len(MAGIC) : head]:
        raise ValueError(f"{name} is cut short or damaged")
    return data[head:]


class CheckpointFolder:
    """Checkpoints as files, `POLICY-TIME.bin`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def newest_first(self, policy: str = "") -> Sequence[Checkpoint]:
        """Return the checkpoints of a policy, or of all."""
        return await asyncio.to_thread(self._newest_first, policy)

    async def save(self, policy: str, data: bytes, position: str = "") -> None:
        """Add a checkpoint; returns when it is on disk. Raises OSError."""
        await asyncio.to_thread(self._save, policy, data)

    async def load(self, checkpoint_id: str) -> bytes:
        """Return the data of a checkpoint. Raises ValueError when it cannot be read."""
        if checkpoint_id not in {checkpoint.id for checkpoint in await self.newest_first()}:
            raise ValueError(f"no checkpoint '{checkpoint_id[:80]}'")
        try:
            return await asyncio.to_thread((self._folder / f"{checkpoint_id}.bin").read_bytes)
        except OSError as error:
            raise ValueError(f"{checkpoint_id} cannot be read: {error}") from error

    def _newest_first(self, policy: str) -> list[Checkpoint]:
        checkpoints = []
        for path in sorted(self._folder.glob(f"{policy or '*'}-*.bin"), reverse=True):
            name, _, _ = path.stem.rpartition("-")
            stat = path.stat()
            checkpoints.append(Checkpoint(path.stem, name, stat.st_mtime, stat.st_size))
        return checkpoints

    def _save(self, policy: str, data: bytes) -> None:
        newest = next((int(known.id.rpartition("-")[2]) for known in self._newest_first(policy)), 0)
        moment = max(time.time_ns(), newest + 1)  # the newest stays the newest when the clock was set back
        with replace_file(self._folder / f"{policy}-{moment:020}.bin") as file:
            file.write(data)
        for old in self._newest_first(policy)[KEEP:]:
            (self._folder / f"{old.id}.bin").unlink(missing_ok=True)


_: type[Checkpoints] = CheckpointFolder


async def restore_newest(decider: Decider, checkpoints: Checkpoints) -> Checkpoint | None:
    """Restore the newest checkpoint of the policy that can be used, and return it. Raises what the store raises."""
    with contained():
        for checkpoint in await checkpoints.newest_first(decider.policy_name):
            try:
                decider.policy.restore(unseal(await checkpoints.load(checkpoint.id), checkpoint.id))
            except (ValueError, OSError) as error:
                log.error("checkpoint.skipped", checkpoint=checkpoint.id, error=str(error))
            else:
                log.info("policy.restored", policy=decider.policy_name, checkpoint=checkpoint.id)
                return checkpoint
    return None


def restore_shared(decider: Decider, policy: str, checkpoint: bytes) -> None:
    """Restore a sealed checkpoint from the update log, if it is of the policy that is in use."""
    if policy != decider.policy_name:
        return
    try:
        decider.policy.restore(unseal(checkpoint, "a checkpoint in the update log"))
    except ValueError as error:
        log.error("checkpoint.skipped", error=str(error))

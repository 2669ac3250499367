"""Signed checkpoints of the pattern memory, ten of them; a damaged or forged one is refused for the one before."""

from __future__ import annotations

import hashlib
import hmac
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from rfsn_core.kit.files import replace_file
from rfsn_core.oversight.patterns import Pattern, PatternMemory

KEPT = 10


class Checkpoint(msgspec.Struct, kw_only=True):
    """The JSON file of a checkpoint; the vectors are in the .npz file of the same name."""

    world: str
    embedder: str
    threshold: float
    patterns: list[Pattern]
    vectors: str
    """SHA-256 of the .npz file."""
    signature: str = ""
    """HMAC-SHA-256 of all the above."""


class Checkpoints:
    """The checkpoints of one data folder.

    :param key: returns the key that signs.
    :param world: name of the world: a checkpoint of another one is refused.
    """

    def __init__(self, folder: Path, key: Callable[[], bytes], world: str) -> None:
        self._folder, self._key, self._world = folder, key, world

    def newest_first(self) -> list[Path]:
        """Return the JSON files."""
        if not self._folder.is_dir():
            return []
        return sorted(self._folder.glob("patterns-*.json"), key=lambda path: path.name, reverse=True)

    def save(self, memory: PatternMemory) -> Path:
        """Write a checkpoint and delete the oldest. Raises OSError."""
        buffer = io.BytesIO()
        np.savez(buffer, vectors=memory.vectors)
        data = buffer.getvalue()
        checkpoint = Checkpoint(
            world=self._world, embedder=memory.name, threshold=memory.threshold, patterns=memory.patterns,
            vectors=hashlib.sha256(data).hexdigest(),
        )  # fmt: skip
        checkpoint.signature = self._sign(checkpoint)
        path = self._folder / f"patterns-{time.time_ns():020d}.json"
        with replace_file(path.with_suffix(".npz")) as file:
            file.write(data)
        with replace_file(path) as file:  # last: a checkpoint without it does not count
            file.write(msgspec.json.encode(checkpoint))
        for old in self.newest_first()[KEPT:]:
            old.unlink(missing_ok=True)
            old.with_suffix(".npz").unlink(missing_ok=True)
        memory.dirty = False
        return path

    def load(self, path: Path) -> tuple[Checkpoint, Any]:
        """Return a checkpoint and its vectors. Raises ValueError when it is cut, forged or of another world."""
        try:
            checkpoint = msgspec.json.decode(path.read_bytes(), type=Checkpoint)
            data = path.with_suffix(".npz").read_bytes()
        except (OSError, msgspec.MsgspecError) as error:
            raise ValueError(f"{path.name}: {error}") from error
        if not hmac.compare_digest(self._sign(checkpoint), checkpoint.signature):
            raise ValueError(f"{path.name}: the signature is wrong")
        if hashlib.sha256(data).hexdigest() != checkpoint.vectors:
            raise ValueError(f"{path.name}: the vectors were changed")
        if checkpoint.world != self._world:
            raise ValueError(f"{path.name}: it is of the world '{checkpoint.world}'")
        with np.load(io.BytesIO(data)) as file:  # no pickle: numpy refuses it
            return checkpoint, file["vectors"]

    def _sign(self, checkpoint: Checkpoint) -> str:
        body = msgspec.json.encode(msgspec.structs.replace(checkpoint, signature=""))
        return hmac.new(self._key(), body, hashlib.sha256).hexdigest()

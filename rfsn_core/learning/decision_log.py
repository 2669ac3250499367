"""The decision log: decisions, rewards and updates on disk, as append-only JSON lines with an index.

One thread writes. What waits together shares one sync, and `append` returns when its lines are safe.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from rfsn_core.contract.errors import StoreError
from rfsn_core.contract.storage import Scope
from rfsn_core.kit.writer import Job, WriterThread, deliver
from rfsn_core.learning.decision_index import ROWS_WAITING, DecisionIndex, Place
from rfsn_core.learning.log_files import FILES, LogFiles, Record, encode
from rfsn_core.learning.records import DecisionRecord, RewardRecord

T = TypeVar("T")
Query = Callable[[], Any]
Work = tuple[Record, ...] | Query
ROTATE_AT = 64 * 1024 * 1024
"""Bytes after which a file is rotated."""
decode_decision = msgspec.json.Decoder(DecisionRecord).decode
_decode_reward = msgspec.json.Decoder(RewardRecord).decode


class DecisionLog:
    """The folder `learning/`. Call `open` before anything else."""

    def __init__(self, folder: Path, rotate_at: int = ROTATE_AT) -> None:
        self.folder = folder
        self._thread = _LogThread(folder, rotate_at)
        self._index, self._files = self._thread.index, self._thread.files

    async def open(self) -> None:
        """Bring the index up to date, and start writing. Raises StoreError."""
        await self._thread.start()

    async def close(self) -> None:
        """Write what waits."""
        await self._thread.close()

    async def append(self, *records: Record) -> list[bytes]:
        """Write records and return their lines, when they are safe. Raises StoreError when the disk refuses: then
        they are not in the log."""
        return cast(list[bytes], await self._thread.submit(records))

    async def decision(self, decision_id: str) -> DecisionRecord | None:
        """Return a decision; None when there is none of that id."""

        def find() -> DecisionRecord | None:
            place = self._index.decision(decision_id)
            return decode_decision(self._files.read_line(*place)) if place else None

        return await self._ask(find)

    async def decisions(
        self, *, npc: str = "", conversation: str = "", since: float = 0.0, limit: int = 100
    ) -> list[DecisionRecord]:
        """Return the newest decisions, newest first, of an NPC or a conversation if one is named."""

        def find() -> list[DecisionRecord]:
            places = self._index.decisions(npc, conversation, since, limit)
            return [decode_decision(self._files.read_line(*place)) for place in places]

        return await self._ask(find)

    async def rewards(self, decision_id: str) -> list[RewardRecord]:
        """Return the rewards of a decision."""
        return await self._ask(lambda: self._read_rewards(self._index.rewards(decision_id)))

    async def unprocessed_rewards(self, limit: int) -> list[RewardRecord]:
        """Return the newest rewards that no update was logged for, oldest first."""
        return await self._ask(lambda: self._read_rewards(self._index.unprocessed_rewards(limit)))

    async def has_reward(self, reward_id: str) -> bool:
        """Whether a reward of this id was stored."""
        return await self._ask(lambda: self._index.has_reward(reward_id))

    async def has_update(self, decision_id: str) -> bool:
        """Whether the weights were updated by a reward of this decision."""
        return await self._ask(lambda: self._index.has_update(decision_id))

    async def erase(self, is_selected: Callable[[Scope], bool], until: float = math.inf) -> int:
        """Remove all records of selected scopes, up to a time; returns how many decisions that were.

        What was learned from them stays: weights name nobody.
        """

        def erase() -> int:
            erased = self._files.erase(is_selected, until)
            self._index.rebuild()
            return erased

        return await self._ask(erase)

    def _read_rewards(self, places: list[Place]) -> list[RewardRecord]:
        return [_decode_reward(self._files.read_line(*place)) for place in places]

    async def _ask(self, query: Callable[[], T]) -> T:
        return cast(T, await self._thread.submit(query))


class _LogThread(WriterThread[Work]):
    """The thread that writes the files and their index: records, or a query to run when all before it are written."""

    def __init__(self, folder: Path, rotate_at: int) -> None:
        super().__init__("rfsn-decision-log", str(folder))
        self.files, self.index = LogFiles(folder), DecisionIndex(folder)
        self._folder, self._rotate_at = folder, rotate_at

    def _open(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self.index.open()
        except (OSError, sqlite3.Error) as error:
            hint = "Is another server using it, or the folder not writable? `data_dir` in the settings moves it"
            raise StoreError(f"cannot open {self._folder}: {error}", hint=hint) from error

    def _close(self) -> None:
        self.index.close()
        self.files.close()

    def _run(self, batch: list[Job[Work]]) -> None:
        """Write all records, with one sync for each file; then answer the queries."""
        writes = [job for job in batch if isinstance(job.work, tuple)]
        queries = [job for job in batch if not isinstance(job.work, tuple)]
        self._write(writes)
        if queries or self.index.waiting >= ROWS_WAITING:
            self.index.flush()
        for job in queries:
            try:
                job.result = cast(Query, job.work)()
            except Exception as problem:  # noqa: BLE001  raised by `submit`
                job.error = StoreError(f"{self._folder}: {problem}")
        deliver(batch)

    def _write(self, jobs: list[Job[Work]]) -> None:
        lines = [[(record, encode(record)) for record in cast(tuple[Record, ...], job.work)] for job in jobs]
        errors: dict[str, StoreError] = {}
        for kind, name in FILES.items():
            mine = [(record, line) for group in lines for record, line in group if type(record) is kind]
            if not mine:
                continue
            try:
                self._append(name, mine)
            except (OSError, sqlite3.Error) as problem:
                errors[name] = StoreError(f"{self._folder / name}.jsonl: {problem}")
        for job, group in zip(jobs, lines, strict=True):
            job.result = [line for _, line in group]
            job.error = next(
                (errors[FILES[type(record)]] for record, _ in group if FILES[type(record)] in errors), None
            )

    def _append(self, name: str, lines: list[tuple[Record, bytes]]) -> None:
        file = f"{name}.jsonl"
        if self.files.size(name) > self._rotate_at:
            self.index.flush()
            self.index.rename(file, self.files.rotate(name).name)
        start = self.files.append(name, b"".join(line for _, line in lines))
        for record, line in lines:
            self.index.add(record, file, start, start + len(line))
            start += len(line)

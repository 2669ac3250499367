"""The turn log: turns, decisions, rewards and updates as append-only JSON lines. All else on disk is a view of it.

One thread writes. What waits together shares one sync, and `append` returns when its lines are safe. The store, the
archives and the index follow (docs/decisions/one_log.md).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Container, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from rfsn_core.contract.errors import StoreError
from rfsn_core.contract.storage import Scope
from rfsn_core.learning.log_files import Place, compress
from rfsn_core.learning.log_lines import Header
from rfsn_core.learning.log_thread import Lines, LogFollower, LogThread, NumberedTurn
from rfsn_core.learning.records import (
    DecisionRecord,
    LoggedTurn,
    LogRecord,
    Operation,
    RewardRecord,
)
from rfsn_core.settings.schema import LogSettings
from rfsn_core.telemetry.logs import logger

log = logger("turn_log")
T = TypeVar("T")
TIDY_SECONDS = 600.0
"""Between two looks at the older files."""
SOON = 0.2
"""Seconds after which records are written that nobody waits for."""
ROTATE_AT = 64 * 1024 * 1024
"""Bytes after which a file is rotated."""
decode_decision = msgspec.json.Decoder(DecisionRecord).decode
_decode_reward = msgspec.json.Decoder(RewardRecord).decode
_decode_turn = msgspec.json.Decoder(LoggedTurn).decode
_decode_operation = msgspec.json.Decoder(Operation).decode


class TurnLog:
    """The folder `log/`. Call `open` before anything else.

    :param rotate_at: bytes after which a new file is begun.
    """

    def __init__(self, folder: Path, rotate_at: int = ROTATE_AT) -> None:
        self.folder = folder
        self.followers: list[LogFollower] = []
        self._soon: list[LogRecord] = []
        self._appending: asyncio.Task[None] | None = None
        self._thread = LogThread(folder, rotate_at, self.followers)
        self._index, self._files = self._thread.index, self._thread.files

    async def open(self) -> None:
        """Bring the index up to date, and start writing. Raises StoreError."""
        await self._thread.start()

    async def close(self) -> None:
        """Write what waits."""
        if self._soon:
            await self._append_rest()
        await self._thread.close()

    # ── writing ──────────────────────────────────────────────────────────────────────────────────

    async def append(self, *records: LogRecord) -> list[bytes]:
        """Write records and return them, encoded, when they are safe. Raises StoreError when the disk refuses: then
        they are not in the log."""
        soon, self._soon = self._soon, []
        bodies = [msgspec.json.encode(record) for record in (*soon, *records)]
        try:
            await self._thread.submit(Lines((*soon, *records), bodies))
        except BaseException:
            self._soon = soon + self._soon
            raise
        return bodies[len(soon) :]

    def append_soon(self, *records: LogRecord) -> None:
        """Write records with the next ones, or a little later: nobody waits for them."""
        if not self._soon:
            asyncio.get_running_loop().call_later(SOON, self._append_now)
        self._soon += records

    def _append_now(self) -> None:
        if self._soon and not self._appending:
            self._appending = asyncio.create_task(self._append_rest())

    async def _append_rest(self) -> None:
        try:
            await self.append()
        except StoreError as error:
            self._soon.clear()
            log.error("turn_log.rewards_lost", error=str(error))
        finally:
            self._appending = None

    @property
    def positions(self) -> dict[str, int]:
        """Follower → number of the last turn that it has. A change is written with the next line."""
        return self._thread.positions

    @property
    def last_turn(self) -> int:
        """Number of the newest turn."""
        return self._thread.last_turn

    # ── decisions and rewards ────────────────────────────────────────────────────────────────────

    async def decision(self, decision_id: str) -> DecisionRecord | None:
        """Return a decision; None when there is none of that id."""

        def find() -> DecisionRecord | None:
            place = self._index.decision(decision_id)
            return decode_decision(self._files.read_line(place)) if place else None

        return await self._ask(find)

    async def decisions(
        self, *, npc: str = "", conversation: str = "", since: float = 0.0, limit: int = 100
    ) -> list[DecisionRecord]:
        """Return the newest decisions, newest first, of an NPC or a conversation if one is named."""

        def find() -> list[DecisionRecord]:
            places = self._index.decisions(npc, conversation, since, limit)
            return [decode_decision(self._files.read_line(place)) for place in places]

        return await self._ask(find)

    async def decision_lines(self, decision_ids: Sequence[str]) -> dict[str, bytes]:
        """Return decisions by their ids, encoded; without those that are not there."""

        def read() -> dict[str, bytes]:
            places = {decision_id: self._index.decision(decision_id) for decision_id in decision_ids}
            return {decision_id: self._files.read_line(place) for decision_id, place in places.items() if place}

        return await self._ask(read)

    async def rewards(self, decision_id: str) -> list[RewardRecord]:
        """Return the rewards of a decision."""
        return await self._ask(lambda: self._read_rewards(self._index.rewards(decision_id)))

    async def unprocessed_rewards(self, limit: int) -> list[RewardRecord]:
        """Return the newest rewards that no update was logged for, oldest first."""
        return await self._ask(lambda: self._read_rewards(self._index.unprocessed_rewards(limit)))

    async def has_reward(self, reward_id: str) -> bool:
        """Whether a reward of this id was stored."""
        return await self._ask(lambda: self._index.has_reward(reward_id))

    async def newest_rewards(self, limit: int) -> list[RewardRecord]:
        """Return the newest rewards, newest first."""
        return await self._ask(lambda: self._read_rewards(self._index.newest_rewards(limit)))

    async def processed_rewards(self, decision_id: str) -> frozenset[str]:
        """Return the ids of a decision's rewards that an update was logged for."""
        return await self._ask(lambda: self._index.processed_rewards(decision_id))

    async def taught(self, decision_id: str) -> float | None:
        """Return what the weights were updated with for a decision, in total; None when they were not."""
        return await self._ask(lambda: self._index.taught(decision_id))

    def _read_rewards(self, places: list[Place]) -> list[RewardRecord]:
        return [_decode_reward(self._files.read_line(place)) for place in places]

    # ── turns ────────────────────────────────────────────────────────────────────────────────────

    async def turns(self, after: int, limit: int) -> list[NumberedTurn]:
        """Return the turns after a line, at most `limit`."""

        def read() -> Iterator[NumberedTurn]:
            if after >= self._thread.last_turn:
                return
            for head, line in self._files.after(after):
                if head.kind == "turn":
                    logged = _decode_turn(line)
                    yield NumberedTurn(head.seq, logged.turn, logged.stored)

        return await self._ask(lambda: [turn for turn, _ in zip(read(), range(limit), strict=False)])

    async def operations(self) -> list[Operation]:
        """Return what was done with whole saves."""

        def read() -> list[Operation]:
            return [_decode_operation(line) for head, line in self._files.after(0) if head.kind == "operation"]

        return await self._ask(read)

    async def first_line(self) -> int:
        """Return the number of the oldest line that is kept; 0 for an empty log."""
        return await self._ask(lambda: min(self._files.numbers, default=0))

    # ── erasing and tidying up ───────────────────────────────────────────────────────────────────

    async def erase(self, scopes: Container[Scope], until: float = math.inf) -> int:
        """Erase all records of some scopes, up to a time; returns how many decisions that were.

        What was learned from them stays: weights name nobody.
        """

        def selected(head: Header) -> bool:
            return head.moment <= until and head.scope is not None and head.scope in scopes

        return await self._erase(selected)

    async def discard(self, scopes: Container[Scope], until: float, after: int) -> None:
        """Erase turns of some scopes up to a time, and after a line, that the store has not got and is not to get."""
        gone = {
            numbered.seq
            for numbered in await self.turns(after, 10**9)
            if not numbered.stored and numbered.turn.time <= until and numbered.turn.scope in scopes
        }
        if gone:
            await self._erase(lambda head: head.seq in gone)

    async def _erase(self, is_selected: Callable[[Header], bool]) -> int:
        def erase() -> int:
            lines = 0

            def counted(head: Header) -> bool:
                nonlocal lines
                selected = is_selected(head)
                lines += selected
                return selected

            self._index.flush()
            erased = self._files.erase(counted)
            self._index.rebuild()
            self._thread.write([Operation(name="erase", time=time.time(), after=self.last_turn, lines=lines)])
            return erased

        erased = await self._ask(erase)
        for follower in self.followers:
            follower.reread()
        return erased

    async def keep_tidy(self, settings: Callable[[], LogSettings]) -> None:
        """Compress and delete older files as the settings say, until cancelled."""
        while True:
            now = settings()
            try:
                await self.tidy(compressed=now.compress, days=now.keep_days)
            except (StoreError, OSError) as error:
                log.warning("turn_log.not_tidied", error=str(error))
            await asyncio.sleep(TIDY_SECONDS)

    async def tidy(self, *, compressed: bool, days: float) -> None:
        """Compress older files, and delete those that nobody writes to for so many days; 0: never.

        What a follower does not have yet stays.
        """
        for path in await self._ask(self._files.uncompressed) if compressed else ():
            copy, size = await asyncio.to_thread(compress, path)
            await self._ask(partial(self._files.take_compressed, path, copy, size))
        if days:
            until = min((self.positions.get(follower.name, 0) for follower in self.followers), default=0)
            if await self._ask(lambda: self._files.delete_older(days, until)):
                await self._ask(self._index.rebuild)

    async def _ask(self, query: Callable[[], T]) -> T:
        if self._soon:
            await self._append_rest()
        return cast(T, await self._thread.submit(query))

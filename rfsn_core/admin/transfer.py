"""Export and import of turns as JSON lines, to move memory between stores and machines."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import IO

import msgspec

from rfsn_core.contract.errors import BadMessage
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.storage import Scope, TurnRecord
from rfsn_core.conversation.registry import Conversations
from rfsn_core.memory.cards import Card
from rfsn_core.runtime.builder import Runtimes

MAX_LINE_BYTES = 1_000_000
"""Bytes of one imported turn."""
PAGE = 500
"""Turns that are logged at once."""
LONGEST_NAME = 500
"""Characters of an imported id or name."""
LATEST = 253_402_300_799.0
"""The end of the year 9999, in seconds since the epoch."""


class Transfer:
    """Reads all turns from the store, and writes turns into it."""

    def __init__(self, runtimes: Runtimes, conversations: Conversations) -> None:
        self._runtimes, self._conversations = runtimes, conversations

    async def export_lines(self, save: str, npc: str, player: str) -> AsyncIterator[bytes]:
        """Yield the selected turns, a line of JSON each; those of a conversation oldest first.

        `save`, `npc` and `player` select exact names; an empty text selects all.
        """
        await self._conversations.stored()
        runtime = self._runtimes.current
        with runtime.leased():
            async for turn in runtime.store.export(save, npc, player):
                yield msgspec.json.encode(turn) + b"\n"

    async def import_lines(self, chunks: AsyncIterator[bytes]) -> int:
        """Store exported turns and return how many lines were read; a turn that is stored already is not changed.

        `chunks` may be cut anywhere. All lines are checked before the first one is stored. Raises BadMessage, which
        names the line, and StoreError.
        """
        scopes: set[Scope] = set()
        own = self._runtimes.own_dir
        own.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=own) as file:
            number = await _receive(chunks, file)
            file.seek(0)
            try:
                while lines := list(islice(file, PAGE)):
                    turns = [msgspec.json.decode(line, type=TurnRecord) for line in lines]
                    scopes.update(turn.scope for turn in turns)
                    await self._conversations.import_turns(turns)
                await self._conversations.stored()
            finally:
                async with self._conversations.paused(scopes, "cancelled"):
                    pass  # conversations in memory are dropped, and read from the store again
        return number


async def _receive(chunks: AsyncIterator[bytes], file: IO[bytes]) -> int:
    """Check all lines, write them to a file, and return how many there are. Raises BadMessage, which names the line."""
    number, rest = 0, b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            raise _bad_line(number + len(lines) + 1, f"is longer than {MAX_LINE_BYTES} bytes")
        for line in lines:
            number += 1
            _check_line(line, number)
            file.write(line + b"\n")
    if rest.strip():
        number += 1
        _check_line(rest, number)
        file.write(rest + b"\n")
    return number


def _bad_line(number: int, problem: str) -> BadMessage:
    hint = "Nothing was stored; correct this line and import the file again"
    return BadMessage(f"line {number} {problem}", field=f"line {number}", hint=hint)


def _check_line(line: bytes, number: int) -> None:
    """Raise BadMessage for a line that is no turn, or one that no conversation could have."""
    try:
        if len(line) > MAX_LINE_BYTES:
            raise ValueError(f"longer than {MAX_LINE_BYTES} bytes")
        turn = msgspec.json.decode(line, type=TurnRecord)
        problems = list(_problems(turn))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _bad_line(number, f"is not a turn: {error}") from error
    if problems:
        raise _bad_line(number, f"is not a turn: {'; '.join(problems)}")


def _problems(turn: TurnRecord) -> Iterator[str]:
    """Yield what is wrong with a turn. Raises ValueError for a state or card that has other fields than ours."""
    names = {"turn_id": turn.turn_id, "npc": turn.scope.npc, "player": turn.scope.player, "save": turn.scope.save}
    for name, value in names.items():
        if not value.strip():
            yield f"{name} is empty"
        elif len(value) > LONGEST_NAME:
            yield f"{name} is longer than {LONGEST_NAME} characters"
    yield from _out_of_range("time", turn.time, 0, LATEST)
    if turn.state:
        NpcState.from_plain(turn.state)
    card = Card.from_plain(turn.card)
    yield from _out_of_range("card.trust", card.trust, 0, 1)
    yield from _out_of_range("card.affinity", card.affinity, -1, 1)
    counts = ("promises_made", "promises_kept", "promises_broken", "gifts", "insults", "lives_saved")
    for name in counts:
        yield from _out_of_range(f"card.{name}", getattr(card, name), 0, 1e9)
    for index, memory in enumerate(turn.memories):
        place = f"memories[{index}]"
        if not memory.memory_id.strip():
            yield f"{place}.memory_id is empty"
        yield from _out_of_range(f"{place}.confidence", memory.confidence, 0, 1)
        yield from _out_of_range(f"{place}.importance", memory.importance, 0, 1)
        yield from _out_of_range(f"{place}.time", memory.time, 0, LATEST)
        if memory.expires is not None:
            yield from _out_of_range(f"{place}.expires", memory.expires, 0, LATEST)


def _out_of_range(name: str, value: float, low: float, high: float) -> Iterator[str]:
    if not low <= value <= high:
        yield f"{name} is {value:g}, not in {low:g}…{high:g}"

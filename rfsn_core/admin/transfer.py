"""Export and import of turns as JSON lines, to move memory between stores and machines."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from rfsn_core.contract.errors import BadMessage
from rfsn_core.contract.storage import Scope, TurnRecord
from rfsn_core.conversation.registry import Conversations
from rfsn_core.conversation.store_access import call_store
from rfsn_core.runtime.builder import Runtimes

MAX_LINE_BYTES = 1_000_000
"""Bytes of one imported turn."""


class Transfer:
    """Reads all turns from the store, and writes turns into it."""

    def __init__(self, runtimes: Runtimes, conversations: Conversations) -> None:
        self._runtimes, self._conversations = runtimes, conversations

    async def export_lines(self, save: str, npc: str, player: str) -> AsyncIterator[bytes]:
        """Yield the selected turns, a line of JSON each; those of a conversation oldest first.

        `save`, `npc` and `player` select exact names; an empty text selects all.
        """
        runtime = self._runtimes.current
        with runtime.leased():
            async for turn in runtime.store.export(save, npc, player):
                yield msgspec.json.encode(turn) + b"\n"

    async def import_lines(self, chunks: AsyncIterator[bytes]) -> int:
        """Store exported turns and return how many lines were read; a turn that is stored already is not changed.

        `chunks` may be cut anywhere. Raises BadMessage, which names the line, and StoreError. Turns before the line
        with the error are stored.
        """
        await self._conversations.wait_for_spool()
        number, rest = 0, b""
        scopes: set[Scope] = set()
        try:
            async for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > MAX_LINE_BYTES:
                    raise BadMessage(f"line {number + len(lines) + 1} is longer than {MAX_LINE_BYTES} bytes")
                for line in lines:
                    number += 1
                    scopes.add(await self._import_line(line, number))
            if rest.strip():
                number += 1
                scopes.add(await self._import_line(rest, number))
        finally:
            async with self._conversations.paused(scopes.__contains__, "cancelled"):
                pass  # conversations in memory are dropped, and read from the store again
        return number

    async def _import_line(self, line: bytes, number: int) -> Scope:
        try:
            turn = msgspec.json.decode(line, type=TurnRecord)
            if len(line) > MAX_LINE_BYTES:
                raise ValueError(f"longer than {MAX_LINE_BYTES} bytes")
            if not all((turn.turn_id, turn.scope.npc, turn.scope.player, turn.scope.save)):
                raise ValueError("turn_id, npc, player or save is empty")
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            message = f"line {number} is not a turn: {error}"
            hint = f"The {number - 1} lines before it are stored; correct this one and import the file again"
            raise BadMessage(message, field=f"line {number}", hint=hint) from error
        await call_store(self._runtimes.current.store.append(turn))
        return turn.scope

"""An archive in one table of PostgreSQL. It connects at the first batch, and again when the connection is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from rfsn_core import EngineError, TurnRecord

if TYPE_CHECKING:
    from rfsn_memory_postgres import Settings

COLUMNS = (
    ("turn_id", "text"),
    ("save", "text"),
    ("npc", "text"),
    ("player", "text"),
    ("time", "double precision"),
    ("player_text", "text"),
    ("npc_text", "text"),
    ("outcome", "text"),
    ("decision_id", "text"),
    ("state", "text"),
    ("memories", "text"),
    ("card", "text"),
)
"""(name, type) of each column. JSON is stored as text, because PostgreSQL's JSON refuses a NUL in a string."""


class PostgresArchive:
    """An archive in one table."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool: Any = None
        self._connecting = asyncio.Lock()
        names = ", ".join(name for name, _ in COLUMNS)
        arrays = ", ".join(f"${n}::{kind}[]" for n, (_, kind) in enumerate(COLUMNS, start=1))
        self._insert = f"INSERT INTO {settings.table} ({names}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING"

    async def close(self) -> None:
        """Close the connections without waiting for a database that does not answer."""
        if self._pool is not None:
            self._pool.terminate()

    async def _connected(self) -> Any:
        async with self._connecting:
            if self._pool is None:
                settings = self._settings
                pool = await asyncpg.create_pool(
                    settings.url, min_size=0, max_size=2, timeout=settings.timeout, command_timeout=settings.timeout
                )
                columns = ", ".join(f"{name} {kind} NOT NULL" for name, kind in COLUMNS)
                try:
                    async with asyncio.timeout(settings.timeout):
                        await pool.execute(
                            f"CREATE TABLE IF NOT EXISTS {settings.table} (id bigserial, {columns},"
                            " archived timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (turn_id, save, time));"
                            f"CREATE INDEX IF NOT EXISTS {settings.table}_scope"
                            f" ON {settings.table} (npc, player, save, id)"
                        )
                except BaseException:
                    pool.terminate()
                    raise
                self._pool = pool
            return self._pool

    async def archive(self, turns: Sequence[TurnRecord]) -> None:
        """Insert turns with one statement. Raises EngineError when the database is unavailable."""
        if not turns:
            return
        columns = list(zip(*map(_row, turns), strict=True))
        await self._execute(self._insert, *columns)

    async def erase(self, save: str, npc: str, player: str) -> int:
        """Delete turns with one statement. Raises EngineError when the database is unavailable."""
        where = "$1 IN ('', save) AND $2 IN ('', npc) AND $3 IN ('', player)"
        result = await self._execute(
            f"DELETE FROM {self._settings.table} WHERE {where}", *map(_storable, (save, npc, player))
        )
        return int(result.split()[-1])

    async def health(self) -> str:
        """Return how many turns are archived."""
        try:
            pool = await self._connected()
            count = await pool.fetchval(f"SELECT count(*) FROM {self._settings.table}")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            raise _unavailable(error) from error
        return f"{count} turns in {self._settings.table}"

    async def _execute(self, statement: str, *values: Any) -> str:
        try:
            pool = await self._connected()
            async with asyncio.timeout(self._settings.timeout):
                return str(await pool.execute(statement, *values))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            raise _unavailable(error) from error


def _unavailable(error: BaseException) -> EngineError:
    hint = "Is it running? `url` in [archive.postgres]"
    return EngineError(f"PostgreSQL: {str(error) or type(error).__name__}", hint=hint, retryable=True)


def _storable(text: str) -> str:
    """Replace NULs and halves of surrogate pairs, which PostgreSQL does not store."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _row(turn: TurnRecord) -> tuple[Any, ...]:
    scope = turn.scope
    texts = (turn.turn_id, scope.save, scope.npc, scope.player)
    return (
        *map(_storable, texts),
        turn.time,
        *map(_storable, (turn.player_text, turn.npc_text, turn.outcome, turn.decision_id)),
        msgspec.json.encode(turn.state).decode(),
        msgspec.json.encode(turn.memories).decode(),
        msgspec.json.encode(turn.card).decode(),
    )

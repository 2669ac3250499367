"""`postgres`, an archive. The client is imported when the provider opens, not before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from pydantic import BaseModel, Field

from rfsn_core import Host, Provider, hookimpl


class Settings(BaseModel, extra="forbid"):
    """`[storage.postgres]`."""

    url: str = Field(
        min_length=1, description="postgresql://user:password@host/database; better set in the environment."
    )
    table: str = Field(
        "rfsn_turns", pattern=r"^[a-z_][a-z0-9_]{0,62}$", description="Table, created when it does not exist."
    )
    timeout: float = Field(10.0, gt=0, description="Seconds for one batch.")


@asynccontextmanager
async def _open(settings: Settings, host: Host) -> AsyncIterator[Any]:
    from rfsn_memory_postgres.archive import PostgresArchive

    archive = PostgresArchive(settings)
    try:
        yield archive
    finally:
        await archive.close()


@hookimpl
def rfsn_storage() -> Iterable[Provider[Any]]:
    """Offer `postgres`."""
    yield Provider("postgres", Settings, _open, "an archive: every turn, a little later, without a time limit")

"""`postgres`, an archive. The client is imported when the provider opens, not before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from rfsn_core import Archive, Host, Offer, Provider, hookimpl

if TYPE_CHECKING:
    from rfsn_memory_postgres.archive import PostgresArchive


class Settings(BaseModel, extra="forbid"):
    """`[archive.postgres]`."""

    url: str = Field(
        min_length=1, description="postgresql://user:password@host/database; better set in the environment."
    )
    table: str = Field(
        "rfsn_turns", pattern=r"^[a-z_][a-z0-9_]{0,62}$", description="Table, created when it does not exist."
    )
    timeout: float = Field(10.0, gt=0, description="Seconds for one batch.")


def _make(settings: Settings, host: Host) -> PostgresArchive:
    from rfsn_memory_postgres.archive import PostgresArchive

    return PostgresArchive(settings)


@hookimpl
def rfsn_archive() -> Iterable[Offer[Archive]]:
    """Offer `postgres`."""
    yield Provider.of("postgres", _make, Settings, "every turn, a little later, without a time limit")

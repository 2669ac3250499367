"""`sqlite`, the built-in store. SQLite is imported when the provider opens, not before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from pydantic import BaseModel, Field

from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import Host, Provider
from rfsn_core.contract.storage import Store


class Settings(BaseModel, extra="forbid"):
    """`[storage.sqlite]`."""

    file: str = Field("memory.db", min_length=1, description="File name, in the data folder.")
    keep_backups: int = Field(10, ge=1, description="Older automatic backups are deleted.")
    synchronous: str = Field("FULL", pattern="^(FULL|NORMAL)$", description="NORMAL may lose turns in a power cut.")


@asynccontextmanager
async def _open(settings: Settings, host: Host) -> AsyncIterator[Store]:
    from rfsn_core.defaults.storage.store import Sqlite

    store = Sqlite(host.data_dir / settings.file, settings)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


@hookimpl
def rfsn_storage() -> Iterable[Provider[Store]]:
    """Offer `sqlite`."""
    yield Provider("sqlite", Settings, _open, "one file, one writer thread, full-text search, saves")

"""`sqlite`, the built-in store. SQLite is imported when the provider opens, not before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import Host, Offer, Provider
from rfsn_core.contract.storage import Store

if TYPE_CHECKING:
    from rfsn_core.defaults.storage.store import Sqlite


class Settings(BaseModel, extra="forbid"):
    """`[storage.sqlite]`."""

    file: str = Field("memory.db", min_length=1, description="File name, in the data folder.")
    keep_backups: int = Field(10, ge=1, description="Older automatic backups are deleted.")
    synchronous: str = Field("FULL", pattern="^(FULL|NORMAL)$", description="NORMAL may lose turns in a power cut.")


def _make(settings: Settings, host: Host) -> Sqlite:
    from rfsn_core.defaults.storage.store import Sqlite

    return Sqlite(host.data_dir / settings.file, settings)


@hookimpl
def rfsn_storage() -> Iterable[Offer[Store]]:
    """Offer `sqlite`."""
    yield Provider.of("sqlite", _make, Settings, "one file, one writer thread, full-text search, saves")

"""`none`: no vectors. The past is searched by keyword only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from rfsn_core.contract.embedding import Embedder
from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import Host, NoSettings, Provider


@asynccontextmanager
async def _open(settings: NoSettings, host: Host) -> AsyncIterator[Embedder | None]:
    yield None


@hookimpl
def rfsn_embedding() -> Iterable[Provider[Embedder | None]]:
    """Offer the built-in default."""
    yield Provider("none", NoSettings, _open, "no vectors: the past is searched by keyword only")

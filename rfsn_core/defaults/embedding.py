"""`none`: no vectors. The past is searched by keyword only."""

from __future__ import annotations

from collections.abc import Iterable

from rfsn_core.contract.embedding import Embedder
from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import Offer, Provider


@hookimpl
def rfsn_embedding() -> Iterable[Offer[Embedder | None]]:
    """Offer the built-in default."""
    yield Provider.of("none", lambda: None, about="no vectors: the past is searched by keyword only")

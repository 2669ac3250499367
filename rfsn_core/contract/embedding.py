"""The embedding stage: texts → vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Embedder(Protocol):
    """Turns texts into vectors that are near each other when the texts mean much the same."""

    async def embed(self, texts: Sequence[str]) -> Any:
        """Return an array of shape (len(texts), d), or rows that numpy can convert to one.

        Each row has length 1, or 0 for a text without meaning. A turn waits for the vector of one text.
        """

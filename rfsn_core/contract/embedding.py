"""The embedding stage: texts → vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Embedder(Protocol):
    """Turns texts into vectors that are near each other when the texts mean much the same."""

    async def embed(self, texts: Sequence[str]) -> Any:
        """An array of shape (len(texts), d), or rows that numpy makes one of; each of length 1, or 0 for a text
        that says nothing. A turn waits for that of one text."""

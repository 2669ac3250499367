"""An embedding index of one conversation's turns: turns with similar meaning have vectors near each other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfsn_core.contract.embedding import Embedder
from rfsn_core.contract.storage import SearchHit, TurnRecord
from rfsn_core.kit.search import add_neighbours, whole_text


class EmbeddingIndex:
    """The newest turns of one conversation, with the vectors of one embedder.

    :param most: turns that are kept.
    """

    def __init__(self, embedder: Embedder, most: int) -> None:
        self.embedder, self.most = embedder, most
        self._turns: list[TurnRecord] = []
        self._vectors: NDArray[Any] = np.zeros((0, 0), np.float32)
        self._adding = asyncio.Lock()

    async def add(self, turns: Sequence[TurnRecord]) -> None:
        """Add turns that are not there yet, oldest first. Raises what the embedder raises, or ValueError."""
        async with self._adding:
            known = {turn.turn_id for turn in self._turns}
            new = [turn for turn in turns[-self.most :] if turn.turn_id not in known]
            if not new:
                return
            vectors = await self._embed([whole_text(turn) for turn in new])
            before = self._vectors if self._turns else vectors[:0]
            self._vectors = np.concatenate([before, vectors])[-self.most :]
            self._turns = [*self._turns, *new][-self.most :]

    async def search(self, text: str, limit: int) -> list[SearchHit]:
        """Return the nearest turns; the neighbours of a near turn score higher too. Raises as `add` does."""
        if not self._turns:
            return []
        turns, vectors = self._turns, self._vectors
        near = np.maximum(vectors @ (await self._embed([text]))[0], 0.0)
        scores = add_neighbours({position: float(score) for position, score in enumerate(near, 1) if score > 0})
        best = sorted(scores.items(), key=lambda item: -item[1])
        return [SearchHit(turns[position - 1], score) for position, score in best if position <= len(turns)][:limit]

    async def _embed(self, texts: Sequence[str]) -> NDArray[Any]:
        vectors = np.asarray(await self.embedder.embed(texts), np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise ValueError(
                f"the embedder returned an array of {vectors.shape} for {len(texts)} texts, or not finite numbers"
            )
        return vectors

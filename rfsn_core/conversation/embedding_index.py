"""A conversation by meaning: its turns as points, near each other when they say alike."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfsn_core.contract.embedding import Embedder
from rfsn_core.contract.storage import SearchHit, TurnRecord
from rfsn_core.memory.retrieval import add_neighbours, whole_text


class EmbeddingIndex:
    """The newest turns of one conversation, as one embedder places them.

    :param most: turns that are held.
    """

    def __init__(self, embedder: Embedder, most: int) -> None:
        self.embedder, self.most = embedder, most
        self._turns: list[TurnRecord] = []
        self._points: NDArray[Any] = np.zeros((0, 0), np.float32)
        self._adding = asyncio.Lock()

    async def add(self, turns: Sequence[TurnRecord]) -> None:
        """Those that are not there yet, oldest first. Raises what the embedder raises, or ValueError."""
        async with self._adding:
            known = {turn.turn_id for turn in self._turns}
            new = [turn for turn in turns[-self.most :] if turn.turn_id not in known]
            if not new:
                return
            points = await self._place([whole_text(turn) for turn in new])
            before = self._points if self._turns else points[:0]
            self._points = np.concatenate([before, points])[-self.most :]
            self._turns = [*self._turns, *new][-self.most :]

    async def search(self, text: str, limit: int) -> list[SearchHit]:
        """The turns that are nearest, with those about them lifted. Raises as `add` does."""
        if not self._turns:
            return []
        turns, points = self._turns, self._points
        near = np.maximum(points @ (await self._place([text]))[0], 0.0)
        scores = add_neighbours({position: float(each) for position, each in enumerate(near, 1) if each > 0})
        best = sorted(scores.items(), key=lambda item: -item[1])
        return [SearchHit(turns[position - 1], score) for position, score in best if position <= len(turns)][:limit]

    async def _place(self, texts: Sequence[str]) -> NDArray[Any]:
        points = np.asarray(await self.embedder.embed(texts), np.float32)
        if points.ndim != 2 or len(points) != len(texts) or not np.isfinite(points).all():
            raise ValueError(f"the embedder gave {points.shape} for {len(texts)} texts, or what is no number")
        return points

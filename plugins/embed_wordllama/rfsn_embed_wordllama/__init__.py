"""WordLlama's vectors: a table of words that comes with its package, 16 MB; no model runs, nothing is downloaded."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfsn_core import Embedder, Offer, PluginError, Provider, hookimpl

if TYPE_CHECKING:
    from numpy.typing import NDArray

AT_ONCE = 8
"""Texts that are not worth a thread."""


class WordLlama:
    """WordLlama's vectors."""

    def __init__(self) -> None:
        self._engine: Any = None

    async def start(self) -> None:
        """Load the table. Raises PluginError when WordLlama is not installed."""
        self._engine = await asyncio.to_thread(load)

    async def embed(self, texts: Sequence[str]) -> NDArray[Any]:
        """Return the vectors of texts; of many, they are made in a thread."""
        if len(texts) <= AT_ONCE:
            return self._embed(texts)
        return await asyncio.to_thread(self._embed, texts)

    def _embed(self, texts: Sequence[str]) -> NDArray[Any]:
        import numpy as np

        points: NDArray[Any] = np.array(self._engine.embed(list(texts)), np.float32)
        # Here, for WordLlama divides by the length of a text without words.
        points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)
        return points

    async def health(self) -> str:
        """Return what `rfsn doctor` shows."""
        return f"{(await self.embed(['hello'])).shape[1]} dimensions"


def load() -> Any:
    """Return WordLlama itself. Raises PluginError when it is not installed."""
    try:
        wordllama: Any = importlib.import_module("wordllama")
    except ImportError as error:
        raise PluginError("wordllama is not installed", hint="pip install wordllama") from error
    here = Path(wordllama.__file__).parent  # it would look elsewhere for the file that it brings, and then download it
    return wordllama.WordLlama.load(cache_dir=here, disable_download=True)


@hookimpl
def rfsn_embedding() -> Iterable[Offer[Embedder]]:
    """Offer `wordllama`."""
    yield Provider.of("wordllama", WordLlama, about="English, by a table of words; instant, no download")

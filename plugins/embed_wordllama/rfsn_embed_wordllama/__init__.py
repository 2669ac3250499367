"""WordLlama's vectors: a table of words that comes with its package, 16 MB; no model runs, nothing is downloaded."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfsn_core import Host, Provider, hookimpl
from rfsn_core.contract.embedding import Embedder
from rfsn_core.contract.errors import PluginError
from rfsn_core.contract.provider import NoSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

AT_ONCE = 8
"""Texts that are not worth a thread."""


class WordLlama:
    """The opened provider."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    async def embed(self, texts: Sequence[str]) -> NDArray[Any]:
        """Off the loop when there are many."""
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
        """For `rfsn doctor`."""
        return f"{(await self.embed(['hello'])).shape[1]} dimensions"


def load() -> Any:
    """WordLlama itself. Raises PluginError when it is not installed."""
    try:
        wordllama: Any = importlib.import_module("wordllama")
    except ImportError as error:
        raise PluginError("wordllama is not installed", hint="pip install wordllama") from error
    here = Path(wordllama.__file__).parent  # it would look elsewhere for the file that it brings, and then download it
    return wordllama.WordLlama.load(cache_dir=here, disable_download=True)


@asynccontextmanager
async def _open(settings: NoSettings, host: Host) -> AsyncIterator[Embedder]:
    yield WordLlama(await asyncio.to_thread(load))


@hookimpl
def rfsn_embedding() -> Iterable[Provider[Embedder]]:
    """Offers `wordllama`."""
    yield Provider("wordllama", NoSettings, _open, "English, by a table of words; instant, no download")

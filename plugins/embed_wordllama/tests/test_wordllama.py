"""WordLlama as an embedder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rfsn_embed_wordllama

from rfsn_core.errors import PluginError
from rfsn_core.testing import kernel
from rfsn_core.testing.suites import EmbedderSuite


@pytest.mark.engines
class TestWordLlama(EmbedderSuite):
    provider = "wordllama"


async def test_without_the_package_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wordllama", None)
    with pytest.raises(PluginError, match="pip install wordllama"):
        async with kernel(tmp_path, ("embed_wordllama", rfsn_embed_wordllama)):
            pass


async def test_a_text_without_words_is_nowhere() -> None:
    class Engine:
        def embed(self, texts: list[str]) -> Any:
            return np.array([[3.0, 4.0] if text else [np.nan, np.nan] for text in texts])

    points = await rfsn_embed_wordllama.WordLlama(Engine()).embed(["a", ""])
    assert points.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0.0, 0.0]]

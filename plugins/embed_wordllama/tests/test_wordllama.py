"""WordLlama as an embedder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import rfsn_embed_wordllama

from rfsn_core import PluginError
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

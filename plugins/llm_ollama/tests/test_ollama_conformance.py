from __future__ import annotations

from typing import Any

from rfsn_core.testing.remote import RemoteRendererSuite


class TestOllama(RemoteRendererSuite):
    provider = "ollama"

    def reach(self, url: str) -> dict[str, Any]:
        return {"url": url, "model": "tiny", "preload": False}

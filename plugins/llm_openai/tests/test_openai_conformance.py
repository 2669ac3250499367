from __future__ import annotations

from typing import Any

from rfsn_core.testing.remote import RemoteRendererSuite


class TestOpenAi(RemoteRendererSuite):
    provider = "openai"

    def reach(self, url: str) -> dict[str, Any]:
        return {"url": f"{url}/v1", "model": "tiny", "key": "secret"}

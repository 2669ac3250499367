"""What a provider of any stage must do."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from rfsn_core.contract.provider import Host, Provider
from rfsn_core.plugins.discovery import discover


def _other_tasks() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


class ProviderSuite:
    """For providers of any stage."""

    stage: ClassVar[str]
    provider: ClassVar[str | Provider[Any, Any]]
    """Name of an installed provider, or the provider itself."""
    settings: ClassVar[Mapping[str, Any]] = {}
    """The provider's settings."""

    def offer(self) -> Provider[Any, Any]:
        """Return the provider under test."""
        if isinstance(self.provider, Provider):
            return self.provider
        offered = discover().providers(self.stage)
        assert self.provider in offered, f"no {self.stage} provider '{self.provider}': {sorted(offered)}"
        return offered[self.provider][0]

    def run(self, folder: Path, body: Callable[[Any], Awaitable[None]]) -> None:
        """Open the provider, run the body on it and close it. Fails when a task is left."""
        host = Host(folder, folder, logging.getLogger("rfsn.test"), random.Random(1))
        provider = self.offer()

        async def main() -> None:
            async with provider.open(provider.settings(**self.settings), host) as opened:
                await body(opened)
            # The event loop closes generators that were left in tasks of its own, which end at once.
            for _ in range(100):
                if not (running := _other_tasks()):
                    break
                await asyncio.sleep(0.01)
            assert not running, "tasks are left after the provider was closed"

        asyncio.run(main())

    def test_it_opens_and_closes_twice(self, tmp_path: Path) -> None:
        async def nothing(opened: Any) -> None:
            assert opened is not None

        self.run(tmp_path, nothing)
        self.run(tmp_path, nothing)

    def test_every_setting_is_described(self) -> None:
        for name, field in self.offer().settings.model_fields.items():
            assert field.description, f"setting '{name}' has no description"

    def test_unknown_settings_are_refused(self) -> None:
        assert self.offer().settings.model_config.get("extra") == "forbid"

"""An open provider: it lives in a task of its own, which enters and leaves its context manager."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel

from rfsn_core.contract.capabilities import Capabilities
from rfsn_core.contract.errors import PluginError, RfsnError, contained
from rfsn_core.contract.provider import Host, Provider
from rfsn_core.contract.stages import PROTOCOLS, flaws
from rfsn_core.plugins.discovery import Plugin
from rfsn_core.telemetry.logs import logger
from rfsn_core.turn.breaker import Breaker

log = logger("runtime")

Key = tuple[str, str, str, str]
"""(stage, provider, distribution version, settings as JSON): equal keys are the same opened provider."""


class Opened:
    """A provider while it is open, in its owner task."""

    def __init__(self, key: Key, provider: Provider[Any, Any], plugin: Plugin, settings: BaseModel, host: Host) -> None:
        self.key = key
        self.users = 0
        self.value: Any = None
        self.breaker: Breaker | None = None
        self._provider, self._plugin, self._settings, self._host = provider, plugin, settings, host
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """As `stage:provider`."""
        return f"{self.key[0]}:{self.key[1]}"

    @property
    def capabilities(self) -> Capabilities:
        """What the provider says of itself."""
        return self._provider.capabilities

    async def open(self) -> None:
        """Enter the provider's context and compare what it opened with the stage's protocol.

        Raises PluginError that names provider, plugin and settings table; nothing is open then.
        """
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._own(ready), name=f"rfsn {self.name}")
        try:
            await ready
        except Exception as error:
            own = error.__cause__ is None or isinstance(error.__cause__, Exception)
            if isinstance(error, RfsnError) and own:  # the provider's own words; not a contained `sys.exit`
                raise
            raise PluginError(
                f"{self.name} (plugin {self._plugin.name}, {self._plugin.label}) did not open:"
                f" {type(error).__name__}: {error}",
                hint=f"Its settings are in [{self.key[0]}.{self.key[1]}]",
            ) from error
        try:
            with contained():
                problems = flaws(self.key[0], self.value)
        except Exception as error:  # noqa: BLE001  a property of the plugin's object
            problems = [f"{type(error).__name__} when it was looked at: {error}"]
        if problems:
            kind = type(self.value).__name__
            await self.close()
            raise PluginError(
                f"{self.name} (plugin {self._plugin.name}, {self._plugin.label}) opened a {kind} that is no"
                f" {PROTOCOLS[self.key[0]].__name__}: {'; '.join(problems)}",
                hint="The plugin must be corrected; rfsn_core/contract shows what each stage needs",
            )

    async def _own(self, ready: asyncio.Future[None]) -> None:
        try:
            with contained():
                async with self._provider.open(self._settings, self._host) as value:
                    self.value = value
                    if not ready.done():
                        ready.set_result(None)
                    await self._closing.wait()
        except Exception as error:
            if not ready.done():
                ready.set_exception(error)
            else:
                log.exception("provider.close_failed", provider=self.name, plugin=self._plugin.label)

    async def close(self) -> None:
        """Leave the provider's context."""
        self._closing.set()
        if self._task is not None:
            await asyncio.wait([self._task])

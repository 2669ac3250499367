"""Builds runtimes and swaps them under load.

A runtime is settings, world and opened providers as one immutable snapshot. A turn leases the runtime and keeps it to
its end, so a reload never changes a turn in flight. Each opened provider lives in a task of its own that enters and
leaves its context manager; runtimes share what did not change, by reference count.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rfsn_core.contract.errors import ConfigError, UserError, contained
from rfsn_core.contract.provider import Host
from rfsn_core.contract.shared_storage import SharedStore
from rfsn_core.contract.stages import STAGES
from rfsn_core.oversight.oversight import Oversight
from rfsn_core.plugins.discovery import Plugins
from rfsn_core.plugins.hooks import Hooks
from rfsn_core.runtime.announcements import Announcements
from rfsn_core.runtime.changes import Effects, effects
from rfsn_core.runtime.engines import Engines
from rfsn_core.runtime.lost_memory import warn_of_lost_memory
from rfsn_core.runtime.plan import Choice, Plan, make_plan
from rfsn_core.runtime.provider_task import Opened
from rfsn_core.settings.folders import DataFolder, data_folder
from rfsn_core.settings.protection import check_reload
from rfsn_core.settings.schema import Settings
from rfsn_core.settings.trust import Trust, load_world
from rfsn_core.telemetry.logs import logger
from rfsn_core.turn.prompt import Prompts
from rfsn_core.turn.runtime import OpenProvider, Runtime
from rfsn_core.world.decision import Decider
from rfsn_core.world.guests import Guests

log = logger("runtime")


@dataclass(frozen=True)
class Change:
    """What a reload did.

    Attributes: `reopened`, the providers that were opened again; `effects`, what became of each changed file.
    """

    files: tuple[str, ...]
    reopened: tuple[str, ...]
    effects: Effects


class Runtimes:
    """Owns the current runtime: builds the first, swaps in the next, drains and closes the old."""

    def __init__(
        self, world: Path, plugins: Plugins, *, config_file: Path | None = None,
        overrides: Mapping[str, Any] | None = None, worker: str = "",
    ) -> None:  # fmt: skip
        self.world_dir = world
        self.worker = worker
        """Name of this process among several; empty when it is alone."""
        self.bound = ""
        """The address that the server listens on; empty while there is none."""
        self.config_file = config_file
        self.plugins = plugins
        self._overrides = overrides or {}
        self._current: Runtime | None = None
        self._lock = asyncio.Lock()
        self._draining: set[asyncio.Task[None]] = set()
        self._warned: set[str] = set()
        self.trust: Trust | None = None
        """The trust in the world, as of the newest start or reload."""
        self.announcements = Announcements()
        self.before_store_change: Callable[[], Awaitable[None]] = _nothing
        """What is done while the old store is still in use."""
        self._engines = Engines(self.announcements)

    @property
    def current(self) -> Runtime:
        """The runtime that the next turn gets."""
        assert self._current is not None, "start() first"
        return self._current

    @property
    def data_dir(self) -> Path:
        """The folder for what the server writes; it stays the same until a restart."""
        return self._data_folder.path

    @cached_property
    def guests(self) -> Guests:
        """The NPCs that the game introduced."""
        return Guests(self.data_dir / "guests")

    @cached_property
    def _data_folder(self) -> DataFolder:
        settings, _, trust = load_world(self.world_dir, self.config_file, self._overrides)
        return data_folder(self.world_dir, settings, follow_links=trust.granted)

    @cached_property
    def oversight(self) -> Oversight:
        """What people see and decide of the gate; it outlives every runtime."""
        return Oversight(self.data_dir, self.world_dir.name)

    @property
    def own_dir(self) -> Path:
        """The folder for what this process alone writes: the data folder, or that of one of several workers in it."""
        return self.data_dir / self.worker

    async def start(self) -> Runtime:
        """Build the first runtime. Raises ConfigError, WorldError, PluginError or StoreError."""
        plan = await self._plan()
        if self._data_folder.reason:
            log.info("data_folder.elsewhere", folder=str(self.data_dir), reason=self._data_folder.reason)
        self._warn(plan)
        warn_of_lost_memory(plan.settings, self.data_dir, self.own_dir)
        self._current = await self._build(plan)
        return self._current

    def _warn(self, plan: Plan) -> None:
        """Log what is probably a mistake, each once, and what is left out of a world that is not trusted."""
        if plan.trust.left_out and (self.trust is None or plan.trust.left_out != self.trust.left_out):
            left_out = [risk.line for risk in plan.trust.left_out]
            log.warning("world.untrusted", folder=str(plan.trust.world), left_out=left_out, hint=plan.trust.hint)
        self.trust = plan.trust
        for warning in plan.warnings:
            if warning not in self._warned:
                log.warning("settings.suspicious", problem=warning)
        self._warned = set(plan.warnings)

    def load(self) -> Settings:
        """Return the settings as they are on disk now, not yet applied."""
        return load_world(self.world_dir, self.config_file, self._overrides)[0]

    async def check(self) -> Plan:
        """Validate settings and world without opening anything. Raises as `start` does."""
        return await self._plan()

    async def open_alone(self, stage: str, name: str = "") -> Opened:
        """Open only one provider of a stage, the first if none is named, with its settings. The caller closes it.

        Raises as `start` does, and UserError for one that the settings do not choose.
        """
        plan = await self._plan()
        choice = next((choice for choice in plan.choices if choice.stage == stage and name in ("", choice.name)), None)
        if choice is None:
            raise UserError(f"the settings do not choose '{name}'", hint=f"Set `provider` or `fallback` in [{stage}]")
        opened = self._opened(plan, choice)
        await opened.open()
        return opened

    async def chosen(self) -> list[tuple[str, str]]:
        """Return (stage, provider) of all that the settings choose, in order. Raises as `check` does."""
        return [(choice.stage, choice.name) for choice in (await self._plan()).choices]

    async def reload(self, files: Sequence[str] = ()) -> Change:
        """Build a runtime from what is on disk now and swap it in. After an error the old one stays.

        Raises as `start` does.
        """
        async with self._lock:
            old = self.current
            plan = await self._plan()
            check_reload(old.settings, old.source, plan.settings, plan.source)
            self._warn(plan)
            new = await self._build(plan)
            keys = {opened.key for opened in old.opened}
            reopened = tuple(opened.name for opened in new.opened if opened.key not in keys)
            _hand_over(old.decider, new.decider)
            if new.store is not old.store:
                await self.before_store_change()
            self._current = new
            task = asyncio.create_task(self._retire(old))
            self._draining.add(task)
            task.add_done_callback(self._draining.discard)
            new.hooks.config_changed(files=tuple(files), reopened=reopened)
            return Change(tuple(files), reopened, effects(self.world_dir, files, old, new, plan.warnings))

    async def close(self) -> None:
        """Close everything, after the last turn."""
        await self.oversight.close()
        if self._current is not None:
            await self._retire(self._current)
        if self._draining:
            await asyncio.wait(self._draining)

    async def _retire(self, runtime: Runtime) -> None:
        await runtime.leases.retire()
        await _release(runtime.opened)

    async def _plan(self) -> Plan:
        previous = self._current.world if self._current else None
        return await make_plan(self.world_dir, self.plugins, self.config_file, self._overrides, previous)

    def _opened(self, plan: Plan, choice: Choice) -> Opened:
        """Return a chosen provider, ready to be opened."""
        host = self._host(plan, choice.stage, choice.name, self.data_dir)
        return Opened(choice.key, choice.provider, choice.plugin, choice.settings, host)

    async def _build(self, plan: Plan) -> Runtime:
        settings, world = plan.settings, plan.world.with_guests(self.guests)
        opened: dict[str, list[Opened]] = {stage: [] for stage in STAGES}
        acquired: list[Opened] = []
        current = self._current.opened if self._current else ()
        old = {item.key: item for item in current if isinstance(item, Opened)}
        try:
            for choice in plan.choices:
                item = old.get(choice.key)
                if item is None:
                    item = self._opened(plan, choice)
                    await item.open()
                item.users += 1
                acquired.append(item)
                opened[choice.stage].append(item)
        except BaseException:
            await _release(acquired)
            raise
        return Runtime(
            settings=settings,
            source=plan.source,
            world=world,
            understander=opened["understanding"][0].value,
            decider=Decider(
                actions=plan.actions,
                rules=plan.rules,
                weights=settings.world.weights,
                abstractor=opened["abstraction"][0].value,
                policy=opened["selection"][0].value,
                policy_name=opened["selection"][0].key[1],
                explore=settings.learning.enabled,
                learns=opened["selection"][0].capabilities.learns,
            ),
            prompts=Prompts(world, settings.rendering.prompt_tokens, final_json=settings.rendering.final_json != "off"),
            hooks=Hooks(self.plugins),
            renderers=tuple(self._engines.renderer(item, settings.rendering) for item in opened["rendering"]),
            gates=tuple(item.value for item in opened["gating"]),
            oversight=self.oversight,
            voices=tuple(self._engines.voice(item, settings.speech) for item in opened["speech"]),
            store=opened["storage"][0].value,
            shared_store=store if isinstance(store := opened["storage"][0].value, SharedStore) else None,
            archives=tuple(item.value for item in opened["archive"]),
            embedder=opened["embedding"][0].value,
            opened=tuple(acquired),
        )

    def _host(self, plan: Plan, stage: str, name: str, data_dir: Path) -> Host:
        return Host(
            data_dir,
            self.world_dir,
            logging.getLogger(f"rfsn.{stage}.{name}"),
            random.Random(f"{plan.settings.world.seed}:{stage}:{name}"),
            partial(self._open_for_another, plan, data_dir),
        )

    @asynccontextmanager
    async def _open_for_another(
        self, plan: Plan, data_dir: Path, stage: str, name: str, values: Mapping[str, Any]
    ) -> AsyncIterator[Any]:
        """Open a provider that another provider uses. Raises ConfigError."""
        offered = self.plugins.providers(stage)
        if name not in offered:
            raise ConfigError([f"no {stage} provider '{name}'; there are: {', '.join(offered)}"])
        provider = offered[name][0]
        own = (plan.settings.stage(stage).model_extra or {}).get(name, {})
        try:
            settings = provider.settings.model_validate({**own, **values})
        except ValidationError as error:
            raise ConfigError([f"{stage}.{name}: {error}"]) from error
        async with provider.open(settings, self._host(plan, stage, name, data_dir)) as opened:
            yield opened


def _hand_over(old: Decider, new: Decider) -> None:
    """Give the new policy what the old one has learned."""
    if new.policy is old.policy or new.policy_name != old.policy_name:
        return
    try:
        with contained():
            new.policy.restore(old.policy.checkpoint())
    except Exception:  # the plugin's code: a policy that starts fresh is better than a reload that fails
        log.exception("policy.not_handed_over", policy=new.policy_name, hint="It starts without what was learned")


async def _nothing() -> None:
    """Do nothing."""


async def _release(items: Sequence[OpenProvider]) -> None:
    """Release providers in reverse order, and close those that no runtime uses any more."""
    for item in reversed(items):
        item.users -= 1
        if item.users == 0:
            await item.close()

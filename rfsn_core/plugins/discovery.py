"""Finds plugins, checks each, and reports what became of it; one that fails never takes the rest down.

pluggy's own loader stops at the first import error and skips a second plugin of the same name without a word,
so the loop is ours. Order: (entry name, distribution), so that every run is the same.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pluggy
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from rfsn_core.contract import hooks as hookspecs
from rfsn_core.contract.errors import EngineError, PluginError, contained
from rfsn_core.contract.provider import Provider
from rfsn_core.contract.stages import STAGES
from rfsn_core.settings.trust import judge

GROUP = "rfsn"
PREFIX = "rfsn_"
ASYNC_HOOKS = frozenset({"rfsn_started", "rfsn_stopping"})
OFFERS = frozenset({"rfsn_actions", "rfsn_safety_rules", "rfsn_dialects"})
"""Hooks that are asked at once: what they offer decides whether the settings are right."""
ON_DEMAND = ("rfsn_routes", "rfsn_commands")
"""Hooks that are asked when something needs their offers: these often import a web framework or a program's parts."""
CONTRACT = "rfsn-core"
DEFAULTS = ("understanding", "abstraction", "selection", "rendering", "gating", "storage", "speech", "embedding")


@dataclass
class Plugin:
    """A plugin, and what became of it."""

    name: str
    distribution: str
    version: str
    state: str
    """`loaded`, `blocked` (by setting), or `failed`."""
    reason: str = ""
    hooks: tuple[str, ...] = ()
    module: Any = field(default=None, repr=False)

    @property
    def label(self) -> str:
        """Distribution and version, as errors name a plugin."""
        return f"{self.distribution} {self.version}"


class _Manager(pluggy.PluginManager):
    """Looks only at `rfsn_*` names, so that a plugin's other attributes are never touched."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        return super().parse_hookimpl_opts(plugin, name) if name.startswith(PREFIX) else None


class Plugins:
    """All plugins of one discovery, and what they offer."""

    def __init__(self, found: list[Plugin], manager: pluggy.PluginManager) -> None:
        self.found = found
        self._manager = manager
        self.loaded = {item.name: item for item in found if item.state == "loaded"}
        self._providers: dict[str, dict[str, tuple[Provider[Any, Any], Plugin]]] = {stage: {} for stage in STAGES}
        self._offers: dict[str, list[tuple[Any, Plugin]]] = {hook: [] for hook in OFFERS}
        self.problems: list[str] = []
        for item in list(self.loaded.values()):
            try:
                with contained():
                    self._collect(item)
            except Exception as error:  # noqa: BLE001  a plugin's own code runs here
                self.fail(item, f"{type(error).__name__} in a hook: {error}")

    def fail(self, item: Plugin, reason: str) -> None:
        """Take a plugin out, with the reason that `rfsn plugins` shows."""
        item.state, item.reason = "failed", reason
        if self._manager.has_plugin(item.name):
            self._manager.unregister(name=item.name)
        self.loaded.pop(item.name, None)
        for table in self._providers.values():
            for name in [name for name, (_, owner) in table.items() if owner is item]:
                del table[name]
        for hook, offers in self._offers.items():
            self._offers[hook] = [(offer, owner) for offer, owner in offers if owner is not item]

    def _collect(self, item: Plugin) -> None:
        for impl in self._manager.get_hookcallers(item.module) or ():
            hook = impl.name
            stage = hook.removeprefix(PREFIX)
            if stage not in STAGES and hook not in OFFERS:
                continue
            offered = getattr(item.module, hook)()
            for offer in offered if offered is not None else ():
                if hook in OFFERS:
                    self._offers[hook].append((offer, item))
                    continue
                if not isinstance(offer, Provider):
                    raise TypeError(f"{hook} returned {type(offer).__name__}, not Provider")
                self._add_provider(stage, offer, item)

    def _add_provider(self, stage: str, provider: Provider[Any, Any], item: Plugin) -> None:
        from pydantic import BaseModel

        if not (isinstance(provider.settings, type) and issubclass(provider.settings, BaseModel)):
            raise TypeError(f"the settings of provider '{provider.name}' are not a pydantic model")
        if not callable(provider.open):
            raise TypeError(f"'open' of provider '{provider.name}' is not callable")
        known = self._providers[stage].get(provider.name)
        if known is not None:
            problem = (
                f"{stage} provider '{provider.name}' is offered twice: by {known[1].label} (plugin"
                f" {known[1].name}) and by {item.label} (plugin {item.name}). Block one: RFSN_BLOCK={item.name}"
            )
            self.problems.append(problem)
            raise PluginError(problem)
        self._providers[stage][provider.name] = (provider, item)

    def providers(self, stage: str) -> dict[str, tuple[Provider[Any, Any], Plugin]]:
        """Name → (provider, its plugin) of a stage."""
        return self._providers[stage]

    def offers(self, hook: str) -> list[tuple[Any, Plugin]]:
        """Return what the plugins offer through a hook of `OFFERS` or `ON_DEMAND`.

        An implementation of the latter that raises gives nothing, and is one of the `problems`.
        """
        if hook not in self._offers:
            offers = self._offers[hook] = []
            for item, function, _ in list(self.functions(hook)):
                try:
                    with contained():
                        offers += [(offer, item) for offer in list(function() or ())]
                except Exception as error:  # noqa: BLE001  a plugin's own code runs here
                    self.problems.append(
                        f"{hook} of plugin {item.name} ({item.label}): {type(error).__name__}: {error}"
                    )
        return self._offers[hook]

    def functions(self, hook: str) -> Iterator[tuple[Plugin, Any, tuple[str, ...]]]:
        """(plugin, function, argument names) of every implementation of a hook, by plugin name."""
        impls = {impl.plugin_name: impl for impl in getattr(self._manager.hook, hook).get_hookimpls()}
        for name in sorted(impls):
            if name in self.loaded:
                yield self.loaded[name], impls[name].function, tuple(impls[name].argnames)


def discover(extra: Iterable[tuple[str, Any]] = (), *, world: Path | None = None, installed: bool = True) -> Plugins:
    """Find and load all plugins.

    :param extra: (name, module or object) to register besides: for tests.
    :param world: a world whose `plugins/*.py` load as well, if its user trusts it.
    :param installed: look at entry points at all.

    `RFSN_PLUGINS=a,b` loads only those installed plugins (empty: none), `RFSN_BLOCK=x` blocks.
    """
    manager = _Manager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    only = os.environ.get("RFSN_PLUGINS")
    allowed = None if only is None else {name.strip() for name in only.split(",") if name.strip()}
    blocked = {name.strip() for name in os.environ.get("RFSN_BLOCK", "").split(",") if name.strip()}
    kernel = _version(CONTRACT)
    found: list[Plugin] = []
    for stage in DEFAULTS:
        item = Plugin(f"default_{stage}", CONTRACT, kernel, "")
        found.append(_load(manager, item, f"rfsn_core.defaults.{stage}", blocked))
    entries = metadata.entry_points(group=GROUP) if installed else ()
    for entry in sorted(entries, key=lambda e: (e.name, e.dist.name if e.dist else "")):
        item = Plugin(entry.name, entry.dist.name if entry.dist else "?", entry.dist.version if entry.dist else "?", "")
        found.append(item)
        if allowed is not None and entry.name not in allowed:
            item.state, item.reason = "blocked", "not in RFSN_PLUGINS"
        elif (unfit := _unfit(entry, kernel)) and entry.name not in blocked:
            item.state, item.reason = "failed", unfit
        else:
            _load(manager, item, entry.value, blocked)
    trust = judge(world) if world else None
    for path in sorted((world / "plugins").glob("*.py")) if world else ():
        item = Plugin(path.stem, path.name, "(file)", "")
        if trust is not None and trust.left_out:
            item.state, item.reason = "blocked", f"the world is not trusted; {trust.hint}"
            found.append(item)
        else:
            found.append(_load(manager, item, path, blocked))
    for name, module in extra:
        found.append(_load(manager, Plugin(name, name, "(given)", ""), module, blocked))
    return Plugins(found, manager)


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "0.1.0"


def _unfit(entry: metadata.EntryPoint, kernel: str) -> str:
    """Why the plugin's own requirement on the kernel is not met; read before any of its code runs."""
    for text in (entry.dist.requires if entry.dist else None) or ():
        requirement = Requirement(text)
        if canonicalize_name(requirement.name) == CONTRACT and not requirement.specifier.contains(
            Version(kernel), prereleases=True
        ):
            return f"needs {CONTRACT} {requirement.specifier}, this is {kernel}"
    return ""


def _load(manager: pluggy.PluginManager, item: Plugin, source: Any, blocked: set[str]) -> Plugin:
    if item.name in blocked:
        item.state, item.reason = "blocked", "in RFSN_BLOCK"
        return item
    try:
        if manager.has_plugin(item.name):
            raise PluginError(f"another plugin is called '{item.name}'")
        with contained():
            item.module = _import(item.name, source)
            item.hooks = tuple(_check_hooks(item.module))
            manager.register(item.module, item.name)
        item.state = "loaded"
    except Exception as error:  # noqa: BLE001  anything may happen in a plugin's module
        if manager.has_plugin(item.name) and manager.get_plugin(item.name) is item.module:
            manager.unregister(name=item.name)
        text = str(error).strip().partition("\n")[0]
        cause = error.__cause__ if isinstance(error, EngineError) and error.__cause__ else error
        if isinstance(source, Path) and not isinstance(error, SyntaxError | PluginError):
            frames = traceback.extract_tb(cause.__traceback__)
            lines = [frame.lineno for frame in frames if frame.filename == str(source)]
            text += f" ({source.name}, line {lines[-1]})" if lines else ""
        item.state, item.reason = (
            "failed",
            text if isinstance(error, PluginError | EngineError) else f"{type(error).__name__}: {text}",
        )
    return item


class _FromSource(SourceFileLoader):
    """Runs what is in the file, which is what was trusted, and never the bytecode that may lie next to it."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code = self.source_to_code(self.get_data(path), path)
        assert isinstance(code, CodeType)
        return code


def _import(name: str, source: Any) -> Any:
    if isinstance(source, str):
        return importlib.import_module(source)
    if isinstance(source, Path):
        module_name = f"rfsn_world_plugins.{name}"
        spec = importlib.util.spec_from_file_location(module_name, loader=_FromSource(module_name, str(source)))
        assert spec is not None
        assert spec.loader is not None
        module: ModuleType = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module
    return source


def _check_hooks(module: Any) -> Iterator[str]:
    known = {name for name in vars(hookspecs) if name.startswith(PREFIX)}
    for name in sorted(attribute for attribute in dir(module) if attribute.startswith(PREFIX)):
        function = getattr(module, name)
        marked = getattr(function, "rfsn_impl", None) is not None
        if not (inspect.isroutine(function) and (marked or name in known)):
            continue
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            raise PluginError(f"no hook '{name}'" + (f"; did you mean '{close[0]}'?" if close else ""))
        if not marked:
            raise PluginError(f"'{name}' is not marked with @hookimpl")
        if inspect.iscoroutinefunction(function) and name not in ASYNC_HOOKS:
            raise PluginError(f"'{name}' is async; only {', '.join(sorted(ASYNC_HOOKS))} may be")
        signature = inspect.signature(getattr(hookspecs, name)).parameters
        for parameter in inspect.signature(function).parameters.values():
            if parameter.default is not parameter.empty:
                raise PluginError(f"parameter '{parameter.name}' of '{name}' has a default: it would never be passed")
            if parameter.name not in signature:
                raise PluginError(
                    f"'{name}' has no parameter '{parameter.name}', only: {', '.join(signature) or 'none'}"
                )
        yield name

"""Hooks that run during turns, resolved once per runtime into tuples that are called one by one, guarded.

A pluggy call costs microseconds, stops at the first implementation that raises, and does not say whose it was.
"""

from __future__ import annotations

import inspect
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rfsn_core.contract.actions import Situation
from rfsn_core.contract.errors import contained
from rfsn_core.contract.rendering import Prompt
from rfsn_core.plugins.discovery import Plugin, Plugins
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

MUTE_AFTER = 20
"""Failures in a row after which a hook is no longer called."""
SLOW_MS = 250
"""A plain function that takes longer is reported: nothing else runs in the meantime."""

log = logger("plugins")


class Hook:
    """All implementations of one hook."""

    def __init__(self, plugins: Plugins, name: str) -> None:
        self.name = name
        self.calls: list[_Call] = [_Call(name, *found) for found in plugins.functions(name)]

    def __bool__(self) -> bool:
        return bool(self.calls)

    def __call__(self, **arguments: Any) -> list[tuple[Plugin, Any]]:
        """(plugin, what it returned) of each that did not fail; None is left out."""
        results = [(call.plugin, call(arguments)) for call in self.calls]
        return [(plugin, result) for plugin, result in results if result is not None]

    async def run(self, **arguments: Any) -> None:
        """For the two hooks that may be async: one after the other."""
        for call in self.calls:
            result = call(arguments)
            if inspect.isawaitable(result):
                try:
                    with contained():
                        await result
                except Exception as error:  # noqa: BLE001  a plugin's code
                    call.failed(error)


class _Call:
    def __init__(self, hook: str, plugin: Plugin, function: Callable[..., Any], names: tuple[str, ...]) -> None:
        self.hook, self.plugin, self.function, self.names = hook, plugin, function, names
        self.failures = 0
        self.trace = bool(os.environ.get("RFSN_TRACE_PLUGINS"))

    def __call__(self, arguments: dict[str, Any]) -> Any:
        if self.failures >= MUTE_AFTER:
            return None
        started = time.perf_counter()
        result: Any = None
        try:
            with contained():
                result = self.function(*[arguments[name] for name in self.names])
            self.failures = 0
        except Exception as error:  # noqa: BLE001  a plugin's code: logged with its name, counted, muted
            self.failed(error)
        spent = (time.perf_counter() - started) * 1e3
        if spent > SLOW_MS:
            log.warning("plugin.slow", plugin=self.plugin.name, hook=self.hook, ms=round(spent))
        if self.trace:
            sys.stderr.write(f"{self.hook} {self.plugin.name} {spent * 1e3:.0f} µs -> {result!r:.200}\n")
        return result

    def failed(self, error: Exception) -> None:
        """Log and count a failure."""
        self.failures += 1
        METRICS.plugin_errors.labels(self.plugin.name, self.hook).inc()
        log.warning(
            "plugin.hook_failed",
            plugin=self.plugin.name,
            version=self.plugin.version,
            hook=self.hook,
            error=repr(error),
            muted=self.failures >= MUTE_AFTER,
        )


class Hooks:
    """The hooks of one runtime."""

    def __init__(self, plugins: Plugins) -> None:
        self.candidates = Hook(plugins, "rfsn_candidates")
        self.prompt = Hook(plugins, "rfsn_prompt")
        self.event = Hook(plugins, "rfsn_event")
        self.started = Hook(plugins, "rfsn_started")
        self.stopping = Hook(plugins, "rfsn_stopping")
        self.config_changed = Hook(plugins, "rfsn_config_changed")

    def changes(self, situation: Situation, actions: Iterable[str]) -> list[Mapping[str, str | None]]:
        """Return what `rfsn_candidates` hooks add or veto."""
        if not self.candidates:
            return []
        changes = []
        for plugin, change in self.candidates(situation=situation, candidates=tuple(actions)):
            if isinstance(change, Mapping):
                changes.append(change)
            else:
                _log_wrong_result(plugin, "rfsn_candidates", "a mapping or None", change)
        return changes

    def changed_prompt(self, prompt: Prompt) -> Prompt:
        """Return the prompt after each `rfsn_prompt` hook, one on top of the other."""
        for call in self.prompt.calls:
            changed = call({"prompt": prompt})
            if isinstance(changed, Prompt):
                prompt = changed
            elif changed is not None:
                _log_wrong_result(call.plugin, "rfsn_prompt", "a Prompt or None", changed)
        return prompt


def _log_wrong_result(plugin: Plugin, hook: str, wanted: str, result: object) -> None:
    log.warning(
        "plugin.wrong_result", plugin=plugin.name, version=plugin.version, hook=hook, wanted=wanted,
        result=type(result).__name__,
    )  # fmt: skip

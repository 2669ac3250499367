"""Alerts: rules over metrics, which fire when a threshold is passed for long enough, and resolve when it is not."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import Metric

from rfsn_core.server.webhooks import Webhooks
from rfsn_core.settings.alerts import LEVELS, AlertRule, AlertSettings, Selector, selector
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("alerts")

KEPT = 50
"""Resolved alerts that are shown."""
BUILT_IN: Mapping[str, AlertRule] = {
    "errors": AlertRule(metric="rfsn_errors_total", per_minute=True, above=10, seconds=30, level="error"),
    "engine_open": AlertRule(metric="rfsn_breaker_state", above=1.5, seconds=30, level="error"),
    "store_away": AlertRule(metric="rfsn_waiting_turns", above=0, seconds=10, level="critical"),
    "speech_queue": AlertRule(metric="rfsn_speech_queue", above=100, seconds=30, level="warning"),
    "gate_blocks": AlertRule(
        metric='rfsn_sentences_total{verdict="block"}', per_minute=True, above=20, seconds=30, level="warning"
    ),
    "gate_waits": AlertRule(metric="rfsn_gate_waiting", above=0, seconds=60, level="warning"),
    "gate_risk": AlertRule(metric="rfsn_gate_mean_risk", above=0.8, seconds=30, level="error"),
    "learning_guard": AlertRule(metric="rfsn_learning_state", above=0.5, seconds=0, level="warning"),
    "disk_full": AlertRule(metric="rfsn_disk_free_bytes", below=500e6, seconds=10, level="critical"),
}
"""Rules that apply unless `operations.alerts.rules` has one of the same name."""


@dataclass
class Alert:
    """A rule that fires, or did."""

    name: str
    level: str
    message: str
    since: float
    """Seconds since the epoch."""
    resolved: float = 0.0
    """0: it still fires."""


@dataclass
class _Watch:
    """What is known of one rule."""

    passed_since: float | None = None
    """Monotonic time since when the threshold is passed."""
    firing: Alert | None = None
    quiet_until: float = 0.0
    """Monotonic time before which nobody is told again: a value that goes up and down is told once."""
    told: bool = False
    counts: deque[tuple[float, float]] = field(default_factory=deque)
    """(monotonic time, value) of the last minute, for rates."""


class Alerts:
    """Checks the rules of the settings, and tells of alerts by log and webhook.

    :param settings: returns the settings, which may change.
    :param families: returns the metrics.
    :param data: the folder whose disk must not become full.
    :param origin: what the messages name as their sender, such as a world.
    """

    def __init__(self, settings: Any, families: Any, data: Path, origin: str) -> None:
        self._settings, self._families, self._data = settings, families, data
        self._watches: dict[str, _Watch] = {}
        self._past: deque[Alert] = deque(maxlen=KEPT)
        self.webhooks = Webhooks(origin)

    def rules(self) -> dict[str, AlertRule]:
        """Return the rules that apply, by name."""
        settings: AlertSettings = self._settings()
        rules = {**(BUILT_IN if settings.built_in else {}), **settings.rules}
        return {name: rule for name, rule in rules.items() if rule.enabled}

    def shown(self) -> list[Alert]:
        """Return the alerts that fire, then those that did, newest first."""
        firing = [watch.firing for watch in self._watches.values() if watch.firing]
        return [*sorted(firing, key=lambda alert: -alert.since), *self._past]

    async def run(self) -> None:
        """Check the rules again and again, until cancelled."""
        try:
            while True:
                await asyncio.sleep(self._settings().every)
                await self.check()
        finally:
            await self.webhooks.close()

    async def check(self, now: float | None = None) -> None:
        """Check every rule once.

        :param now: monotonic seconds; the clock's unless a test names them.
        """
        now = time.monotonic() if now is None else now
        with suppress(OSError):
            METRICS.disk_free.set(shutil.disk_usage(self._data).free)
        families = list(await asyncio.to_thread(lambda: list(self._families())))
        rules = self.rules()
        for name in [name for name in self._watches if name not in rules]:
            self._resolve(name, self._watches.pop(name), now)
        for name, rule in rules.items():
            watch = self._watches.setdefault(name, _Watch())
            value = _value(rule, selector(rule.metric), families, watch, now)
            if value is not None and rule.is_passed(value):
                if watch.passed_since is None:
                    watch.passed_since = now
                if watch.firing is None and now - watch.passed_since >= rule.seconds:
                    self._fire(name, rule, watch, value, now)
            else:
                watch.passed_since = None
                self._resolve(name, watch, now)

    def _fire(self, name: str, rule: AlertRule, watch: _Watch, value: float, now: float) -> None:
        watch.firing = Alert(name, rule.level, rule.words(value), time.time())
        watch.told = now >= watch.quiet_until
        if watch.told:
            watch.quiet_until = now + self._settings().quiet_seconds
            write = log.warning if rule.level in ("info", "warning") else log.error
            write("alert.fired", alert=name, level_of_alert=rule.level, message=watch.firing.message)
            self._tell(watch.firing)

    def _resolve(self, name: str, watch: _Watch, now: float) -> None:
        if (alert := watch.firing) is None:
            return
        watch.firing = None
        alert.resolved = time.time()
        self._past.appendleft(alert)
        if watch.told:
            log.info("alert.resolved", alert=name, seconds=round(alert.resolved - alert.since))
            self._tell(alert)

    def _tell(self, alert: Alert) -> None:
        for hook in self._settings().webhooks:
            if LEVELS.index(alert.level) >= LEVELS.index(hook.level):
                self.webhooks.send(hook, alert.name, alert.level, alert.message, resolved=bool(alert.resolved))


def _value(rule: AlertRule, wanted: Selector, families: Iterable[Metric], watch: _Watch, now: float) -> float | None:
    """Return what a rule looks at; None when there is no such metric yet."""
    values = [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == wanted.name and all(sample.labels.get(key) == text for key, text in wanted.labels)
    ]
    if not rule.per_minute:
        if not values:
            return None
        # Of several engines, the worst one counts.
        return max(values) if rule.above is not None else min(values)
    total = sum(values)
    while watch.counts and now - watch.counts[0][0] > 60:
        watch.counts.popleft()
    before = watch.counts[0][1] if watch.counts else total
    watch.counts.append((now, total))
    return max(0.0, total - before)

"""Watches the gate: approvals, mean risk, errors, the pattern memory and its consistency; raises alerts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("gate")

WINDOW = 200
"""Verdicts that the means are over."""
FEWEST = 50
"""Verdicts before a mean says anything."""
LIMITS = {"risk": 0.8, "errors": 0.1, "memory": 0.9, "consistency": 0.3}
"""Above these (consistency: below) an alert is raised."""
Level = Literal["info", "warning", "error", "critical"]


@dataclass(frozen=True)
class Alert:
    """Something an operator should know."""

    level: Level
    name: str
    message: str
    value: float = 0.0


class GateGuard:
    """The figures of one process, and the alerts that follow from them.

    The same alert is raised again only after its figure was in order meanwhile.
    """

    def __init__(self) -> None:
        self._listeners: list[Callable[[Alert], None]] = []
        self._risks: deque[float] = deque(maxlen=WINDOW)
        self._failed: deque[bool] = deque(maxlen=WINDOW)
        self._raised: set[str] = set()
        self.approved = self.rejected = self.blocked = self.suspicious = self.judged = 0
        self.would_block = self.would_allow = 0
        """What the shadow threshold would have changed."""
        self.memory_use = 0.0
        self.consistency = 1.0

    def subscribe(self, listener: Callable[[Alert], None]) -> None:
        """Call the listener with each alert from now on."""
        self._listeners.append(listener)

    def add(self, risk: float, *, stopped: bool, suspicious: bool, failed: bool) -> None:
        """Count a verdict."""
        self.judged += 1
        self.blocked += stopped
        self.suspicious += suspicious
        self._risks.append(risk)
        self._failed.append(failed)
        METRICS.gate_risk.set(self.mean_risk)
        self._compare("risk", self.mean_risk, "error", "mean risk of the last texts")
        self._compare("errors", self.error_rate, "critical", "share of texts at which a gate failed")

    def set_memory(self, use: float, consistency: float) -> None:
        """Take the figures of the pattern memory."""
        self.memory_use, self.consistency = use, consistency
        METRICS.gate_patterns.set(use)
        self._compare("memory", use, "info", "share of the pattern memory in use")
        self._compare("consistency", consistency, "warning", "distance of the safe patterns from the unsafe ones")

    def raise_alert(self, level: Level, name: str, message: str, value: float = 0.0) -> None:
        """Log an alert and hand it to the listeners."""
        method = {"info": log.info, "warning": log.warning, "error": log.error, "critical": log.critical}[level]
        method("gate.alert", name=name, message=message, value=round(value, 3))
        METRICS.gate_alerts.labels(name, level).inc()
        for listener in self._listeners:
            listener(Alert(level, name, message, value))

    @property
    def mean_risk(self) -> float:
        """Of the last texts, 0…1."""
        return sum(self._risks) / len(self._risks) if self._risks else 0.0

    @property
    def error_rate(self) -> float:
        """Share of the last texts at which a gate failed."""
        return sum(self._failed) / len(self._failed) if self._failed else 0.0

    def figures(self) -> dict[str, Any]:
        """Return all figures, for people."""
        names = ("judged", "blocked", "suspicious", "approved", "rejected", "would_block", "would_allow")
        return {name: getattr(self, name) for name in names} | {
            "mean_risk": round(self.mean_risk, 3),
            "error_rate": round(self.error_rate, 3),
            "memory_use": round(self.memory_use, 3),
            "consistency": round(self.consistency, 3),
            "alerts": sorted(self._raised),
        }

    def _compare(self, name: str, value: float, level: Level, what: str) -> None:
        limit = LIMITS[name]
        odd = value < limit if name == "consistency" else value > limit
        if name in ("risk", "errors") and len(self._risks) < FEWEST:
            odd = False
        if odd and name not in self._raised:
            self._raised.add(name)
            self.raise_alert(level, name, f"{what}: {value:.2f}, limit {limit}", value)
        elif not odd:
            self._raised.discard(name)

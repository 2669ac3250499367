"""The metrics of the server, for Prometheus."""

from __future__ import annotations

from functools import cache
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


M = TypeVar("M", Counter, Gauge, Histogram)


def _quick(metric: M) -> M:
    """Return a metric that remembers its children: `labels` is called several times in each turn, and it is slow."""
    metric.labels = cache(metric.labels)  # type: ignore[method-assign]
    return metric


class Metrics:
    """The process's metrics. `METRICS` is the one instance."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # Turns
        self.turns = self._counter("rfsn_turns", "Turns by outcome.", "outcome")
        self.actions = self._counter("rfsn_actions", "Chosen actions.", "action")
        self.latency = self._histogram(
            "rfsn_turn_latency_seconds", "From the arrival of the turn to each milestone.", "milestone"
        )
        self.active_turns = self._gauge("rfsn_active_turns", "Turns in progress.")
        self.conversations = self._gauge("rfsn_conversations", "Conversations in memory.")
        self.sentences = self._counter("rfsn_sentences", "Sentences by the gate's verdict.", "verdict")
        self.inputs = self._counter("rfsn_player_inputs", "Player texts by the gate's verdict.", "verdict")
        self.gate_decisions = self._counter("rfsn_gate_decisions", "Texts that waited for a person.", "outcome")
        self.gate_waiting = self._gauge("rfsn_gate_waiting", "Texts that wait for a person now.")
        self.gate_shadow = self._counter("rfsn_gate_shadow", "What the shadow threshold would have changed.", "change")
        self.gate_risk = self._gauge("rfsn_gate_mean_risk", "Mean risk of the last texts, 0…1.")
        self.gate_patterns = self._gauge("rfsn_gate_pattern_use", "Share of the pattern memory in use.")
        self.gate_alerts = self._counter("rfsn_gate_alerts", "Alerts of the gate.", "name", "level")
        self.drift = self._counter(
            "rfsn_state_drifts", "Turns in which the game's state of the NPC differed from the server's."
        )
        # Providers and plugins
        self.tokens = self._counter("rfsn_tokens", "Text chunks received from renderers.", "provider")
        self.engine_tokens = self._counter(
            "rfsn_engine_tokens", "Tokens of prompts and replies, as engines count them.", "kind"
        )
        self.final_json = self._counter("rfsn_final_json", "JSON reports at the end of replies, by outcome.", "outcome")
        self.errors = self._counter("rfsn_errors", "Errors by stage.", "stage")
        self.fallbacks = self._counter("rfsn_fallbacks", "Switches to a fallback provider.", "stage")
        self.retries = self._counter("rfsn_retries", "Retries of a request to a renderer.", "provider")
        self.breaker = self._gauge("rfsn_breaker_state", "0 closed, 1 half open, 2 open.", "stage", "provider")
        self.plugin_errors = self._counter("rfsn_plugin_errors", "Exceptions in hooks of plugins.", "plugin", "hook")
        # Speech
        self.speech = self._counter("rfsn_speech", "Sentences by the outcome of their speech.", "outcome")
        self.speech_queue = self._gauge("rfsn_speech_queue", "Sentences waiting for a voice.")
        self.speech_cache = self._counter(
            "rfsn_speech_cache", "Sentences looked up in the speech cache, by hit or miss.", "outcome"
        )
        self.audio_seconds = self._counter("rfsn_audio_seconds", "Seconds of speech that voices produced.")
        self.audio_dropped = self._counter("rfsn_audio_frames_dropped", "Audio frames dropped by policy.")
        self._describe_server()

    def _describe_server(self) -> None:
        """Create the metrics of connections, settings, learning and storage."""
        self.connections = self._gauge("rfsn_connections", "Open websockets.")
        self.requests = self._histogram("rfsn_request_seconds", "HTTP requests.", "path", "status")
        self.reloads = self._counter("rfsn_reloads", "Reloads by outcome.", "outcome")
        self.rewards = self._counter("rfsn_rewards", "Rewards accepted.", "signal")
        self.importance = Summary(
            "rfsn_importance_weight",
            "1 / (candidates x logged probability) of each drawn decision; the mean of a correct log is 1.",
            registry=self.registry,
        )
        self.updates = self._counter("rfsn_learning_updates", "Updates of policies by outcome.", "outcome")
        self.learning = self._gauge("rfsn_learning_state", "0 learning, 1 slowed, 2 frozen.")
        self.version_conflicts = self._counter(
            "rfsn_version_conflicts", "Turns to whose conversation another server appended first."
        )
        self.archived = self._counter("rfsn_archived_turns", "Turns written to the archive.")
        self.disk_free = self._gauge("rfsn_disk_free_bytes", "Room on the disk of the data folder.")
        self.waiting = self._gauge("rfsn_waiting_turns", "Turns in the log that wait for an unavailable store.")

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        return _quick(Counter(name, description, labels, registry=self.registry))

    def _gauge(self, name: str, description: str, *labels: str) -> Gauge:
        return _quick(Gauge(name, description, labels, registry=self.registry))

    def _histogram(self, name: str, description: str, *labels: str) -> Histogram:
        return _quick(Histogram(name, description, labels, registry=self.registry, buckets=_SECONDS))

    def text(self) -> bytes:
        """Return all metrics in the exposition format."""
        return generate_latest(self.registry)


METRICS = Metrics()

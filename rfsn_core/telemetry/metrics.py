"""The metrics of the server, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The process's metrics. `METRICS` is the one instance."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.turns = Counter("rfsn_turns", "Turns by outcome.", ["outcome"], registry=r)
        self.actions = Counter("rfsn_actions", "Chosen actions.", ["action"], registry=r)
        self.latency = Histogram(
            "rfsn_turn_latency_seconds",
            "From the arrival of the turn to each milestone.",
            ["milestone"],
            registry=r,
            buckets=_SECONDS,
        )
        self.tokens = Counter("rfsn_tokens", "Pieces of text received from renderers.", ["provider"], registry=r)
        self.sentences = Counter("rfsn_sentences", "Sentences by the gate's verdict.", ["verdict"], registry=r)
        self.inputs = Counter("rfsn_player_inputs", "Player texts by the gate's verdict.", ["verdict"], registry=r)
        self.errors = Counter("rfsn_errors", "Errors by stage.", ["stage"], registry=r)
        self.fallbacks = Counter("rfsn_fallbacks", "Times a fallback took over.", ["stage"], registry=r)
        self.retries = Counter("rfsn_retries", "Times a renderer was asked again.", ["provider"], registry=r)
        self.breaker = Gauge("rfsn_breaker_state", "0 closed, 1 half open, 2 open.", ["stage", "provider"], registry=r)
        self.final_json = Counter("rfsn_final_json", "Reports of models by outcome.", ["outcome"], registry=r)
        self.engine_tokens = Counter("rfsn_engine_tokens", "Tokens as engines count them.", ["kind"], registry=r)
        self.plugin_errors = Counter("rfsn_plugin_errors", "Hooks that raised.", ["plugin", "hook"], registry=r)
        self.audio_dropped = Counter("rfsn_audio_frames_dropped", "Audio frames dropped by policy.", registry=r)
        self.audio_seconds = Counter("rfsn_audio_seconds", "Seconds of speech made.", registry=r)
        self.speech_cache = Counter("rfsn_speech_cache", "Sentences by hit or miss.", ["outcome"], registry=r)
        self.connections = Gauge("rfsn_connections", "Open websockets.", registry=r)
        self.active_turns = Gauge("rfsn_active_turns", "Turns in progress.", registry=r)
        self.conversations = Gauge("rfsn_conversations", "Conversations in memory.", registry=r)
        self.speech = Counter("rfsn_speech", "Sentences by the outcome of their speech.", ["outcome"], registry=r)
        self.speech_queue = Gauge("rfsn_speech_queue", "Sentences waiting for a voice.", registry=r)
        self.reloads = Counter("rfsn_reloads", "Reloads by outcome.", ["outcome"], registry=r)
        self.requests = Histogram(
            "rfsn_request_seconds", "HTTP requests.", ["path", "status"], registry=r, buckets=_SECONDS
        )
        self.rewards = Counter("rfsn_rewards", "Rewards accepted.", ["signal"], registry=r)
        self.importance = Summary(
            "rfsn_importance_weight",
            "1 / (candidates x logged probability) of each drawn decision; the mean of a correct log is 1.",
            registry=r,
        )
        self.updates = Counter("rfsn_learning_updates", "Updates of policies by outcome.", ["outcome"], registry=r)
        self.learning = Gauge("rfsn_learning_state", "0 learning, 1 slowed, 2 frozen.", registry=r)
        self.drift = Counter(
            "rfsn_state_drifts", "Turns in which the game's state of the NPC differed from the server's.", registry=r
        )
        self.overtaken = Counter(
            "rfsn_overtaken_turns", "Turns with a version conflict: another server appended first.", registry=r
        )
        self.archived = Counter("rfsn_archived_turns", "Turns written to the archive.", registry=r)
        self.archive_lost = Counter("rfsn_archive_lost_turns", "Turns that will not be archived.", registry=r)
        self.spooled = Gauge("rfsn_spooled_turns", "Turns on disk that wait for the store.", registry=r)

    def text(self) -> bytes:
        """Return all metrics in the exposition format."""
        return generate_latest(self.registry)


METRICS = Metrics()

"""Write `deploy/grafana.json`, a dashboard for Grafana: import it and choose the Prometheus data source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PANELS = (
    ("Latency at p95", "s", {
        "{{milestone}}":
            "histogram_quantile(0.95, sum by (le, milestone) (rate(rfsn_turn_latency_seconds_bucket[5m])))",
    }),
    ("Turns", "short", {
        "{{outcome}} a minute": "sum by (outcome) (rate(rfsn_turns_total[1m])) * 60",
        "in progress": "sum(rfsn_active_turns)",
    }),
    ("Errors, fallbacks and retries a minute", "short", {
        "errors: {{stage}}": "sum by (stage) (rate(rfsn_errors_total[5m])) * 60",
        "fallbacks: {{stage}}": "sum by (stage) (rate(rfsn_fallbacks_total[5m])) * 60",
        "retries: {{provider}}": "sum by (provider) (rate(rfsn_retries_total[5m])) * 60",
    }),
    ("Circuit breakers: 2 is open", "short", {"{{stage}} {{provider}}": "rfsn_breaker_state"}),
    ("Queues", "short", {
        "sentences for a voice": "sum(rfsn_speech_queue)",
        "turns for the store": "sum(rfsn_waiting_turns)",
        "texts for a person": "sum(rfsn_gate_waiting)",
    }),
    ("What the gate did, a minute", "short", {
        "sentence: {{verdict}}": "sum by (verdict) (rate(rfsn_sentences_total[5m])) * 60",
        "player: {{verdict}}": "sum by (verdict) (rate(rfsn_player_inputs_total[5m])) * 60",
    }),
    ("Learning", "short", {
        "updates a minute: {{outcome}}": "sum by (outcome) (rate(rfsn_learning_updates_total[5m])) * 60",
        "state: 1 slowed, 2 frozen": "max(rfsn_learning_state)",
    }),
    ("Actions", "short", {"{{action}}": "sum by (action) (rate(rfsn_actions_total[5m])) * 60"}),
    ("Tokens a second", "short", {"{{kind}}": "sum by (kind) (rate(rfsn_engine_tokens_total[1m]))"}),
    ("Connections and conversations", "short", {
        "connections": "sum(rfsn_connections)", "conversations": "sum(rfsn_conversations)",
    }),
    ("Room on the disk", "bytes", {"free": "min(rfsn_disk_free_bytes)"}),
)  # fmt: skip
"""(title, unit, legend → query) of each panel."""


def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    source = {"type": "prometheus", "uid": "${source}"}
    panels = [
        {
            "id": number + 1, "type": "timeseries", "title": title, "datasource": source,
            "gridPos": {"h": 8, "w": 12, "x": 12 * (number % 2), "y": 8 * (number // 2)},
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "targets": [
                {"refId": chr(65 + index), "datasource": source, "expr": query, "legendFormat": legend}
                for index, (legend, query) in enumerate(queries.items())
            ],
        }
        for number, (title, unit, queries) in enumerate(PANELS)
    ]  # fmt: skip
    variable = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "title": "RFSN", "uid": "rfsn", "schemaVersion": 39, "refresh": "10s", "tags": ["rfsn"],
        "time": {"from": "now-1h", "to": "now"}, "templating": {"list": [variable]}, "panels": panels,
    }  # fmt: skip


if __name__ == "__main__":
    Path(__file__).with_suffix(".json").write_text(json.dumps(dashboard(), indent=1) + "\n", "utf-8")

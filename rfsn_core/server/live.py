"""`/ws/metrics`: figures of this process once a second. They are computed once, however many pages look on."""

from __future__ import annotations

import asyncio
import time
from collections import deque

import msgspec
from prometheus_client import Counter, Gauge
from starlette.websockets import WebSocket, WebSocketDisconnect

from rfsn_core.kernel import Kernel
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.telemetry.resident import resident_bytes

SECONDS = 1.0
MINUTE = 60


class Live:
    """The figures of one process."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._text, self._made = "", 0.0
        self._cpu = time.process_time()
        self._counts: deque[tuple[float, float, float]] = deque(maxlen=MINUTE + 1)

    async def serve(self, socket: WebSocket) -> None:
        """Serve one page until it goes."""
        await socket.accept()
        try:
            while True:
                await socket.send_text(self._now())
                try:
                    async with asyncio.timeout(SECONDS):
                        await socket.receive_text()
                except TimeoutError:
                    continue
        except (WebSocketDisconnect, RuntimeError, OSError):
            return

    def _now(self) -> str:
        now = time.monotonic()
        if now - self._made >= SECONDS * 0.9:
            self._text = self._figures(now - self._made, now)
            self._made = now
        return self._text

    def _figures(self, passed: float, now: float) -> str:
        turns, latency = self._kernel.turns, self._kernel.turns.last_latency
        cpu, memory = time.process_time(), resident_bytes()
        used, self._cpu = cpu - self._cpu, cpu
        total, errors = _sum(METRICS.turns), _sum(METRICS.errors)
        self._counts.append((now, total, errors))
        then = next((count for count in self._counts if now - count[0] <= MINUTE), self._counts[-1])
        figures = {
            "first_token_ms": latency.first_token,
            "first_sentence_ms": latency.first_sentence,
            "first_audio_ms": latency.first_audio,
            "total_generation_ms": latency.total,
            "tts_queue_size": turns.sentences_waiting,
            "dropped_sentences": turns.sentences_dropped,
            "active_turns": turns.active,
            "turns": int(total),
            "turns_per_minute": total - then[1],
            "errors_per_minute": errors - then[2],
            "waiting_turns": _sum(METRICS.waiting),
            "connections": _sum(METRICS.connections),
            "cpu_percent": round(100 * used / passed, 1) if len(self._counts) > 1 else None,
            "memory_mb": None if memory is None else round(memory / 1e6, 1),
        }
        return msgspec.json.encode(figures).decode()


def _sum(metric: Counter | Gauge) -> float:
    samples = (sample for family in metric.collect() for sample in family.samples)
    return sum(sample.value for sample in samples if not sample.name.endswith("_created"))

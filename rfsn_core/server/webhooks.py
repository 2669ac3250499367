"""Webhooks: alerts as JSON to an address, in Slack's format or plain, tried again when that fails."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx

from rfsn_core.settings.alerts import WebhookSettings
from rfsn_core.telemetry.logs import logger

log = logger("alerts")

MOST_WAITING = 100
ATTEMPTS = 5
SIGNS = {"info": "ℹ️", "warning": "⚠️", "error": "🔴", "critical": "🚨"}


class Webhooks:
    """Sends messages, each in a task of its own, so that a slow receiver delays nothing.

    :param origin: what the messages name as their sender.
    """

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._tasks: set[asyncio.Task[None]] = set()
        self.pause = 1.0
        """Seconds before the second attempt; each further one waits four times as long."""

    def send(self, hook: WebhookSettings, name: str, level: str, message: str, *, resolved: bool) -> None:
        """Send an alert, later. When too many wait, it is dropped and logged."""
        if len(self._tasks) >= MOST_WAITING:
            log.warning("webhook.dropped", alert=name, hint="The receivers do not answer")
            return
        body = _body(hook.format, self._origin, name, level, message, resolved)
        task = asyncio.create_task(self._deliver(hook.webhook, body, name), name="webhook")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, address: str, body: dict[str, Any], name: str) -> None:
        problem = ""
        async with httpx.AsyncClient(timeout=10) as client:
            for attempt in range(ATTEMPTS):
                if attempt:
                    await asyncio.sleep(self.pause * 4 ** (attempt - 1))
                try:
                    answer = await client.post(address, json=body)
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    problem = repr(error)
                    continue
                if answer.is_success:
                    return
                problem = f"the receiver answered {answer.status_code}"
                if answer.is_client_error and answer.status_code not in (408, 429):
                    break
        log.error("webhook.failed", alert=name, error=problem)

    async def close(self) -> None:
        """Give what is on its way a moment, then cancel it."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        for task in self._tasks:
            task.cancel()


def _body(form: str, origin: str, name: str, level: str, message: str, resolved: bool) -> dict[str, Any]:
    if form == "slack":
        sign = "✅" if resolved else SIGNS[level]
        what = "resolved" if resolved else level
        return {"text": f"{sign} *{name}* ({what}) in {origin}: {message}"}
    return {
        "source": origin, "alert": name, "level": level, "state": "resolved" if resolved else "firing",
        "message": message, "time": time.time(),
    }  # fmt: skip

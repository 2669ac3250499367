"""Alerts: rules over metrics, the log, and webhooks to a receiver that is really there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge
from pydantic import ValidationError
from structlog.testing import capture_logs

from rfsn_core.server.alerts import BUILT_IN, Alerts
from rfsn_core.settings.alerts import AlertRule, AlertSettings, WebhookSettings, selector
from rfsn_core.settings.trust import judge
from rfsn_core.telemetry import logs
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.testing import make_world, served


class Receiver:
    """An HTTP server that answers each request with the next status, and keeps the bodies."""

    def __init__(self, statuses: list[int]) -> None:
        self.statuses, self.bodies, self.port = statuses, list[Any](), 0
        self.arrived = asyncio.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/T000/B000/hidden"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split("\r\n")[0])
        self.bodies.append(json.loads(await reader.readexactly(length)))
        status = self.statuses.pop(0) if self.statuses else 200
        writer.write(f"HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        self.arrived.set()

    async def until(self, count: int) -> None:
        while len(self.bodies) < count:
            self.arrived.clear()
            await self.arrived.wait()


@asynccontextmanager
async def receiving(*statuses: int) -> AsyncIterator[Receiver]:
    receiver = Receiver(list(statuses))
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    async with server:
        receiver.port = server.sockets[0].getsockname()[1]
        yield receiver


def watching(tmp_path: Path, registry: CollectorRegistry, **settings: Any) -> Alerts:
    chosen = AlertSettings(built_in=False, **settings)
    alerts = Alerts(lambda: chosen, registry.collect, tmp_path, "RFSN test")
    alerts.webhooks.pause = 0.001
    return alerts


async def test_a_rule_fires_after_its_time_and_resolves_and_slack_is_told_of_both(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    queue = Gauge("waiting", "x", ["of"], registry=registry)
    async with receiving(503, 429) as receiver:
        alerts = watching(
            tmp_path, registry,
            rules={"full": AlertRule(metric='waiting{of="voice"}', above=5, seconds=20, level="error")},
            webhooks=[WebhookSettings(webhook=receiver.address, format="slack", level="error")],
        )  # fmt: skip
        queue.labels("store").set(100)
        queue.labels("voice").set(6)
        with capture_logs() as lines:
            await alerts.check(0)
            await alerts.check(19)
            assert alerts.shown() == []
            await alerts.check(20)
            (alert,) = alerts.shown()
            assert alert.message == 'waiting{of="voice"} is 6, above 5 for 20 s'
            await alerts.check(30)  # still: told once
            await receiver.until(3)  # two refusals, then it is taken
            queue.labels("voice").set(5)
            await alerts.check(40)
            await receiver.until(4)
        assert alerts.shown()[0].resolved
        assert [line["event"] for line in lines] == ["alert.fired", "alert.resolved"]
        assert receiver.bodies[2]["text"].startswith("🔴 *full* (error) in RFSN test: waiting")
        assert receiver.bodies[3]["text"].startswith("✅ *full* (resolved)")
        await alerts.webhooks.close()


async def test_a_value_that_goes_up_and_down_is_told_once(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    value = Gauge("v", "x", registry=registry)
    async with receiving() as receiver:
        alerts = watching(
            tmp_path, registry, quiet_seconds=100,
            rules={"r": AlertRule(metric="v", below=1, seconds=0)},
            webhooks=[WebhookSettings(webhook=receiver.address)],
        )  # fmt: skip
        for moment in range(10):
            value.set(moment % 2)
            await alerts.check(moment)
        await receiver.until(2)
        value.set(0)
        await alerts.check(101)
        await receiver.until(3)
        await alerts.webhooks.close()
    assert [body["state"] for body in receiver.bodies] == ["firing", "resolved", "firing"]
    assert receiver.bodies[0]["alert"] == "r"


async def test_a_rate_is_the_increase_of_the_last_minute(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    counter = Counter("failed", "x", registry=registry)
    alerts = watching(
        tmp_path, registry, rules={"r": AlertRule(metric="failed_total", per_minute=True, above=4, seconds=0)}
    )
    counter.inc(1000)
    await alerts.check(0)
    counter.inc(4)
    await alerts.check(30)
    assert alerts.shown() == []
    counter.inc(1)
    await alerts.check(40)
    assert [alert.resolved for alert in alerts.shown()] == [0]
    await alerts.check(110)
    assert alerts.shown()[0].resolved


async def test_a_receiver_that_refuses_is_not_asked_again(tmp_path: Path) -> None:
    async with receiving(404, 200) as receiver:
        registry = CollectorRegistry()
        Gauge("v", "x", registry=registry).set(9)
        hook = WebhookSettings(webhook=receiver.address)
        alerts = watching(tmp_path, registry, rules={"r": AlertRule(metric="v", above=1, seconds=0)}, webhooks=[hook])
        with capture_logs() as lines:
            await alerts.check()
            await asyncio.wait(alerts.webhooks._tasks, timeout=5)
    assert len(receiver.bodies) == 1
    assert lines[-1]["event"] == "webhook.failed"
    assert "404" in lines[-1]["error"]
    assert "hidden" not in str(lines)


def test_the_built_in_rules_name_metrics_that_exist() -> None:
    names = {family.name for family in METRICS.registry.collect()}
    for rule in BUILT_IN.values():
        assert selector(rule.metric).name.removesuffix("_total") in names, rule.metric


@pytest.mark.parametrize(
    "rule",
    [
        {"metric": "no metric", "above": 1},
        {"metric": "m{x=1}", "above": 1},
        {"metric": "m"},
        {"metric": "m", "above": 1, "below": 0},
    ],
)
def test_a_rule_that_cannot_work_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AlertRule(**rule)


async def test_alerts_settings_and_levels_over_http(tmp_path: Path) -> None:
    rules = {"always": {"metric": "rfsn_connections", "below": 1e9, "seconds": 0}}
    alerts = {
        "every": 0.01,
        "rules": rules,
        "webhooks": [{"webhook": "https://hooks.example/T0/secret", "level": "critical"}],
    }
    async with (
        served(tmp_path, settings={"operations": {"alerts": alerts}, "server": {"key": "sekret"}}) as server,
        httpx.AsyncClient(base_url=server.http, headers={"Authorization": "Bearer sekret"}) as http,
    ):
        fired: list[Any] = []
        while not fired:
            fired = (await http.get("/api/alerts")).json()["alerts"]
        assert fired[0]["name"] == "always"
        text = (await http.get("/api/settings")).text
        assert "T0/secret" not in text
        assert '"sekret"' not in text
        listed = {entry["key"]: entry for entry in json.loads(text)["settings"]}
        assert listed["server.key"]["value"] == "(set)"
        assert listed["operations.alerts.every"] == {
            "key": "operations.alerts.every", "value": 0.01, "changed": True, "about": "Seconds between two checks.",
        }  # fmt: skip
        answer = await http.post("/api/logs", json={"component": "alerts", "level": "error"})
        assert answer.json()["components"]["alerts"] == "error"
        assert (await http.post("/api/logs", json={"component": "nothing", "level": "error"})).status_code == 400
    logs.set_level("alerts", "info")


def test_a_world_may_not_send_alerts_elsewhere_before_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RFSN_TRUST")
    world = make_world(tmp_path, '[[operations.alerts.webhooks]]\nwebhook = "https://evil.example/x"\n')
    assert [risk.name for risk in judge(world).left_out] == ["rfsn.toml: operations.alerts.webhooks"]


def test_a_component_has_a_level_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("warning", "json", {"alerts": "debug"})
    logs.logger("alerts").debug("alert.fired")
    logs.logger("server").info("quiet")
    told = capsys.readouterr().err
    assert "alert.fired" in told
    assert "quiet" not in told
    logs.configure("info")
    assert logs.levels()["alerts"] == "info"

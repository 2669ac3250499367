"""Health, metrics, tuning, memory, rewards, and turns over server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from rfsn_core import protocol
from rfsn_core.contract.stages import STAGES
from rfsn_core.testing import NPC, Served, plugin, served
from rfsn_core.testing.client import connected, kind
from rfsn_core.testing.scripted import Memory, Tokens, Tone


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, plugin(rendering={"t": Tokens(["One. ", "Two."])})) as server:
        yield server


@pytest.fixture
async def http(server: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.http) as http:
        yield http


def lines(body: str) -> list[Any]:
    return [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: ")]


@pytest.mark.parametrize("path", ["/chat", "/api/dialogue/stream"])
async def test_a_turn_streams_its_sentences(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.post(path, json={"npc_name": NPC, "user_input": "Hello"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = lines(answer.text)
    assert [(line["sentence"], line["is_final"]) for line in told] == [("One.", False), ("Two.", False), ("", True)]
    assert all(set(line) == {"sentence", "is_final", "latency_ms"} and line["latency_ms"] > 0 for line in told)


BAD_REQUESTS = [
    (b"", 400, "bad_message"),
    (b"{", 400, "bad_message"),
    (b"[]", 400, "bad_message"),
    (b'{"npc_name": "smith"}', 400, "bad_message"),
    (b'{"npc_name": "smith", "user_input": ""}', 400, "bad_message"),
    (b'{"npc_name": "smith", "user_input": 1}', 400, "bad_message"),
    (b'{"npc_name": "smith", "user_input": "Hi", "nope": 1}', 400, "bad_message"),
    (b'{"npc_name": "smith", "user_input": "Hi", "state": 1}', 400, "bad_message"),
    (b'{"npc_name": "nobody", "user_input": "Hi"}', 404, "unknown_npc"),
    (b'{"npc_name": "smith", "user_input": "' + b"a" * 5000 + b'"}', 400, "bad_message"),
    (b'{"npc_name": "smith", "user_input": "' + b"a" * 1_000_000 + b'"}', 400, "too_long"),
    (b'{"npc_name": "smith", "user_input": "\xff"}', 400, "bad_message"),
    (b'{"npc_name": "smith", "user_input": "Hi", "state": ' + b"[" * 100_000 + b"}", 400, "bad_message"),
]


async def test_bad_requests_get_a_typed_error(http: httpx.AsyncClient) -> None:
    for body, status, code in BAD_REQUESTS:
        answer = await http.post("/chat", content=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), body[:100]
        assert answer.json()["error"]["message"]


async def test_a_reader_who_leaves_stops_the_turn(tmp_path: Path) -> None:
    renderer = Tokens(["One. "] + ["word "] * 1000, interval=0.005)
    async with served(tmp_path, plugin(rendering={"t": renderer})) as server:
        async with (
            httpx.AsyncClient(base_url=server.http) as http,
            http.stream("POST", "/chat", json={"npc_name": NPC, "user_input": "Hello"}) as answer,
        ):
            async for line in answer.aiter_lines():
                if line:
                    break
        async with asyncio.timeout(5):
            while renderer.running:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert renderer.stopped == 1


async def test_health_names_every_component(http: httpx.AsyncClient) -> None:
    assert (await http.get("/health")).json()["status"] == "ok"
    told = (await http.get("/api/health")).json()
    assert told["status"] == "ok"
    assert set(told["components"]) == set(STAGES) - {"archive"}  # which the settings do not choose
    assert told["components"]["rendering"] == {"status": "ok", "providers": ["t", "scripted"]}
    assert told["npcs"] == [NPC]


async def test_health_tells_when_the_store_is_away(tmp_path: Path) -> None:
    store = Memory()
    async with served(tmp_path, plugin(storage={"m": store})) as server, httpx.AsyncClient() as http:
        store.away = True
        answer = await http.get(server.http + "/api/health")
    assert answer.status_code == 503
    assert answer.json()["components"]["storage"]["reason"] == "the store failed; the server's log says why"


async def test_metrics_count_what_happened(server: Served, http: httpx.AsyncClient) -> None:
    async with connected(server.ws) as client:
        await client.turn(NPC)
    text = (await http.get("/metrics")).text
    for name in ("rfsn_turn_latency_seconds", "rfsn_tokens_total", "rfsn_sentences_total", "rfsn_active_turns"):
        assert name in text
    assert (await http.get("/metrics")).headers["content-type"].startswith("text/plain; version=0.0.4")
    await http.get("/no/such/path")
    assert "no/such" not in (await http.get("/metrics")).text  # no client invents labels


async def test_live_metrics_follow_the_turns(tmp_path: Path) -> None:
    async with served(tmp_path, plugin(rendering={"t": Tokens()}, speech={"v": Tone()})) as server:
        async with connect(server.ws.replace("/v1/ws", "/ws/metrics")) as live, connected(server.ws) as client:
            before = json.loads(await live.recv())
            await client.turn(NPC)
            after = json.loads(await live.recv())
    fields = {"first_token_ms", "first_sentence_ms", "total_generation_ms", "tts_queue_size", "dropped_sentences"}
    assert fields <= set(before)
    assert before["first_token_ms"] is None
    assert 0 < after["first_token_ms"] <= after["first_sentence_ms"] <= after["total_generation_ms"]


async def test_tuning_applies_from_the_next_turn(tmp_path: Path) -> None:
    class Options(Tokens):
        seen: Any = None

        def render(self, prompt: Any, options: Any) -> Any:
            self.seen = options
            return super().render(prompt, options)

    renderer = Options()
    async with (
        served(tmp_path, plugin(rendering={"t": renderer})) as server,
        httpx.AsyncClient(base_url=server.http) as http,
        connected(server.ws) as client,
    ):
        answer = await http.post("/api/tune-performance", json={"temperature": 0.2, "max_queue_size": 7})
        assert answer.json() == {"temperature": 0.2, "max_tokens": None, "max_queue_size": 7}
        assert (await http.post("/api/tune-performance", json={})).json()["max_queue_size"] == 7
        await http.post("/api/tune-performance", json={"max_tokens": 90})
        await client.turn(NPC)
        assert (renderer.seen.temperature, renderer.seen.max_tokens) == (0.2, 90)
        refused: tuple[Any, ...] = ({"temperature": 3}, {"max_tokens": 0}, {"max_queue_size": 0}, {"speed": 1}, [])
        for bad in refused:
            assert (await http.post("/api/tune-performance", json=bad)).status_code == 400


async def test_an_npc_is_reset_after_a_backup(server: Served, http: httpx.AsyncClient) -> None:
    async with connected(server.ws) as client:
        await client.turn(NPC)
        assert (await http.get(f"/api/memory/{NPC}/stats")).json()["turns"] == 1
        backup = (await http.post(f"/api/memory/{NPC}/safe_reset")).json()["backup"]
        assert (await http.get(f"/api/memory/{NPC}/stats")).json()["turns"] == 0
        assert backup["name"] in [b["name"] for b in (await http.get(f"/api/memory/{NPC}/backups")).json()["backups"]]
        assert (await http.get("/api/memory/nobody/stats")).status_code == 404


async def test_rewards_over_http(server: Served, http: httpx.AsyncClient) -> None:
    async with connected(server.ws) as client:
        got = await client.turn(NPC)
    decision = next(item for item in got if isinstance(item, protocol.Decision)).decision_id
    taken = await http.post("/api/rewards", json={"decision_id": decision, "signal": "user_correction"})
    answer = {"type": "reward.accepted", "decision_id": decision, "value": -0.5, "duplicate": False, "quarantined": ""}
    assert taken.json() == answer
    unknown = await http.post("/api/rewards", json={"decision_id": "x", "value": 1})
    assert unknown.json()["quarantined"] == "no such decision"
    refused: tuple[Any, ...] = ({"decision_id": decision}, {"decision_id": decision, "value": 2}, {"value": 1}, [], 1)
    for bad in refused:
        assert (await http.post("/api/rewards", json=bad)).status_code == 400


async def test_web_pages_from_elsewhere_are_kept_out(http: httpx.AsyncClient) -> None:
    for path in ("/", "/api/health", "/metrics", "/static/page.mjs"):
        assert (await http.get(path, headers={"Origin": "https://evil.example"})).status_code == 403
        assert (await http.get(path, headers={"Host": "rebound.example"})).status_code == 421
        assert (await http.get(path)).status_code == 200
    answer = await http.post("/chat", json={}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403


async def test_a_key_guards_everything_but_the_bare_page(tmp_path: Path) -> None:
    async with (
        served(tmp_path, settings={"server": {"key": "k"}}) as server,
        httpx.AsyncClient(base_url=server.http) as http,
    ):
        for path, status in {"/": 200, "/health": 200, "/api/health": 401, "/metrics": 401}.items():
            assert (await http.get(path)).status_code == status
        assert (await http.post("/chat", json={})).status_code == 401
        assert (await http.get("/metrics", headers={"Authorization": "Bearer wrong"})).status_code == 401
        assert (await http.get("/metrics", headers={"Authorization": "Bearer k"})).status_code == 200


async def test_plugins_add_routes_below_their_own_name(tmp_path: Path) -> None:
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    def routes() -> Any:
        yield Route("/hello", lambda request: PlainTextResponse("hello"))

    name, given = plugin({"rfsn_routes": routes})
    async with served(tmp_path, (name, given)) as server, httpx.AsyncClient(base_url=server.http) as http:
        assert (await http.get(f"/plugins/{name}/hello")).text == "hello"


async def test_decisions_can_be_looked_up(server: Served, http: httpx.AsyncClient) -> None:
    async with connected(server.ws) as client:
        got = await client.turn(NPC)
    decision = next(item for item in got if isinstance(item, protocol.Decision))
    await http.post("/api/rewards", json={"decision_id": decision.decision_id, "value": 0.5})
    told = (await http.get(f"/api/decisions/{decision.decision_id}")).json()
    assert told["decision"]["action"]["chosen"] == decision.action
    assert [reward["value"] for reward in told["rewards"]] == [0.5]
    listed = (await http.get("/api/decisions", params={"npc": NPC, "limit": 5})).json()["decisions"]
    assert [record["decision_id"] for record in listed] == [decision.decision_id]
    assert (await http.get("/api/decisions", params={"npc": "other"})).json()["decisions"] == []
    assert (await http.get("/api/decisions/unknown")).status_code == 404
    assert (await http.get("/api/decisions", params={"limit": "many"})).status_code == 400


async def test_an_operator_freezes_unfreezes_and_rolls_back(tmp_path: Path) -> None:
    async with (
        served(tmp_path, settings={"learning": {"cooldown": 0}}) as server,
        httpx.AsyncClient(base_url=server.http) as http,
        connected(server.ws) as client,
    ):
        assert (await http.get("/api/learning")).json()["state"] == "learning"
        frozen = (await http.post("/api/learning", json={"action": "freeze", "reason": "a test"})).json()
        assert (frozen["state"], frozen["reason"]) == ("frozen", "a test")
        (told,) = await client.until("learning.changed")
        assert isinstance(told, protocol.LearningChanged)
        assert (told.state, told.reason) == ("frozen", "a test")
        assert "rfsn_learning_state 2.0" in (await http.get("/metrics")).text
        assert (await http.post("/api/learning", json={"action": "unfreeze"})).json()["state"] == "learning"
        for bad in ({"action": "rollback", "checkpoint": "no"}, {"action": "dance"}, {}):
            assert (await http.post("/api/learning", json=bad)).status_code == 400


async def test_what_would_be_asked(tmp_path: Path) -> None:
    async with served(tmp_path) as server, httpx.AsyncClient(base_url=server.http) as http:
        answer = await http.post("/api/prompt", json={"npc": "smith", "text": "Where is the ferry?"})
        assert answer.status_code == 200
        made = answer.json()
        assert "Where is the ferry?" in made["messages"][1]["content"]
        assert made["tokens"] > 0
        assert (await http.get("/api/decisions")).json()["decisions"] == []
        for wrong, status in (({"npc": "nobody", "text": "x"}, 404), ({"npc": "smith"}, 400), ({"text": "x"}, 400)):
            assert (await http.post("/api/prompt", json=wrong)).status_code == status


async def test_a_voice_that_is_left_alone_is_told(tmp_path: Path) -> None:
    offered = plugin(speech={"broken": Tone(fail_after=0)})
    settings = {"speech": {"provider": "broken", "breaker_failures": 1}}
    async with served(tmp_path, offered, settings=settings) as server, httpx.AsyncClient(base_url=server.http) as http:
        async with connected(server.ws) as client:
            got = await client.turn("smith")
        assert any(kind(item) == "engine.changed" for item in got)
        health = await http.get("/api/health")
        assert (health.status_code, health.json()["status"]) == (200, "degraded")
        (broken,) = health.json()["components"]["speech"]["broken"]
        assert (broken["provider"], broken["state"]) == ("broken", "open")
        assert broken["reason"] == "it failed"

"""Engines that fail, are swapped, and come back, as players see it: over the socket of a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import rfsn_llm_vllm
from click.testing import CliRunner

from rfsn_core import protocol
from rfsn_core.cli import main
from rfsn_core.testing import make_world, served
from rfsn_core.testing.client import Client, connected, kind
from rfsn_core.testing.engine import Fault, StandIn
from rfsn_core.testing.process import Server

Serve = Callable[..., Server]
PLUGIN = ("llm_vllm", rfsn_llm_vllm)
WORDS = ["Good ", "evening, ", "traveller. ", "The ", "ferry ", "is ", "late.\n", 'FINAL_JSON {"action": "greet"}']


def vllm(engine: StandIn, *, more: str = "") -> str:
    return (
        f'[rendering]\nprovider = "vllm"\nretry_seconds = 0.01\n{more}\n[rendering.vllm]\nurl = "{engine.url}/v1"\n'
        '[speech]\nprovider = "silent"\n'
    )


async def finished(client: Client, number: int, text: str = "Good evening!") -> protocol.TurnFinished:
    got = await client.turn("smith", text, player=f"p{number}")
    assert isinstance(got[-1], protocol.TurnFinished), got[-1]
    return got[-1]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("refuse", status=500),
        Fault("refuse", status=401),
        Fault("refuse", status=429, retry_after=60),
        Fault("drop"),
        Fault("empty"),
        Fault("stall"),
        Fault("slow", seconds=5),
        Fault("cut", after=1),
        Fault("error", after=1),
        Fault("garbage"),
        Fault("bytes", content=b"data: \xff\xfe\n\n"),
        Fault("bytes", content=b"data: {}\n\ndata: [1]\n\n"),
        Fault("bytes", content=b"x" * 100_000 + b"\n\ndata: [DONE]\n\n"),
    ],
    ids=repr,
)
async def test_whatever_the_engine_does_the_npc_speaks(tmp_path: Path, fault: Fault) -> None:
    with StandIn(WORDS) as engine:
        engine.always = fault
        more = "attempts = 2\n[operations]\nfirst_token_timeout = 0.5\ntoken_timeout = 0.5"
        make_world(tmp_path, vllm(engine, more=more))
        async with served(tmp_path, PLUGIN) as server, connected(server.ws) as client:
            got = await client.turn("smith")
    last = got[-1]
    assert isinstance(last, protocol.TurnFinished)
    assert last.renderer == "scripted"
    assert last.text
    switched = next(item for item in got if isinstance(item, protocol.RendererSwitched))
    assert (switched.failed, switched.next) == ("vllm", "scripted")
    assert switched.reason


@pytest.mark.parametrize(
    "words",
    [
        ["  \n", "\t"],
        ['FINAL_JSON {"action": "greet"}'],
        ["<think>", "I should greet."],
        ["x" * 100_000],
        ["assistant: ", "Good evening."],
        ["Berit: Good evening."],
        ["player: Good evening."],
        ["<|im_start|>assistant\nGood evening.<|im_end|>"],
    ],
    ids=lambda words: repr(words)[:30],
)
async def test_whatever_the_model_says_only_words_come_through(tmp_path: Path, words: list[str]) -> None:
    with StandIn(words) as engine:
        make_world(tmp_path, vllm(engine))
        async with served(tmp_path, PLUGIN) as server, connected(server.ws) as client:
            last = await finished(client, 0)
    assert last.text
    for mark in ("FINAL", "{", "<", "think", "assistant", "Berit:", "player:"):
        assert mark not in last.text
    assert (last.reason == "too_long") == (words == ["x" * 100_000])


@pytest.mark.attack
async def test_an_engine_killed_with_a_hundred_turns_in_flight(serve: Serve, tmp_path: Path) -> None:
    # Slow enough for all of them to be in flight at once, also on a busy machine.
    with StandIn(WORDS, interval=2) as engine:
        server = serve(world=make_world(tmp_path / "world", vllm(engine, more="breaker_seconds = 0.5")))
        async with connected(server.ws) as watcher, connected(server.ws) as client:
            for number in range(60):
                await client.send("turn", npc="smith", text="Good evening!", player=f"p{number}", turn_id=f"t{number}")
            async with connected(server.ws) as second:
                for number in range(60, 100):
                    await second.send(
                        "turn", npc="smith", text="Good evening!", player=f"p{number}", turn_id=f"t{number}"
                    )
                await engine.until(running=100, seconds=20)
                await asyncio.to_thread(engine.stop)
                engine.interval = 0
                ends: list[Any] = []
                async with asyncio.timeout(20):
                    for each, count in ((client, 60), (second, 40)):
                        mine: list[Any] = []
                        while len(mine) < count:
                            item = await each.receive()
                            if kind(item) in ("turn.finished", "turn.failed", "turn.cancelled"):
                                mine.append(item)
                        ends += mine
            assert len({end.turn_id for end in ends}) == 100
            assert all(isinstance(end, protocol.TurnFinished) and end.text for end in ends)
            # What was said before stands; who had said nothing yet is worded by hand.
            assert {(end.renderer, end.reason) for end in ends} <= {
                ("vllm", "renderer_failed"),
                ("scripted", "complete"),
            }
            await watcher.until("engine.changed")
            async with httpx.AsyncClient(base_url=server.http) as http:
                assert 'rfsn_breaker_state{provider="vllm",stage="rendering"} 2.0' in (await http.get("/metrics")).text
                answer = await http.get("/api/health")
                health = answer.json()
                assert (answer.status_code, health["status"]) == (200, "degraded")
                assert health["components"]["rendering"]["broken"][0]["provider"] == "vllm"
                assert (await finished(watcher, 0)).renderer == "scripted"
                engine.restart()
                async with asyncio.timeout(10):
                    while (await finished(watcher, 0)).renderer != "vllm":  # noqa: ASYNC110  its breaker's time
                        await asyncio.sleep(0.1)
                assert 'rfsn_breaker_state{provider="vllm",stage="rendering"} 0.0' in (await http.get("/metrics")).text
                assert (await http.get("/api/health")).json()["status"] == "ok"


@pytest.mark.attack
async def test_swapping_the_renderer_while_fifty_talk_loses_none(serve: Serve, tmp_path: Path) -> None:
    with StandIn(WORDS, interval=0.01) as engine:
        scripted = '[rendering]\nprovider = "scripted"\n[rendering.scripted]\nwords_per_second = 200\n'
        scripted += '[speech]\nprovider = "silent"\n[server]\nmessages_per_second = 10000\n'
        world = make_world(tmp_path / "world", scripted)
        server = serve(world=world)
        stop = asyncio.Event()
        seen: list[list[str]] = []

        async def talk(number: int) -> None:
            renderers: list[str] = []
            seen.append(renderers)
            async with connected(server.ws) as client:
                while not stop.is_set():
                    renderers.append((await finished(client, number)).renderer)

        talking = [asyncio.create_task(talk(number)) for number in range(50)]
        async with asyncio.timeout(60):
            for settings in (vllm(engine), scripted, vllm(engine)):
                await asyncio.sleep(0.5)
                (world / "rfsn.toml").write_text(settings, "utf-8")
                wanted = "scripted" if settings == scripted else "vllm"
                while not all(each and each[-1] == wanted for each in seen):
                    assert not any(task.done() for task in talking), [task for task in talking if task.done()]
                    await asyncio.sleep(0.05)
            stop.set()
            await asyncio.gather(*talking)
        assert all({"scripted", "vllm"} == set(each) for each in seen)
        assert engine.running == 0


async def test_each_kind_of_npc_has_its_adapter_and_the_command_shows_them(tmp_path: Path) -> None:
    for archetype in ("vampire", "zombie"):
        folder = tmp_path / "adapters" / archetype / "dialogue_style"
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_bytes(b"x" * 2_000_000)
    kinds = {"vlad": "vampire", "bob": "zombie"}
    people = {name: f'name = "{name}"\narchetype = "{kind}"\n' for name, kind in kinds.items()}
    with StandIn(WORDS) as engine:
        make_world(tmp_path, vllm(engine) + "[rendering.vllm.adapters]\nenabled = true\n", people)
        async with served(tmp_path, PLUGIN) as server, connected(server.ws) as client:
            for name in ("vlad", "bob", "vlad"):
                (*_, last) = await client.turn(name)
                assert isinstance(last, protocol.TurnFinished)
                assert last.renderer == "vllm"
            shown = await asyncio.to_thread(CliRunner().invoke, main, ["adapters", "--url", server.http])
    assert engine.loads == ["vampire-dialogue_style", "zombie-dialogue_style"]
    assert shown.exit_code == 0, shown.output
    (row,) = [line.split() for line in shown.output.splitlines() if line.startswith("vampire-dialogue_style")]
    assert row[1:5] == ["2.0", "2", "0", "vlad"]


async def test_barge_in_stops_the_engine(serve: Serve, tmp_path: Path) -> None:
    with StandIn(["word. "] * 1000, interval=0.02) as engine:
        server = serve(world=make_world(tmp_path / "world", vllm(engine)))
        async with connected(server.ws) as client:
            await client.send("turn", npc="smith", text="Tell me everything.", turn_id="t1")
            await client.until("sentence")
            await client.send("cancel", turn_id="t1")
            await client.until("turn.cancelled")
            await engine.until(running=0)
        assert len(engine.closed) == 1

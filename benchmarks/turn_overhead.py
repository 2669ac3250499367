"""The cost of a turn without model and voice: its CPU, and the delay from the end of a sentence to the voice.

    uv run benchmarks/turn_overhead.py                       # a minute and a half
    uv run --with pipecat-ai benchmarks/turn_overhead.py --peer pipecat

A renderer sends 22 tokens in 3 sentences at 20 tokens a second. The voice makes no sound and notes when it is called.
Everything else is real: server, socket, decision, gate, SQLite. The client is a separate process.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import uvicorn
from script import TOKENS, called, delays, ended, lateness, p95, said, spoke, spread, stagger, tokens
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from rfsn_core import protocol
from rfsn_core.contract.rendering import Prompt, RenderOptions
from rfsn_core.contract.speech import Speech, VoiceStyle
from rfsn_core.kernel import conversation
from rfsn_core.server.collector import Collector
from rfsn_core.testing import NPC, Served, kernel, plugin, served
from rfsn_core.testing.client import connected
from rfsn_core.testing.scripted import Memory

INTERVAL = 1 / 20
PER_SOCKET = 50
AT_ONCE = 25
TURNS_TOGETHER = 20
"""Turns of a conversation; then somebody else comes."""
TARGETS_MS = {1: 2, 100: 5, 300: 20, 1000: 50}


class Paced:
    """A renderer that plays the script."""

    def __init__(self, interval: float) -> None:
        self.interval = interval

    def render(self, prompt: Prompt, options: RenderOptions) -> AsyncIterator[str]:
        return tokens(self.interval)


class Forgetful(Memory):
    """A store that keeps nothing."""

    async def append(self, *args: object, **kwargs: object) -> None: ...


class Mute:
    """A voice that makes no sound and notes when it is called."""

    sample_rate = 16000

    async def speak(self, text: str, voice: VoiceStyle) -> AsyncIterator[Speech]:
        called(text)
        return
        yield


@asynccontextmanager
async def serving(interval: float) -> AsyncIterator[Served]:
    settings = {"server": {"max_turns": 10_000, "messages_per_second": 10_000}, "operations": {"log_level": "error"}}
    with tempfile.TemporaryDirectory() as folder:
        offered = plugin(rendering={"paced": Paced(interval)}, speech={"mute": Mute()})
        async with served(Path(folder), offered, settings=settings) as server:
            with Collector() as collector:  # as `rfsn serve` sets it
                collector.settle()
                yield server


# ── CPU of a turn ────────────────────────────────────────────────────────────────────────────────


async def cpu_of_a_turn(turns: int, at_once: int = 1) -> float:
    """Return the CPU seconds of a turn, client and server together.

    :param at_once: players that talk at the same time, each in a conversation and on a socket of its own.
    """
    async with serving(0) as server, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(server.ws)) for _ in range(at_once)]

        async def talk(number: int, count: int) -> None:
            for turn in range(count):
                player = f"p{number}.{turn // TURNS_TOGETHER}"
                await clients[number].turn(NPC, text=said(number + turn), player=player)

        async def all_talk(count: int) -> None:
            await asyncio.gather(*(talk(number, count) for number in range(at_once)))

        for client in clients:
            await client.send("hello", text=True)
        await all_talk(max(2, 20 // at_once))
        before = time.process_time()
        await all_talk(turns // at_once)
        return (time.process_time() - before) / (turns // at_once * at_once)


async def cpu_of_a_pipeline(turns: int) -> float:
    """Return the CPU seconds of a turn without socket and with a store that keeps nothing."""
    offered = plugin(rendering={"paced": Paced(0)}, speech={"mute": Mute()}, storage={"none": Forgetful()})
    settings = {"operations": {"log_level": "error"}}
    with tempfile.TemporaryDirectory() as folder:
        async with kernel(Path(folder), offered, settings=settings) as it:

            async def turn(number: int) -> None:
                player = f"p{number // TURNS_TOGETHER}"
                message = protocol.PlayerTurn(npc=NPC, text=said(number), player=player)
                async for _ in conversation(it, message, protocol.Hello(text=True)):
                    pass

            for number in range(20):
                await turn(number)
            before = time.process_time()
            for number in range(20, 20 + turns):
                await turn(number)
            return (time.process_time() - before) / turns


async def cpu_of_an_echo(turns: int) -> float:
    """Return the CPU seconds of the floor: Starlette answers one message with 25 and does nothing else."""
    reply = protocol.encode(protocol.Text(turn_id="turn", delta="a word of it")).decode()

    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        while True:
            await socket.receive_text()
            for _ in range(25):
                await socket.send_text(reply)

    config = uvicorn.Config(
        Starlette(routes=[WebSocketRoute("/", endpoint)]), port=0, log_level="critical", ws="websockets-sansio",
        lifespan="off", ws_per_message_deflate=False,
    )  # fmt: skip
    logging.getLogger("uvicorn.error").disabled = True
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with Collector() as collector:
        collector.settle()
        spent = await _echoed(port, turns)
    server.should_exit = True
    await task
    return spent


async def _echoed(port: int, turns: int) -> float:
    async with connect(f"ws://127.0.0.1:{port}/", compression=None) as socket:

        async def turn() -> None:
            await socket.send("go")
            for _ in range(25):
                protocol.decode_server(await socket.recv())

        for _ in range(20):
            await turn()
        before = time.process_time()
        for _ in range(turns):
            await turn()
        return (time.process_time() - before) / turns


# ── from a sentence's end to its voice ───────────────────────────────────────────────────────────


async def conversations(count: int, seconds: float) -> tuple[list[float], list[float], list[float]]:
    """Return the delays to the speech engine, to the client's socket, and of the timers, in seconds."""
    ended.clear()
    spoke.clear()
    async with serving(INTERVAL) as server:
        client = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "--play", server.ws, str(count), str(seconds), stdout=asyncio.subprocess.PIPE
        )
        assert client.stdout is not None
        (late, output) = await asyncio.gather(lateness(seconds, INTERVAL), client.stdout.read())
        await client.wait()
    return delays(spoke), delays(json.loads(output)), late


async def play(address: str, count: int, seconds: float) -> None:
    """Play the game: `count` players talk for some seconds. Prints when each sentence arrived."""
    arrived: dict[str, float] = {}
    numbers = itertools.count()
    until = time.perf_counter() + seconds

    async def socket(players: range) -> None:
        async with connected(address, compression=None) as client:

            async def begin(player: int, wait: float = 0.0) -> None:
                await asyncio.sleep(wait)
                text = said(next(numbers) + player)
                await client.send("turn", npc=NPC, player=f"p{player}", text=text, turn_id=str(player))

            starting = [asyncio.create_task(begin(player, stagger(player, INTERVAL))) for player in players]
            talking = len(players)
            while talking:
                item = await client.receive()
                if isinstance(item, protocol.Sentence):
                    arrived[item.text.split(maxsplit=1)[0]] = time.perf_counter()
                elif isinstance(item, protocol.TurnFinished):
                    if time.perf_counter() < until:
                        await begin(int(item.turn_id))
                    else:
                        talking -= 1
                elif isinstance(item, protocol.Error | protocol.TurnFailed):
                    raise RuntimeError(item.message)
            await asyncio.gather(*starting)

    await asyncio.gather(*(socket(range(i, min(i + PER_SOCKET, count))) for i in range(0, count, PER_SOCKET)))
    print(json.dumps(arrived))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--conversations", default="1,100,300,500,1000", help="numbers of NPCs that talk at once; empty: only CPU"
    )
    parser.add_argument("--seconds", type=float, default=12, help="seconds of each measurement")
    parser.add_argument("--turns", type=int, default=400, help="turns for the CPU measurement")
    parser.add_argument("--peer", choices=["pipecat"], help="play the same script through this peer, too")
    parser.add_argument("--play", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.play:
        address, count, seconds = options.play
        asyncio.run(play(address, int(count), float(seconds)))
        return
    peer = None
    if options.peer:
        import peer_pipecat as peer
    counts = [int(count) for count in options.conversations.split(",") if count]

    floor = asyncio.run(cpu_of_an_echo(options.turns))
    measured = {
        "both ends of the socket, stored in SQLite, one at a time": asyncio.run(cpu_of_a_turn(options.turns)),
        f"the same, {AT_ONCE} at once": asyncio.run(cpu_of_a_turn(options.turns, AT_ONCE)),
        "the turn alone, nothing stored": (alone := asyncio.run(cpu_of_a_pipeline(options.turns))),
    }
    print(f"CPU of a turn of {TOKENS} tokens in 3 sentences")
    print(f"  floor: Starlette answers with 25 messages, both ends           {floor * 1000:6.2f} ms")
    for what, used in measured.items():
        print(f"  rfsn, {what:56} {used * 1000:6.2f} ms  {used / floor:5.1f} × floor")
    if peer:
        theirs = asyncio.run(peer.cpu_of_a_turn(options.turns // 4))
        ratio = theirs / alone
        print(f"  {'pipecat, the pipeline alone':62} {theirs * 1000:6.2f} ms  {ratio:5.1f} × rfsn")

    if not counts:
        return
    print("\nfrom the end of a sentence, in ms, at 20 tokens/s        p50     p95     p99   turns/s")
    for count in counts:
        speech, socket, late = asyncio.run(conversations(count, options.seconds))
        target = f"   target {TARGETS_MS[count]} ms" if count in TARGETS_MS else ""
        rate = len(socket) / 3 / (options.seconds + INTERVAL * TOKENS)
        print(f"  {count:5} NPCs  rfsn, to the speech engine        {spread(speech)} {rate:9.0f}{target}")
        print(f"              rfsn, to the client's socket      {spread(socket)}")
        print(f"              the loop's timers are late by     {spread(late)}")
        if peer and count <= 300:
            theirs_speech = asyncio.run(peer.conversations(count, options.seconds, INTERVAL))
            ratio = p95(theirs_speech) / p95(speech)
            print(f"              pipecat, to the speech engine     {spread(theirs_speech)}   p95 {ratio:.1f} × rfsn")


if __name__ == "__main__":
    main()

"""The clients of other languages replay recorded sessions: what the server sends is data, what they must do, too."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import rfsn_dialect_openai
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from rfsn_core.plugins.discovery import discover
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.server.app import http_server, serving
from rfsn_core.server.listener import listen
from rfsn_core.testing import make_world, plugin, served, until
from rfsn_core.testing.process import Server
from rfsn_core.testing.scripted import Tokens, Tone

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "clients"
SESSIONS = sorted((CLIENTS / "conformance" / "sessions").glob("*.json"))
SECONDS = 20.0


def javascript(folder: Path) -> list[str]:
    return ["node", "--experimental-websocket", "--no-warnings", str(CLIENTS / "javascript" / "conformance.mjs")]


def python(folder: Path) -> list[str]:
    return [sys.executable, str(CLIENTS / "python" / "conformance.py")]


def python_thread(folder: Path) -> list[str]:
    return [*python(folder), "thread"]


def java(folder: Path) -> list[str]:
    sources = [str(path) for path in sorted((CLIENTS / "java").glob("*.java"))]
    subprocess.run(["javac", "-d", str(folder), *sources], check=True)
    return ["java", "-cp", str(folder), "Conformance"]


def csharp(folder: Path) -> list[str]:
    core = CLIENTS / "unity" / "com.rfsn.client" / "Runtime" / "Core"
    sources = [str(path) for path in sorted(core.glob("*.cs"))]
    program = folder / "conformance.exe"
    sources.append(str(CLIENTS / "unity" / "Conformance.cs"))
    subprocess.run(["mcs", "-langversion:7", f"-out:{program}", *sources], check=True)
    return ["mono", str(program)]


def godot3(folder: Path) -> list[str]:
    return ["godot3-server", "--path", str(CLIENTS / "godot3"), "-s", "conformance.gd"]


ADAPTERS: dict[str, tuple[str, Callable[[Path], list[str]]]] = {
    "javascript": ("node", javascript),
    "python": (sys.executable, python),
    "python_thread": (sys.executable, python_thread),
    "java": ("javac", java),
    "csharp": ("mcs", csharp),
    "godot3": ("godot3-server", godot3),
}
"""Language → the program that it needs, and a function that returns the command of its adapter."""
LANGUAGES = [
    pytest.param(name, marks=[] if needs == sys.executable else [pytest.mark.engines])
    for name, (needs, _) in ADAPTERS.items()
]


class Replay:
    """One session, as the server's side of it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.connections: asyncio.Queue[ServerConnection] = asyncio.Queue()
        self.over = asyncio.Event()
        self.socket: ServerConnection
        self.bound: dict[str, Any] = {}

    async def serve(self, socket: ServerConnection) -> None:
        """Hand a connection to the session, and keep it open."""
        await self.connections.put(socket)
        await self.over.wait()

    async def step(self, kind: str, value: Any) -> None:
        """Do one step of the session. Raises AssertionError when the client does something else."""
        match kind:
            case "accept":
                self.socket = await self.connections.get()
                assert self.socket.subprotocol == "rfsn.v1"
            case "send":
                await self.socket.send(json.dumps(self.filled(value), ensure_ascii=False))
            case "audio":
                await self.socket.send(frame(**value))
            case "close":
                await self.socket.close(value)
            case "call":
                call = {"type": "test.call", "call": self.filled(value)}
                await self.socket.send(json.dumps(call, ensure_ascii=False))
            case "receive":
                message = json.loads(await self.socket.recv())
                self.match(value, message)
            case "expect":
                assert self.process.stdout is not None
                line = b" "
                while line and not line.startswith(b"["):  # engines greet
                    line = await self.process.stdout.readline()
                assert line, "the client ended"
                assert json.loads(line) == self.filled(value)
            case _:
                raise AssertionError(f"no step '{kind}'")

    def match(self, wanted: Mapping[str, Any], message: Mapping[str, Any]) -> None:
        """Compare a message with the fields that it must have."""
        for key, value in wanted.items():
            if isinstance(value, str) and value.startswith("$"):
                self.bound[value] = message[key]
            else:
                assert message.get(key) == value, f"{key} of {message}"

    def filled(self, value: Any) -> Any:
        """Return a value with the names that were bound."""
        if isinstance(value, dict):
            return {key: self.filled(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.filled(inner) for inner in value]
        return self.bound.get(value, value) if isinstance(value, str) else value


def steps_of(session: Path) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = json.loads(session.read_text("utf-8"))["steps"]
    return steps


def frame(turn_no: int, sentence: int, sequence: int, samples: list[int], last: bool = False) -> bytes:
    header = struct.pack("<BBHII", 1, int(last), sentence, turn_no, sequence)
    return header + struct.pack(f"<{len(samples)}h", *samples)


@asynccontextmanager
async def replaying(command: list[str]) -> AsyncIterator[Replay]:
    started: list[Replay] = []

    async def handle(socket: ServerConnection) -> None:
        await started[0].serve(socket)

    async with serve(handle, "127.0.0.1", 0, subprotocols=[Subprotocol("rfsn.v1")], close_timeout=0.2) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        environment = {**os.environ, "RFSN_URL": f"ws://127.0.0.1:{port}/v1/ws"}
        process = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=CLIENTS
        )
        started.append(replay := Replay(process))
        try:
            yield replay
        finally:
            if process.returncode is None:
                process.kill()
            _, errors = await process.communicate()
            replay.over.set()
            sys.stderr.write(errors.decode("utf-8", "replace")[-3000:])


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """Return the command of a language's adapter; what must be compiled is compiled once."""
    commands: dict[str, list[str]] = {}

    def command(language: str) -> list[str]:
        if language not in commands:
            needs, make = ADAPTERS[language]
            assert shutil.which(needs), f"{needs} is not installed"
            commands[language] = make(tmp_path_factory.mktemp(language))
        return commands[language]

    return command


@pytest.mark.parametrize("session", SESSIONS, ids=lambda path: path.stem)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_client_does_what_the_session_says(
    language: str, session: Path, build: Callable[[str], list[str]]
) -> None:
    steps = steps_of(session)
    command = build(language)
    async with asyncio.timeout(SECONDS), replaying(command) as replay:
        for number, step in enumerate(steps, 1):
            ((kind, value),) = step.items()
            try:
                await replay.step(kind, value)
            except Exception as error:
                raise AssertionError(f"step {number}, {kind} {value}: {error!r}") from error


# ── clients without websockets, and what can only be parsed ──────────────────────────────────────


def love(port: int, npc: str, text: str, **environment: str) -> list[list[Any]]:
    """Run the LÖVE client until it has its answer; return what it printed."""
    variables = {"RFSN_PORT": str(port), "RFSN_NPC": npc, "RFSN_TEXT": text, **environment}
    ran = subprocess.run(
        ["love", str(CLIENTS / "love")], env={**os.environ, **variables}, capture_output=True, timeout=20, check=False
    )
    lines = ran.stdout.decode().splitlines()
    return [json.loads(line) for line in lines if line.startswith("[")]


@pytest.mark.engines
async def test_the_love_client_talks_speaks_and_tells_what_went_wrong(tmp_path: Path) -> None:
    words = Tokens(("Come in — “naïve” 你好. ", "Sit."))
    given = plugin(rendering={"tokens": words}, speech={"tone": Tone()})
    async with served(make_world(tmp_path), given, ("dialect_openai", rfsn_dialect_openai)) as at:
        said = await asyncio.to_thread(love, at.port, "smith", 'Good "evening"!\n\\', RFSN_SPEAK="1")
        assert said[:3] == [
            ["sentence", "smith", "Come in — “naïve” 你好."], ["sentence", "smith", "Sit."], ["finished", "smith"],
        ]  # fmt: skip
        assert said[3][:2] == ["sound", "smith"]
        assert said[3][2] > 1000
        assert words.prompts[0].player_text == 'Good "evening"!\n\\'
        failed = await asyncio.to_thread(love, at.port, "nobody", "Hello?")
        assert failed[0][0] == "error"
        assert "no NPC 'nobody'" in failed[0][1]


@pytest.mark.engines
async def test_the_love_client_interrupts_and_waits_for_a_server(tmp_path: Path) -> None:
    words = Tokens([f"Sentence number {number}. " for number in range(100)], interval=0.02)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    waiting = asyncio.create_task(asyncio.to_thread(love, port, "smith", "Hello?", RFSN_INTERRUPT="1"))
    await asyncio.sleep(0.5)
    listener = listen("127.0.0.1", port)
    world = make_world(tmp_path, '[rendering]\nprovider = "tokens"\n')
    plugins = discover([plugin(rendering={"tokens": words})], installed=False)
    runtimes = Runtimes(world, plugins)
    async with serving(runtimes) as app:
        server = http_server(app, runtimes.current.settings.server)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        said = await waiting
        await until(lambda: words.stopped == 1)
        server.should_exit = True
        await task
    assert said[0] == ["lost"]
    heard = [line for line in said if line != ["lost"]]
    assert heard == [["sentence", "smith", "Sentence number 0."], ["finished", "smith"]]


def test_the_scripts_for_godot_4_are_parsed_and_linted() -> None:
    scripts = [str(path) for path in sorted((CLIENTS / "godot4").rglob("*.gd"))]
    assert len(scripts) == 4
    for tool in (["gdparse"], ["gdlint"]):
        ran = subprocess.run([*tool, *scripts], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.engines
def test_the_rpg_maker_plugin_shows_what_an_npc_says(serve: Callable[..., Server]) -> None:
    environment = {**os.environ, "RFSN_URL": serve().ws}
    adapter = str(CLIENTS / "rpgmaker" / "conformance.mjs")
    ran = subprocess.run(
        ["node", "--experimental-websocket", "--no-warnings", adapter],
        env=environment, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert ran.stderr == ""
    seen = json.loads(ran.stdout)
    assert seen["shown"][0] == "Tilda Brannoch"
    assert len(seen["shown"]) > 1
    assert seen["action"] == "greet"


async def test_the_wait_of_the_python_client_does_not_grow_while_the_server_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(CLIENTS / "python")
    client = importlib.import_module("rfsn_client")

    async def welcome(connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "welcome", "npcs": []}))
        await connection.recv()
        connection.transport.abort()

    waits: list[float] = []
    async with serve(welcome, "127.0.0.1", 0, subprotocols=[Subprotocol("rfsn.v1")]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        game = client.Game(f"ws://127.0.0.1:{port}", wait=0.01)
        game.on("lost", lambda reason, seconds: waits.append(seconds))
        running = asyncio.create_task(game.run())
        await until(lambda: len(waits) >= 3)
        running.cancel()
    assert waits[:3] == [0.01, 0.01, 0.01]


@pytest.mark.engines
def test_a_turn_that_begins_without_a_connection_ends() -> None:
    """An event of RPG Maker waits for that end."""
    script = f"""
        import {{ Game }} from {json.dumps((CLIENTS / "javascript" / "game.mjs").as_uri())};
        const game = new Game("ws://127.0.0.1:9");
        game.on("error", (message) => console.log(message));
        game.on("finished", (turn) => console.log(turn === said));
        const said = game.say("smith", "Hello?");
    """
    command = ["node", "--experimental-websocket", "--no-warnings", "--input-type=module", "-e", script]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (ran.stdout.splitlines(), ran.stderr) == (["There is no connection to the server.", "true"], "")


@pytest.mark.engines
def test_the_rpg_maker_plugin_is_built_from_the_javascript_client(tmp_path: Path) -> None:
    copy = tmp_path / "clients"
    for name in ("rpgmaker", "javascript"):
        shutil.copytree(CLIENTS / name, copy / name)
    subprocess.run(["node", str(copy / "rpgmaker" / "build.mjs")], check=True)
    assert (copy / "rpgmaker" / "RFSN.js").read_text("utf-8") == (CLIENTS / "rpgmaker" / "RFSN.js").read_text("utf-8")

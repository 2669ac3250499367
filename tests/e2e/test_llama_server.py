"""llama.cpp's own server, with a model made on the spot: a true peer for the OpenAI wire, unchanged."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rfsn_core import protocol
from rfsn_core.testing import make_world
from rfsn_core.testing.client import connected
from rfsn_core.testing.process import Server

pytestmark = pytest.mark.engines


PROGRAM = """
import sys, threading, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.port, params.model_alias = sys.argv[1], int(sys.argv[2]), {"tiny"}
params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 8192, 1, 1
server = xllamacpp.Server(params)
threading.Event().wait()
"""


class LlamaServer:
    """llama.cpp's server, as the package xllamacpp brings it, in a process of its own."""

    def __init__(self, model: Path, port: int) -> None:
        self.port = port
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(model), str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(600):
            try:
                if httpx.get(f"{self.url}/models", timeout=1).status_code == 200:
                    return
            except httpx.HTTPError:
                assert self.process.poll() is None, "the server ended"
                time.sleep(0.05)
        raise AssertionError("the server did not start in 30 s")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def llama(tmp_path: Path) -> Iterator[LlamaServer]:
    from rfsn_core.testing.tiny import write_gguf

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = LlamaServer(write_gguf(tmp_path / "tiny.gguf"), port)
    yield server
    server.kill()


def world(folder: Path, url: str) -> Path:
    """Three lines of settings."""
    return make_world(folder, f'[rendering]\nprovider = "vllm"\nvllm.url = "{url}"\n')


def rfsn(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rfsn_core.cli", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )


def test_three_lines_of_settings_are_enough(llama: LlamaServer, tmp_path: Path) -> None:
    place = str(world(tmp_path / "world", llama.url))
    said = rfsn("say", "smith", "Good evening!", "--world", place, "--json")
    (finished,) = [json.loads(line) for line in said.stdout.splitlines() if '"turn.finished"' in line]
    assert finished["renderer"] == "vllm", said.stderr
    assert finished["text"].strip()
    assert finished["trace"]["final_json"] == "missing"  # it speaks gibberish
    assert rfsn("models", "--world", place).stdout.strip() == "tiny"
    assert "model tiny" in rfsn("doctor", "--world", place).stdout
    llama.kill()
    doctor = rfsn("doctor", "--world", place)
    assert doctor.returncode == 2
    assert "cannot be reached" in doctor.stdout
    said = rfsn("say", "smith", "Are you there?", "--world", place, "--json")
    assert '"renderer":"scripted"' in said.stdout


async def test_it_is_killed_under_load_and_comes_back(
    llama: LlamaServer, tmp_path: Path, serve: Callable[..., Server]
) -> None:
    place = world(tmp_path / "world", llama.url)
    settings = place.joinpath("rfsn.toml").read_text("utf-8") + '[speech]\nprovider = "silent"\n'
    place.joinpath("rfsn.toml").write_text(settings.replace("vllm.url", "breaker_seconds = 0.5\nvllm.url"), "utf-8")
    server = serve(world=place)
    stop = asyncio.Event()
    ends: list[Any] = []

    async def talk(number: int) -> None:
        async with connected(server.ws) as client:
            while not stop.is_set():
                ends.append((await client.turn("smith", f"Hello {len(ends)}!", player=f"p{number}"))[-1])

    talking = [asyncio.create_task(talk(number)) for number in range(10)]
    async with asyncio.timeout(60):

        async def until(renderer: str) -> None:
            before = len(ends)
            while not any(getattr(end, "renderer", "") == renderer for end in ends[before:]):
                assert not any(task.done() for task in talking)
                await asyncio.sleep(0.02)

        await until("vllm")
        await asyncio.to_thread(llama.kill)
        await until("scripted")
        async with httpx.AsyncClient(base_url=server.http) as http:
            while (await http.get("/api/health")).json()["status"] != "degraded":  # noqa: ASYNC110  it only answers
                await asyncio.sleep(0.05)
        again = await asyncio.to_thread(LlamaServer, tmp_path / "tiny.gguf", llama.port)
        await until("vllm")
        stop.set()
        await asyncio.gather(*talking)
        again.kill()
    assert all(isinstance(end, protocol.TurnFinished) and end.text for end in ends)

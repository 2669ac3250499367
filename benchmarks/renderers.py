"""Clients of model servers: CPU for each token, many streams at once, and the delay of a cancel.

    uv run benchmarks/renderers.py                                  # against the floor: httpx, reading lines
    uv run --with openai --with ollama benchmarks/renderers.py      # against the official packages, too

The server is the stand-in of `rfsn_core.testing`, in a process of its own; it sends
each token in a packet of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import logging
import random
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from rfsn_llm_ollama import Settings as OllamaSettings
from rfsn_llm_ollama.renderer import Ollama
from rfsn_llm_vllm import Settings as VllmSettings
from rfsn_llm_vllm.renderer import Vllm

from rfsn_core.contract.provider import Host
from rfsn_core.contract.rendering import RenderOptions
from rfsn_core.runtime.builder import SystemClock
from rfsn_core.testing.engine import StandIn
from rfsn_core.testing.suites import make_prompt

Stream = Callable[[], AsyncIterator[Any]]
HOST = Host(Path(), Path(), logging.getLogger("benchmark"), SystemClock(), random.Random(1))
PROMPT = make_prompt()
MESSAGES = [{"role": message.role, "content": message.content} for message in PROMPT.messages]


@asynccontextmanager
async def server(count: int, interval: float) -> AsyncIterator[str]:
    process = subprocess.Popen(  # noqa: ASYNC220  nothing else runs yet
        [sys.executable, __file__, "--serve", str(count), str(interval)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def serve(count: int, interval: float) -> None:
    with StandIn(["word "] * count, interval=interval) as engine:
        print(engine.url, flush=True)
        time.sleep(600)


# ── CPU for each token ───────────────────────────────────────────────────────────────────────────


def floor(client: httpx.AsyncClient, url: str, path: str) -> Stream:
    async def stream() -> AsyncIterator[str]:
        body = {"model": "tiny", "messages": MESSAGES, "stream": True}
        async with client.stream("POST", url + path, json=body) as response:
            async for line in response.aiter_lines():
                if line:
                    yield line

    return stream


async def cost(stream: Stream, streams: int, tokens: int) -> float:
    """Return the CPU of this process in µs for each token."""

    async def read() -> int:
        count = 0
        async for _ in stream():
            count += 1
        return count

    await read()
    before = time.process_time()
    async with asyncio.timeout(30):
        counts = await asyncio.gather(*(read() for _ in range(streams)))
    spent = time.process_time() - before
    assert all(count >= tokens for count in counts), counts
    return spent / streams / tokens * 1e6


def openai_stream(url: str) -> Stream:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none")

    async def stream() -> AsyncIterator[Any]:
        async for chunk in await client.chat.completions.create(model="tiny", messages=MESSAGES, stream=True):
            yield chunk

    return stream


def ollama_stream(url: str) -> Stream:
    from ollama import AsyncClient

    client = AsyncClient(host=url)

    async def stream() -> AsyncIterator[Any]:
        async for part in await client.chat(model="tiny", messages=MESSAGES, stream=True):
            yield part

    return stream


async def cpu(streams: int, tokens: int) -> None:
    print(f"CPU of a token, {streams} streams of {tokens} tokens            µs   × floor   × rfsn")
    async with server(tokens, 0.005) as url, httpx.AsyncClient(timeout=60) as client:
        vllm = Vllm(VllmSettings(url=f"{url}/v1", model="tiny"), HOST)
        ollama = Ollama(OllamaSettings(url=url, model="tiny", preload=False), HOST.log)
        plain = RenderOptions()
        wires: list[tuple[str, str, Stream, str, Callable[[str], Stream]]] = [
            ("OpenAI's wire", "/v1/chat/completions", lambda: vllm.render(PROMPT, plain), "openai", openai_stream),
            ("Ollama's wire", "/api/chat", lambda: ollama.render(PROMPT, plain), "ollama", ollama_stream),
        ]
        for wire, path, ours, package, theirs in wires:
            low = statistics.median([await cost(floor(client, url, path), streams, tokens) for _ in range(3)])
            mine = statistics.median([await cost(ours, streams, tokens) for _ in range(3)])
            print(f"  {wire + ': httpx, lines':46} {low:6.1f}")
            print(f"  {wire + ': rfsn':46} {mine:6.1f}   {mine / low:.2f}   (target: 2)")
            if importlib.util.find_spec(package):
                other = statistics.median([await cost(theirs(url), streams, tokens) for _ in range(3)])
                print(f"  {wire + f': package {package}':46} {other:6.1f}   {other / low:.2f}      {other / mine:.2f}")
        await vllm.close()
        await ollama.close()
    gc.collect()  # the packages close their clients in tasks of their own when they are collected
    await asyncio.sleep(0.2)


# ── many at once ─────────────────────────────────────────────────────────────────────────────────


async def crowd(streams: int, tokens: int, interval: float) -> None:
    """Print the gaps between tokens as they arrive."""
    async with server(tokens, interval) as url:
        vllm = Vllm(VllmSettings(url=f"{url}/v1", model="tiny"), HOST)
        gaps: list[float] = []

        async def read(delay: float) -> None:
            await asyncio.sleep(delay)
            last = 0.0
            async for part in vllm.render(PROMPT, RenderOptions()):
                if isinstance(part, str):
                    now = time.perf_counter()
                    if last:
                        gaps.append(now - last)
                    last = now

        before, start = time.process_time(), time.perf_counter()
        await asyncio.gather(*(read(random.Random(n).random()) for n in range(streams)))
        used = (time.process_time() - before) / (time.perf_counter() - start)
        await vllm.close()
    gaps.sort()
    at = [gaps[int(len(gaps) * share)] * 1000 for share in (0.5, 0.99, 0.999)]
    print(
        f"\n{streams} streams at {1 / interval:.0f} tokens/s, ms between tokens: p50 {at[0]:.0f}, p99 {at[1]:.0f},"
        f" p99.9 {at[2]:.0f}, worst {gaps[-1] * 1000:.0f}; {used:.0%} of a core"
    )


# ── cancelling ───────────────────────────────────────────────────────────────────────────────────


async def cancelling(times: int) -> None:
    """Print the time from a cancel until the server notices it."""
    delays = []
    with StandIn(["word "] * 10_000, interval=0.05) as engine:
        vllm = Vllm(VllmSettings(url=f"{engine.url}/v1", model="tiny"), HOST)

        async def read(began: asyncio.Event) -> None:
            async with aclosing(vllm.render(PROMPT, RenderOptions())) as stream:
                async for _ in stream:
                    began.set()

        others = [asyncio.create_task(read(asyncio.Event())) for _ in range(50)]
        for _ in range(times):
            began = asyncio.Event()
            task = asyncio.create_task(read(began))
            await began.wait()
            count, start = len(engine.closed), time.perf_counter()
            task.cancel()
            while len(engine.closed) == count:  # noqa: ASYNC110  another thread counts
                await asyncio.sleep(0.0005)
            delays.append((engine.closed[-1] - start) * 1000)
        for task in others:
            task.cancel()
        await asyncio.wait(others)
        await vllm.close()
    delays.sort()
    p95 = delays[int(len(delays) * 0.95)]
    print(
        f"\na cancel reaches the server while 50 streams run: p50 {statistics.median(delays):.1f} ms, p95 {p95:.1f} ms"
    )
    print("  (target: p95 20 ms)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", nargs=2, metavar=("COUNT", "SECONDS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(int(options.serve[0]), float(options.serve[1]))
        return
    asyncio.run(cpu(20, 150))
    asyncio.run(crowd(300, 100, 0.05))
    asyncio.run(cancelling(100))


if __name__ == "__main__":
    main()

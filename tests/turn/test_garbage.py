"""A turn that is over is freed at once: nothing of it waits for the garbage collector."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from rfsn_core import protocol
from rfsn_core.kernel import Kernel
from rfsn_core.testing import NPC, kernel, plugin, turn
from rfsn_core.testing.scripted import Tokens, Tone
from rfsn_core.turn.outbox import Outbox

AUDIO = protocol.Hello(audio=True, visemes=True)


async def whole(it: Kernel) -> None:
    await turn(it, "Good evening! What is your name?", wants=AUDIO)


async def cancelled(it: Kernel) -> None:
    outbox = Outbox()
    running = it.begin(protocol.PlayerTurn(npc=NPC, text="Hello"), outbox, AUDIO)
    while not isinstance(await outbox.get(), protocol.Sentence):
        pass
    running.cancel("barge_in")
    await asyncio.wait([running.task])


async def event(it: Kernel) -> None:
    await it.event(protocol.GameEvent(npc=NPC, kind="gift"))


async def garbage_of(it: Kernel, work: Callable[[Kernel], Awaitable[None]]) -> Counter[str]:
    """Return what the collector had to free after 10 times, by type."""
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(10):
            await work(it)
        while len(it.turns._background) or len(it.conversations._background):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        gc.collect()
        return Counter(type(item).__qualname__ for item in gc.garbage if _is_ours(item))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


def _is_ours(item: object) -> bool:
    return type(item).__module__.startswith("rfsn_core")


@pytest.mark.parametrize("work", [whole, cancelled, event])
async def test_a_turn_leaves_nothing_to_the_garbage_collector(
    tmp_path: Path, work: Callable[[Kernel], Awaitable[None]]
) -> None:
    voice = Tone(interval=0.001)
    async with kernel(tmp_path, plugin(rendering={"t": Tokens(["One. ", "Two."])}, speech={"v": voice})) as it:
        for _ in range(3):
            await work(it)
        assert await garbage_of(it, work) == Counter()


async def test_a_turn_whose_renderer_fails_leaves_nothing_to_the_garbage_collector(tmp_path: Path) -> None:
    renderers = {"broken": Tokens(fail_after=0), "spare": Tokens(["One. ", "Two."])}
    settings = {"rendering": {"provider": "broken", "fallback": ["spare"], "breaker_failures": 1000}}
    async with kernel(tmp_path, plugin(rendering=renderers, speech={"v": Tone()}), settings=settings) as it:
        await whole(it)
        assert await garbage_of(it, whole) == Counter()

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from rfsn_core.contract.capabilities import Capabilities
from rfsn_core.contract.errors import EngineError
from rfsn_core.contract.rendering import Prompt, Renderer, RenderOptions
from rfsn_core.protocol.turn import Usage
from rfsn_core.testing.scripted import Tokens
from rfsn_core.testing.suites import make_prompt
from rfsn_core.turn.breaker import Breaker, Engine
from rfsn_core.turn.rendering import FirstToken, Limits, Rendering, Switch
from rfsn_core.turn.sentences import Piece

FAST = Limits(5, 5, 4000, attempts=3, pause=0.001)
REPORT = 'FINAL_JSON {"action": "greet"}'


class Script:
    """A renderer that does something else each time it is asked: yields these, and raises what is an error."""

    def __init__(self, *replies: Sequence[Any]) -> None:
        self.replies = list(replies)
        self.calls = 0

    async def render(self, prompt: Prompt, options: RenderOptions) -> AsyncIterator[Any]:
        """The next reply."""
        self.calls += 1
        for item in self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]:
            if isinstance(item, BaseException):
                raise item
            yield item


BUSY = EngineError("busy", retryable=True)
DEAD = EngineError("dead")


async def worded(
    *renderers: Renderer,
    limits: Limits = FAST,
    breakers: Sequence[Breaker] = (),
    silent: Sequence[Renderer] = (),
    **prompt: Any,
) -> tuple[Rendering, str, list[str]]:
    said: list[str] = []
    switched: list[str] = []
    all_breakers = [*breakers, *(Breaker(100, 10) for _ in renderers)]
    engines = [
        Engine(f"r{n}", r, b, Capabilities(reports=r not in silent))
        for n, (r, b) in enumerate(zip(renderers, all_breakers, strict=False))
    ]
    rendering = Rendering(engines, make_prompt(**prompt), RenderOptions(), limits)
    async with aclosing(rendering.stream()) as items:
        async for item in items:
            if isinstance(item, Piece):
                said.append(item.text)
            elif isinstance(item, Switch):
                switched.append(f"{item.failed}>{item.next}: {item.reason}")
    return rendering, "".join(said), switched


async def test_a_renderer_that_fails_before_its_first_token_is_tried_again() -> None:
    script = Script([BUSY], [BUSY], ["Good evening."])
    how, said, switched = await worded(script)
    assert (how.renderer, how.reason, how.trace.attempts, said, switched) == ("r0", "complete", 3, "Good evening.", [])


async def test_the_next_renderer_is_tried_after_the_last_attempt() -> None:
    script = Script([BUSY])
    how, said, switched = await worded(script, Tokens(["Hello."]))
    assert script.calls == 3
    assert (how.renderer, said, switched) == ("r1", "Hello.", ["r0>r1: it failed"])


@pytest.mark.parametrize("reply", [[DEAD], [RuntimeError("x")], ["Good ", BUSY], [], ["  \n"], [REPORT], [7], [None]])
async def test_a_failure_that_another_attempt_cannot_cure_is_not_tried_again(reply: list[Any]) -> None:
    script = Script(reply)
    how, said, switched = await worded(script, Tokens(["Hello."]), final_json=True)
    assert script.calls == 1
    assert (how.renderer, said.strip()) == ("r1", "Hello.")
    assert len(switched) == 1


async def test_text_that_was_sent_is_kept_when_the_renderer_fails_later() -> None:
    how, said, _ = await worded(Script(["Good evening. ", BUSY]), Tokens(["Hello."]))
    assert (how.renderer, how.reason, said.strip()) == ("r0", "renderer_failed", "Good evening.")


async def test_the_pause_that_an_engine_asks_for_is_kept_up_to_a_limit() -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    patient = Script([EngineError("busy", retryable=True, retry_after=0.2)], ["Hello."])
    await worded(patient)
    assert loop.time() - start >= 0.2
    for long in (11.0, 4.99):  # over the longest pause; over the time for the first token
        hurried = Script([EngineError("busy", retryable=True, retry_after=long)], ["Hello."])
        limits = Limits(3, 5, 4000, attempts=3)
        how, _, _ = await worded(hurried, Tokens(["Hi."]), limits=limits)
        assert (hurried.calls, how.renderer) == (1, "r1")


async def test_all_attempts_share_the_time_limit_for_the_first_token() -> None:
    slow = Tokens(["late"], interval=3600)
    how, said, switched = await worded(slow, Tokens(["Hello."]), limits=Limits(0.1, 5, 4000, attempts=3))
    assert (how.renderer, said) == ("r1", "Hello.")
    assert "too long for its first token" in switched[0]
    assert slow.running == 0


async def test_an_engine_that_keeps_failing_is_not_used_for_a_while_and_then_tried() -> None:
    script, breaker = Script([DEAD]), Breaker(2, 0.05)
    for _ in range(4):
        how, _, switched = await worded(script, Tokens(["Hello."]), breakers=[breaker])
        assert how.renderer == "r1"
    assert script.calls == 2
    assert "left alone: it failed" in switched[0]
    await asyncio.sleep(0.06)
    script.replies = [["Good evening."]]
    assert (await worded(script, Tokens(["Hello."]), breakers=[breaker]))[0].renderer == "r0"
    assert breaker.state == "closed"


async def test_the_last_renderer_of_the_chain_is_always_tried() -> None:
    breaker = Breaker(1, 100)
    breaker.failed("no")
    assert (await worded(Tokens(["Hello."]), breakers=[breaker]))[1] == "Hello."


async def test_a_request_that_the_engine_cannot_serve_does_not_open_the_breaker() -> None:
    breaker = Breaker(1, 100)
    script = Script([EngineError("too long", engine_at_fault=False, retryable=True)])
    await worded(script, Tokens(["Hello."]), breakers=[breaker])
    assert (script.calls, breaker.state) == (1, "closed")


async def test_a_cancelled_probe_lets_the_next_turn_try() -> None:
    breaker = Breaker(1, 0.0001)
    breaker.failed("no")
    await asyncio.sleep(0.001)
    stalled = Tokens(["x"], stall_after=0)
    task = asyncio.create_task(worded(stalled, Tokens(["Hello."]), breakers=[breaker]))
    while not stalled.running:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert breaker.state == "half_open"
    task.cancel()
    await asyncio.wait([task])
    assert breaker.state == "open"
    assert stalled.running == 0


async def test_a_probe_that_is_cancelled_between_two_attempts_lets_the_next_turn_try() -> None:
    breaker = Breaker(1, 0.0001)
    breaker.failed("no")
    await asyncio.sleep(0.001)
    script = Script([EngineError("busy", retryable=True, retry_after=2)])
    task = asyncio.create_task(worded(script, Tokens(["Hello."]), breakers=[breaker]))
    await asyncio.sleep(0.05)
    assert (script.calls, breaker.state) == (1, "half_open")
    task.cancel()
    await asyncio.wait([task])
    assert breaker.state == "open"
    assert breaker.admits()


async def test_usage_and_report_are_in_the_trace() -> None:
    script = Script(["Good evening.\n", REPORT, Usage(prompt_tokens=7)])
    how, said, _ = await worded(script, final_json=True, tokens=9, notes=("left out: 1",))
    assert said.strip() == "Good evening."
    trace = how.trace
    assert trace.usage == Usage(prompt_tokens=7)
    assert (trace.final_json, trace.prompt_tokens, trace.notes) == ("ok", 9, ["left out: 1"])
    assert trace.report is not None
    assert trace.report.action == "greet"


async def test_a_last_sentence_without_a_full_stop_is_sent_as_soon_as_the_report_begins() -> None:
    went = asyncio.Event()

    class Slow:
        async def render(self, prompt: Prompt, options: RenderOptions) -> AsyncIterator[str]:
            yield "Good evening, friend\nFINAL_JSON "
            async with asyncio.timeout(5):
                await went.wait()  # the rest comes only after the words were released
            yield '{"action": "greet"}'

    prompt = make_prompt(final_json=True)
    rendering = Rendering([Engine("slow", Slow(), Breaker(5, 10))], prompt, RenderOptions(), FAST)
    async for item in rendering.stream():
        if isinstance(item, Piece) and "friend" in item.text:
            went.set()
    assert (rendering.reason, rendering.trace.final_json) == ("complete", "ok")


async def test_the_first_token_is_reported_while_the_words_are_still_held_back() -> None:
    tokens = Tokens(["Good ", "evening.\n", REPORT])
    engines: list[Engine[Renderer]] = [Engine("r0", tokens, Breaker(5, 10))]
    limits = Limits(5, 5, 4000, require_report=True)
    rendering = Rendering(engines, make_prompt(final_json=True), RenderOptions(), limits)
    async with aclosing(rendering.stream()) as items:
        assert await anext(items) == FirstToken("r0")
        assert tokens.running == 1
    assert tokens.running == 0


@pytest.mark.parametrize(
    ("reply", "renderer"),
    [
        (["Good ", "evening.\n", REPORT], "r0"),
        (["Good evening."], "r1"),
        (['Die!\nFINAL_JSON {"action": "attack"}'], "r1"),
        (["Good evening.\nFINAL_JSON {broken"], "r1"),
    ],
)
async def test_with_a_required_report_nothing_is_said_before_the_report_agrees(reply: list[str], renderer: str) -> None:
    limits = Limits(5, 5, 4000, require_report=True)
    aside = Tokens(["Hello."])
    how, said, switched = await worded(Script(reply), aside, limits=limits, silent=[aside], final_json=True)
    assert how.renderer == renderer
    assert said.strip() == ("Good evening." if renderer == "r0" else "Hello.")
    assert all("FINAL_JSON" in each for each in switched)


async def test_a_reply_without_end_is_stopped() -> None:
    endless = Tokens(lambda prompt: [f"word{number} " for number in range(100_000)])
    how, said, _ = await worded(endless, limits=Limits(5, 5, 100))
    assert (how.reason, endless.running) == ("too_long", 0)
    assert len(said) < 200
    line = Tokens(["".join(map(str, range(30_000)))])
    assert (await worded(line, limits=Limits(5, 5, 100)))[0].reason == "too_long"


async def test_the_reply_ends_where_somebody_else_begins_to_speak() -> None:
    tokens = Tokens(["Good evening.\n", "player: ", "Give me gold.\n", "Here."])
    how, said, _ = await worded(tokens)
    assert (said.strip(), how.reason, tokens.running) == ("Good evening.", "complete", 0)

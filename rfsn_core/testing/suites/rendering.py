"""What a provider of the rendering stage must do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

from rfsn_core.contract.errors import ReplyTooLong
from rfsn_core.contract.rendering import ChatMessage, Prompt, Renderer, RenderOptions
from rfsn_core.protocol.turn import Usage
from rfsn_core.testing.suites.provider import ProviderSuite
from rfsn_core.testing.suites.texts import ODD_TEXTS


def make_prompt(text: str = "Good evening!", seed: int = 1, **changes: Any) -> Prompt:
    """Return a prompt like the kernel's; `changes` are fields of it."""
    values: dict[str, Any] = {
        "npc": "smith",
        "name": "Berit",
        "player": "player",
        "action": "greet",
        "style": "neutral_balanced",
        "instruction": "Greet the player.",
        "player_text": text,
        "messages": (ChatMessage("system", "You are Berit, a smith."), ChatMessage("user", text)),
        "persona": {"title": "smith", "tags": [], "lines": {}, "shared_lines": {}, "plain_action": "greet"},
        "state": {"mood": "calm", "relationship": "friend", "turns": 1},
        "seed": seed,
    }
    return Prompt(**(values | changes))


async def spoken(renderer: Renderer, prompt: Prompt, options: RenderOptions | None = None) -> str:
    """Return the whole text that a renderer gives for a prompt, also of a reply that reached its limit."""
    tokens: list[str | Usage] = []
    with suppress(ReplyTooLong):
        async for token in renderer.render(prompt, options or RenderOptions()):
            tokens.append(token)
    assert all(isinstance(token, str | Usage) for token in tokens)
    return "".join([token for token in tokens if isinstance(token, str)])


def generator(stream: AsyncIterator[Any]) -> Any:
    """Return the stream as something that `aclosing` can close. Fails when it has no `aclose`."""
    assert hasattr(stream, "aclose"), "the stream must have aclose(): write it as an async generator"
    return stream


class RendererSuite(ProviderSuite):
    """For providers of the rendering stage."""

    stage = "rendering"

    def prompts(self) -> list[Prompt]:
        """Return the prompts that the renderer is asked to word."""
        return [make_prompt(), make_prompt("", action="ignore"), *(make_prompt(text) for text in ODD_TEXTS)]

    def test_every_prompt_gets_words(self, tmp_path: Path) -> None:
        async def body(renderer: Renderer) -> None:
            for prompt in self.prompts():
                assert (await spoken(renderer, prompt)).strip()

        self.run(tmp_path, body)

    def test_closing_the_stream_stops_it(self, tmp_path: Path) -> None:
        async def body(renderer: Renderer) -> None:
            for _ in range(3):
                async with aclosing(generator(renderer.render(make_prompt(), RenderOptions()))) as stream:
                    await anext(stream)
            before = asyncio.all_tasks()
            assert (await spoken(renderer, make_prompt())).strip()
            assert asyncio.all_tasks() <= before

        self.run(tmp_path, body)

    def test_cancelling_the_turn_stops_it_at_any_point(self, tmp_path: Path) -> None:
        async def consume(renderer: Renderer) -> None:
            async with aclosing(generator(renderer.render(make_prompt(), RenderOptions()))) as stream:
                async for _ in stream:
                    await asyncio.sleep(0)

        async def body(renderer: Renderer) -> None:
            for steps in range(6):
                task = asyncio.create_task(consume(renderer))
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])

        self.run(tmp_path, body)

    def test_fifty_at_once_do_not_mix(self, tmp_path: Path) -> None:
        async def body(renderer: Renderer) -> None:
            answers = await asyncio.gather(*(spoken(renderer, make_prompt(seed=seed)) for seed in range(50)))
            assert all(answer.strip() for answer in answers)

        self.run(tmp_path, body)

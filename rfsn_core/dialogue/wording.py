"""The words of a turn: streamed from the first renderer that says anything, cut into sentences."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from rfsn_core.dialogue.sentences import Piece, Sentences
from rfsn_core.errors import contained
from rfsn_core.operations.logs import logger
from rfsn_core.operations.metrics import METRICS
from rfsn_core.providers import Prompt, Renderer, RenderOptions

log = logger("wording")


@dataclass(frozen=True)
class Limits:
    """How long to wait for a renderer, in seconds, and how much to take from it."""

    first_token: float
    token: float
    characters: int


@dataclass(frozen=True)
class Wording:
    """How it went."""

    renderer: str
    """The provider whose words they are."""
    reason: str
    """`complete`, or why what was said is not all that was meant."""
    said: bool
    """Whether anything was released."""


async def word(
    renderers: Sequence[tuple[str, Renderer]],
    prompt: Prompt,
    options: RenderOptions,
    limits: Limits,
    release: Callable[[Piece], Awaitable[bool]],
    first_token: Callable[[], None],
) -> Wording:
    """Stream until a renderer has said something; what was said stands when it fails later.

    :param release: takes each piece as soon as it is certain; returns whether anything of it went out.
    :param first_token: called at the first token of each renderer.
    """
    name = ""
    for position, (name, renderer) in enumerate(renderers):
        if position:
            METRICS.fallbacks.labels("rendering").inc()
        stream = _Stream(name, limits, release, first_token)
        try:
            with contained():
                await stream.run(renderer, prompt, options)
            reason = "too_long" if stream.too_long else "complete"
            if stream.said:
                return Wording(name, reason, True)
            log.warning("renderer said nothing", renderer=name, npc=prompt.npc)
        except TimeoutError:
            reason = "renderer_timeout"
            log.warning("renderer took too long", renderer=name, npc=prompt.npc)
        except Exception as error:  # noqa: BLE001  the renderer's code
            reason = "renderer_failed"
            log.warning("renderer failed", renderer=name, npc=prompt.npc, error=repr(error))
        METRICS.errors.labels("rendering").inc()
        if stream.said:
            return Wording(name, reason, True)
    return Wording(name, "renderer_failed", False)


class _Stream:
    def __init__(
        self,
        name: str,
        limits: Limits,
        release: Callable[[Piece], Awaitable[bool]],
        first_token: Callable[[], None],
    ) -> None:
        self._name, self._limits = name, limits
        self._release, self._first_token = release, first_token
        self.said = False
        self.too_long = False

    async def run(self, renderer: Renderer, prompt: Prompt, options: RenderOptions) -> None:
        limits, sentences = self._limits, Sentences()
        loop = asyncio.get_running_loop()
        tokens = characters = 0
        renew = 0.0  # moving a timer costs more than the rest of a token: a tenth of the limit is near enough
        stream = renderer.render(prompt, options)
        try:
            async with asyncio.timeout(limits.first_token) as deadline:
                async for token in stream:
                    if not tokens:
                        self._first_token()
                    tokens += 1
                    characters += len(token)
                    if pieces := sentences.feed(token):
                        deadline.reschedule(None)  # the gate and the voice have time limits of their own
                        renew = 0.0
                        await self._pass_on(pieces)
                    if characters > limits.characters:
                        self.too_long = True
                        break
                    if (now := loop.time()) >= renew:
                        deadline.reschedule(now + limits.token)
                        renew = now + limits.token / 10
        finally:
            METRICS.tokens.labels(self._name).inc(tokens)
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()
        await self._pass_on(sentences.flush())

    async def _pass_on(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            self.said = await self._release(piece) or self.said

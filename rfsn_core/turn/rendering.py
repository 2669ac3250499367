"""The words of a turn: streamed from the first renderer that says anything, cut into sentences.

An engine that fails before its first token is asked again, then the next one in the chain is; one that keeps failing is
left alone for a while. Once something was said it stands, whatever happens after.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from rfsn_core.contract.errors import EngineError, contained
from rfsn_core.contract.rendering import Prompt, Renderer, RenderOptions
from rfsn_core.protocol.server import Trace, Usage
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn.breaker import Engine
from rfsn_core.turn.reply_parser import Reply
from rfsn_core.turn.sentences import Piece, Sentences

log = logger("wording")

LONGEST_PAUSE = 10.0
"""Seconds between two attempts, whatever the engine asks for: a player waits."""


@dataclass(frozen=True)
class Limits:
    """How long to wait for a renderer, in seconds, how often to ask, and how much to take from it."""

    first_token: float
    """For all attempts together."""
    token: float
    characters: int
    attempts: int = 1
    pause: float = 0.25
    """Before the second attempt; doubled each time, and drawn between half and all of it."""
    require_report: bool = False
    """Release nothing before the report is there and agrees with the decision."""


@dataclass(frozen=True)
class Wording:
    """How it went."""

    renderer: str
    """The provider whose words they are."""
    reason: str
    """`complete`, or why what was said is not all that was meant."""
    said: bool
    """Whether anything was released."""
    trace: Trace


async def word(
    engines: Sequence[Engine[Renderer]],
    prompt: Prompt,
    options: RenderOptions,
    limits: Limits,
    release: Callable[[Piece], Awaitable[bool]],
    first_token: Callable[[], None],
    switched: Callable[[str, str, str], None] = lambda failed, to, reason: None,
) -> Wording:
    """Stream until a renderer has said something; what was said stands when it fails later.

    :param release: takes each piece as soon as it is certain; returns whether anything of it went out.
    :param first_token: called at the first token of each renderer.
    :param switched: called with (who failed, who is next, why).
    """
    trace, name = _trace(prompt), ""
    for position, engine in enumerate(engines):
        name, last = engine.name, position == len(engines) - 1
        if last or engine.breaker.admits():
            asked = _Asked(engine, prompt, options, limits, release, first_token)
            reason, why = await asked.run()
            trace = asked.trace()
            if asked.said:
                return Wording(name, reason, True, trace)
            METRICS.errors.labels("rendering").inc()
        else:
            why = f"left alone: {engine.breaker.reason}"
        if not last:
            METRICS.fallbacks.labels("rendering").inc()
            switched(name, engines[position + 1].name, why)
    return Wording(name, "renderer_failed", False, trace)


def _trace(prompt: Prompt) -> Trace:
    return Trace(prompt_tokens=prompt.tokens, notes=list(prompt.notes), memories=list(prompt.provenance))


class _Asked:
    """One renderer, and all attempts to get words from it."""

    def __init__(
        self, engine: Engine[Renderer], prompt: Prompt, options: RenderOptions, limits: Limits,
        release: Callable[[Piece], Awaitable[bool]], first_token: Callable[[], None],
    ) -> None:  # fmt: skip
        self._engine, self._prompt, self._options, self._limits = engine, prompt, options, limits
        self._release, self._first_token = release, first_token
        self._attempts = 0
        self._stream = self._new_stream()

    def _new_stream(self) -> _Stream:
        return _Stream(self._engine, self._prompt, self._limits, self._release, self._first_token)

    @property
    def said(self) -> bool:
        """Whether anything was released."""
        return self._stream.said

    async def run(self) -> tuple[str, str]:
        """(the turn's reason, what went wrong in words)."""
        try:
            return await self._run()
        except asyncio.CancelledError:
            self._engine.breaker.undecided()  # also between two attempts: or nobody would ever try again
            raise

    async def _run(self) -> tuple[str, str]:
        engine, name = self._engine, self._engine.name
        deadline = asyncio.get_running_loop().time() + self._limits.first_token
        while True:
            self._attempts += 1
            stream = self._stream = self._new_stream()
            try:
                with contained():
                    await stream.run(self._options, deadline)
                if stream.said:
                    engine.breaker.succeeded()
                    return ("too_long" if stream.too_long else "complete"), ""
                reason, why, error = "renderer_failed", "it said nothing", None
            except TimeoutError:
                what = "between two tokens" if stream.tokens else "for its first token"
                reason, why, error = "renderer_timeout", f"it took too long {what}", None
            except Exception as failure:  # noqa: BLE001  the renderer's code
                reason, why, error = "renderer_failed", str(failure) or repr(failure), failure
            if isinstance(error, EngineError) and not error.engine_at_fault:
                engine.breaker.undecided()
                log.warning("renderer refused", renderer=name, npc=self._prompt.npc, reason=why)
                return reason, why
            pause = self._pause(stream, error, deadline)
            log.warning("renderer failed", renderer=name, npc=self._prompt.npc, reason=why, again_in=pause)
            if pause is None:
                engine.breaker.failed(why)
                return reason, why
            METRICS.retries.labels(name).inc()
            await asyncio.sleep(pause)

    def _pause(self, stream: _Stream, error: Exception | None, deadline: float) -> float | None:
        """Seconds until the next attempt; None when there is none."""
        if stream.tokens or self._attempts >= self._limits.attempts:
            return None
        if not (isinstance(error, EngineError) and error.retryable):
            return None
        pause = self._limits.pause * 2 ** (self._attempts - 1) * random.uniform(0.5, 1)
        pause = max(pause, error.retry_after or 0.0)
        late = asyncio.get_running_loop().time() + pause >= deadline
        return None if late or pause > LONGEST_PAUSE else pause

    def trace(self) -> Trace:
        """What to tell of it."""
        trace, stream = _trace(self._prompt), self._stream
        trace.attempts = self._attempts
        trace.usage = stream.usage
        trace.final_json = stream.outcome()
        trace.report = stream.reply.report()
        if trace.final_json:
            METRICS.final_json.labels(trace.final_json).inc()
        return trace


class _Stream:
    def __init__(
        self, engine: Engine[Renderer], prompt: Prompt, limits: Limits, release: Callable[[Piece], Awaitable[bool]],
        first_token: Callable[[], None],
    ) -> None:  # fmt: skip
        self._engine, self._prompt, self._limits = engine, prompt, limits
        self._release, self._first_token = release, first_token
        self._waiting: list[Piece] = []
        own = (prompt.name, prompt.name.split()[0] if prompt.name.strip() else prompt.npc, prompt.npc)
        self.reply = Reply(own, prompt.labels, prompt.player)
        self._reports = prompt.final_json and getattr(engine.provider, "reports", True)
        self._holds = limits.require_report and self._reports
        self.usage: Usage | None = None
        self.tokens = 0
        self.said = False
        self.too_long = False

    def outcome(self) -> str:
        """Of the report; empty for a renderer that was not asked for one."""
        plain = str(self._prompt.persona.get("plain_action", self._prompt.action))
        return self.reply.outcome(self._prompt.action, plain) if self._reports else ""

    async def run(self, options: RenderOptions, first_token_by: float) -> None:
        limits, reply, sentences = self._limits, self.reply, Sentences()
        loop = asyncio.get_running_loop()
        characters = 0
        flushed = False
        renew = 0.0  # moving a timer costs more than the rest of a token: a tenth of the limit is near enough
        stream = self._engine.provider.render(self._prompt, options)
        try:
            async with asyncio.timeout_at(first_token_by) as deadline:
                async for token in stream:
                    if isinstance(token, Usage):
                        self.usage = token
                        continue
                    if not isinstance(token, str):
                        raise EngineError(f"it yielded {token!r:.60}, which is no text")
                    if not self.tokens:
                        self._first_token()
                    self.tokens += 1
                    characters += len(token)
                    pieces = sentences.feed(words) if (words := reply.feed(token)) else []
                    if reply.reporting and not flushed:
                        flushed = True
                        pieces += sentences.flush()
                    if pieces:
                        deadline.reschedule(None)  # the gate and the voice have time limits of their own
                        renew = 0.0
                        await self._pass_on(pieces)
                    if characters > limits.characters:
                        self.too_long = not reply.reporting
                        break
                    if reply.ended:
                        break
                    if (now := loop.time()) >= renew:
                        deadline.reschedule(now + limits.token)
                        renew = now + limits.token / 10
        finally:
            METRICS.tokens.labels(self._engine.name).inc(self.tokens)
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()
        if not flushed:
            rest = reply.close()
            await self._pass_on([*(sentences.feed(rest) if rest else []), *sentences.flush()])
        if self._holds:
            outcome = self.outcome()
            if outcome != "ok":
                raise EngineError(f"FINAL_JSON: {outcome}", engine_at_fault=False)
            for piece in self._waiting:
                self.said = await self._release(piece) or self.said

    async def _pass_on(self, pieces: list[Piece]) -> None:
        if self._holds:
            self._waiting += pieces
            return
        for piece in pieces:
            self.said = await self._release(piece) or self.said

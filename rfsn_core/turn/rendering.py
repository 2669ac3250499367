"""The words of a turn, as a stream: from the first renderer that says anything, cut into sentences.

A renderer that fails before its first token is tried again, then the next one in the chain is tried; one that keeps
failing is skipped for a while. Once something was said it stays said, even when the renderer fails later.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from rfsn_core.contract.errors import EngineError, ReplyTooLong, contained
from rfsn_core.contract.rendering import Prompt, Renderer, RenderOptions
from rfsn_core.protocol.turn import Trace, Usage
from rfsn_core.settings.schema import Settings
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn.breaker import Engine
from rfsn_core.turn.deadline import Deadline
from rfsn_core.turn.repetition import Repetition
from rfsn_core.turn.reply_parser import Narration, Part, Reply, Retraction
from rfsn_core.turn.sentences import Piece, Sentences

log = logger("rendering")

_WHOLE = re.compile(r"[.!?…。！？।॥۔؟][\"'”’»)\]」』*_]*\s*$")
LONGEST_PAUSE = 10.0
"""Seconds between two attempts at most, even if the engine asks for more: a player waits."""


@dataclass(frozen=True)
class Limits:
    """How long to wait for a renderer, in seconds, how often to try it, and how much to take from it."""

    first_token: float
    """For all attempts together."""
    token: float
    characters: int
    attempts: int = 1
    pause: float = 0.25
    """Before the second attempt; doubled each time, and drawn between half and all of it."""
    require_report: bool = False
    """Yield nothing before the report is there and agrees with the decision."""

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Return the limits that the settings name."""
        operations, rendering = settings.operations, settings.rendering
        return cls(
            operations.first_token_timeout,
            operations.token_timeout,
            operations.max_reply,
            rendering.attempts,
            rendering.retry_seconds,
            rendering.final_json == "require",
        )


class FirstToken(NamedTuple):
    """A renderer has begun to answer."""

    renderer: str


class Switch(NamedTuple):
    """A renderer said nothing; the next one is tried."""

    failed: str
    next: str
    reason: str


Item = Piece | FirstToken | Narration | Retraction
"""What an attempt yields."""


class Failure(NamedTuple):
    """Why a renderer said nothing, or not all that it meant."""

    code: str
    """`renderer_failed` or `renderer_timeout`."""
    reason: str
    """For the log."""
    retryable: bool = False
    retry_after: float = 0.0
    engine_at_fault: bool = True
    public: str = ""
    """For clients; empty: the same reason."""

    @property
    def told(self) -> str:
        """What clients may know of it."""
        return self.public or self.reason


class Rendering:
    """One prompt on its way through the chain of renderers. Read `stream` once; the attributes then say how it went."""

    def __init__(
        self, engines: Sequence[Engine[Renderer]], prompt: Prompt, options: RenderOptions, limits: Limits
    ) -> None:
        self._engines, self._prompt, self._options, self._limits = engines, prompt, options, limits
        self.renderer = ""
        """The provider whose words they are; if none said anything, the last in the chain."""
        self.reason = "renderer_failed"
        """`complete`, or why what was said is not all that was meant."""
        self.said = False
        """Whether a sentence was yielded."""
        self.trace = _trace(prompt)
        self._failure = Failure("renderer_failed", "it said nothing")

    async def stream(self) -> AsyncGenerator[Item | Switch]:
        """Yield pieces of sentences, each as soon as it is certain, and what happens to the renderers meanwhile."""
        for position, engine in enumerate(self._engines):
            self.renderer = engine.name
            following = self._engines[position + 1 :]
            if following and not engine.breaker.admits():
                reason = f"left alone: {engine.breaker.reason}"
            else:
                async with aclosing(self._attempts(engine)) as items:
                    async for item in items:
                        yield item
                if self.said:
                    return
                METRICS.errors.labels("rendering").inc()
                reason = self._failure.told
            if following:
                METRICS.fallbacks.labels("rendering").inc()
                yield Switch(engine.name, following[0].name, reason)
        self.reason = "renderer_failed"

    async def _attempts(self, engine: Engine[Renderer]) -> AsyncGenerator[Item]:
        """Yield what one renderer says; try it again while it has said nothing and another attempt may help."""
        deadline = asyncio.get_running_loop().time() + self._limits.first_token
        try:
            for number in range(1, self._limits.attempts + 1):
                attempt = Attempt(engine, self._prompt, self._limits)
                async with aclosing(attempt.stream(self._options, deadline)) as items:
                    async for item in items:
                        self.said = self.said or (isinstance(item, Piece) and item.speakable)
                        yield item
                pause = self._judge(attempt, number, deadline)
                if pause is None:
                    self.trace = attempt.trace(number)
                    return
                METRICS.retries.labels(engine.name).inc()
                await asyncio.sleep(pause)
        except (asyncio.CancelledError, GeneratorExit):
            engine.breaker.undecided()  # also between two attempts: otherwise the breaker would never try again
            raise

    def _judge(self, attempt: Attempt, number: int, deadline: float) -> float | None:
        """Tell the breaker how an attempt went; return the seconds until the next one, None when there is none."""
        engine, failure = attempt.engine, attempt.failure
        if failure is None and self.said:
            engine.breaker.succeeded()
            self.reason = "too_long" if attempt.too_long else "complete"
            return None
        self._failure = failure = failure or Failure("renderer_failed", attempt.silence)
        self.reason = failure.code
        if not failure.engine_at_fault:
            engine.breaker.undecided()
            log.warning("renderer.refused", renderer=engine.name, npc=self._prompt.npc, reason=failure.reason)
            return None
        pause = None if attempt.tokens else self._pause(failure, number, deadline)
        log.warning(
            "renderer.failed", renderer=engine.name, npc=self._prompt.npc, reason=failure.reason, retry_in=pause
        )
        if pause is None:
            engine.breaker.failed(failure.told)
        return pause

    def _pause(self, failure: Failure, number: int, deadline: float) -> float | None:
        """Return the seconds until the next attempt; None when it would not help, or the time is over."""
        if not failure.retryable or number >= self._limits.attempts:
            return None
        pause = self._limits.pause * 2 ** (number - 1) * random.uniform(0.5, 1)
        pause = max(pause, failure.retry_after)
        late = asyncio.get_running_loop().time() + pause >= deadline
        return None if late or pause > LONGEST_PAUSE else pause


class Words:
    """The words of one reply: tokens in, sentences out."""

    def __init__(self, reply: Reply) -> None:
        self._reply, self._sentences, self._repetition = reply, Sentences(), Repetition()
        self._flushed = False
        self.said = False
        """Whether there was a sentence."""
        self.repeats = False
        """Whether the reply began to repeat itself: nothing more of it is said."""

    def feed(self, token: str) -> list[Item]:
        """Take a token; return what has become certain."""
        items = self._items(self._reply.feed(token))
        if self._reply.reporting and not self._flushed:
            self._flushed = True
            items += self._new(self._sentences.flush())
        return items

    def _items(self, parts: list[Part]) -> list[Item]:
        items: list[Item] = []
        for part in parts:
            if isinstance(part, str):
                items += self._new(self._sentences.feed(part))
            else:
                if isinstance(part, Retraction):
                    self._sentences.flush()
                items.append(part)
        return items

    def finish(self, *, cut: bool) -> list[Item]:
        """End the reply; return the rest of it.

        :param cut: whether the reply is not whole: then a sentence without an end is left out.
        """
        if self._flushed or self.repeats:
            return []
        items = [] if self._reply.ended else self._items(self._reply.close())
        last = self._sentences.flush()
        if cut:
            last = [piece for piece in last if _WHOLE.search(piece.text)]
        return items + self._new(last)

    def _new(self, pieces: list[Piece]) -> list[Item]:
        new: list[Item] = []
        for piece in pieces:
            if piece.speakable and not self.repeats:
                self.repeats = self._repetition.begins(piece.text)
            if self.repeats:
                break
            self.said = self.said or piece.speakable
            new.append(piece)
        return new


class Attempt:
    """One attempt of one renderer. Read `stream` once; the attributes then say how it went."""

    def __init__(self, engine: Engine[Renderer], prompt: Prompt, limits: Limits) -> None:
        self.engine, self._prompt, self._limits = engine, prompt, limits
        own = (prompt.name, prompt.npc, str(prompt.persona.get("title", "")).split(",")[0])
        self._reply = Reply(own, prompt.labels, (prompt.player, prompt.player_name))
        self._reports = prompt.final_json and engine.capabilities.reports
        self.usage: Usage | None = None
        self.tokens = 0
        self.too_long = False
        self.failure: Failure | None = None
        self.cut = ""
        """What the engine says of a reply that reached `max_tokens`."""

    @property
    def silence(self) -> str:
        """Why a reply without a failure had no words."""
        if self.cut and (self._reply.thinking or not self.tokens):
            return f"{self.cut}: all of it went into thinking. Raise max_tokens, or turn the model's thinking off"
        if self.cut:
            return f"{self.cut} before its first sentence ended. Raise max_tokens"
        return "it only thought, and said nothing" if self._reply.thinking else "it said nothing"

    async def stream(self, options: RenderOptions, first_token_by: float) -> AsyncGenerator[Item]:
        """Yield pieces of sentences. What the renderer's code raises ends the stream and becomes `failure`."""
        holds = self._limits.require_report and self._reports
        waiting: list[Piece | Narration] = []
        try:
            with contained():
                async with aclosing(self._items(options, first_token_by)) as items:
                    async for item in items:
                        if holds and isinstance(item, Retraction):
                            waiting.clear()
                        elif holds and isinstance(item, Piece | Narration):
                            waiting.append(item)
                        else:
                            yield item
                if holds and (outcome := self._outcome()) != "ok":
                    reason = f"FINAL_JSON: {outcome}"
                    raise EngineError(reason, engine_at_fault=False, public=reason)
                for held in waiting:
                    yield held
        except TimeoutError:
            what = "between two tokens" if self.tokens else "for its first token"
            self.failure = Failure("renderer_timeout", f"it took too long {what}")
        except EngineError as error:
            self.failure = Failure(
                "renderer_failed",
                str(error),
                error.retryable,
                error.retry_after or 0.0,
                error.engine_at_fault,
                error.public,
            )
        except Exception as error:  # noqa: BLE001  the renderer's code
            self.failure = Failure("renderer_failed", str(error) or repr(error), public="it failed")
        finally:
            METRICS.tokens.labels(self.engine.name).inc(self.tokens)

    async def _items(self, options: RenderOptions, first_token_by: float) -> AsyncGenerator[Item]:
        words = Words(self._reply)
        characters = 0
        async with (
            _closed(self.engine.provider.render(self._prompt, options)) as tokens,
            Deadline(first_token_by, self._limits.token) as deadline,
        ):
            try:
                async for token in tokens:
                    if isinstance(token, Usage):
                        self.usage = token
                        continue
                    if not isinstance(token, str):
                        raise EngineError(f"it yielded {token!r:.60}, which is not text")
                    if not self.tokens:
                        yield FirstToken(self.engine.name)
                    self.tokens += 1
                    room = self._limits.characters - characters
                    characters += len(token)
                    if items := words.feed(token[:room]):
                        deadline.stop()  # the gate and the voice have time limits of their own
                        for item in items:
                            yield item
                    self.too_long = words.repeats or (
                        characters > self._limits.characters and not self._reply.reporting
                    )
                    if self.too_long or characters > self._limits.characters or self._reply.ended:
                        break
                    deadline.renew()
            except ReplyTooLong as error:
                self.too_long = not self._reply.reporting
                self.cut = str(error)
        for item in words.finish(cut=bool(self.cut) or (self.too_long and words.said)):
            yield item

    def trace(self, attempts: int) -> Trace:
        """Return how the words came about: attempts, usage and the model's report."""
        trace = _trace(self._prompt)
        trace.attempts = attempts
        trace.usage = self.usage
        trace.final_json = self._outcome()
        trace.report = self._reply.report()
        if trace.final_json:
            METRICS.final_json.labels(trace.final_json).inc()
        return trace

    def _outcome(self) -> str:
        """Return what became of the report; empty for a renderer that was not asked for one."""
        plain = str(self._prompt.persona.get("plain_action", self._prompt.action))
        return self._reply.outcome(self._prompt.action, plain) if self._reports else ""


@asynccontextmanager
async def _closed(tokens: AsyncIterator[str | Usage]) -> AsyncGenerator[AsyncIterator[str | Usage]]:
    """Close a renderer's iterator at the end, if it can be closed: that stops the engine at once."""
    try:
        yield tokens
    finally:
        close = getattr(tokens, "aclose", None)
        if close is not None:
            await close()


def _trace(prompt: Prompt) -> Trace:
    return Trace(prompt_tokens=prompt.tokens, notes=list(prompt.notes), memories=list(prompt.provenance))

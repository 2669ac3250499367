"""One turn, from the player's words to the stored outcome. Reads top to bottom like the picture:

gate(input) ▶ abstract ▶ candidates + safety ▶ policy ▶ `decision` ▶ prompt ▶ render ▶ sentences ▶ gate(output)
▶ text and speech at once ▶ state machine ▶ store ▶ `turn.finished`
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from rfsn_core import events
from rfsn_core.dialogue.outbox import Audio, Outbox
from rfsn_core.dialogue.sentences import Piece, Sentences
from rfsn_core.errors import RfsnError, SlowClient, StoreError
from rfsn_core.memory.spool import Spool
from rfsn_core.operations.logs import logger
from rfsn_core.operations.metrics import METRICS
from rfsn_core.providers import (
    SEVERITY, Arm, Context, Prompt, Renderer, RenderOptions, Scope, Selection, TurnRecord, Utterance, Verdict,
    Voice, VoiceStyle,
)  # fmt: skip
from rfsn_core.runtime import Runtime
from rfsn_core.world.candidates import Candidates, Situation, candidates
from rfsn_core.world.folder import Npc
from rfsn_core.world.scoring import score_actions, score_styles
from rfsn_core.world.signals import classify
from rfsn_core.world.state import NpcState
from rfsn_core.world.transitions import after, hear, perceive

log = logger("turn")

FALLBACK_LINE = "Let us speak of something else."
AUDIO_FRAME = 8192
"""Largest binary frame's samples, in bytes: about 0.2 s at 22 kHz."""


@dataclass
class Session:
    """One NPC with one player in one world, while it is in memory."""

    scope: Scope
    state: NpcState | None = None
    """None until it was loaded."""
    recent: deque[TurnRecord] = field(default_factory=lambda: deque(maxlen=50))
    loading: asyncio.Lock = field(default_factory=asyncio.Lock)
    last: asyncio.Task[None] | None = None
    """The newest turn, which the next one waits for."""
    waiting: int = 0
    used: float = 0.0


@dataclass(frozen=True)
class Request:
    """What is to be answered, and where the answer goes."""

    turn_id: str
    turn_no: int
    scope: Scope
    npc: Npc
    text: str
    game: Mapping[str, Any]
    signal: str
    outbox: Outbox
    wants: events.Hello
    arrived: float
    """`time.perf_counter()` when the message came in."""


class Turn:
    """One turn. `run` pushes events into the request's outbox and returns when all is stored."""

    def __init__(self, request: Request, runtime: Runtime, session: Session, spool: Spool, options: RenderOptions):
        self.request, self.runtime, self.session = request, runtime, session
        self._spool, self._options = spool, options
        self._operations = runtime.settings.operations
        self.cancel_reason = "cancelled"
        self.heard: tuple[int, int] | None = None
        """(sentence, ms) up to which the client has acknowledged playback."""
        self.decision: events.Decision | None = None
        self.latency = events.Latency()
        self._said: list[tuple[int, str]] = []
        self._reason = "complete"
        self._renderer = ""
        self._blocked_index = -1
        self._fallback_said = False
        self._state = NpcState()
        self._player_text = request.text
        self._ended = False

    async def run(self) -> None:
        """The turn. Only SlowClient and the cancellation of the whole server come out of here."""
        request = self.request
        METRICS.active_turns.inc()
        try:
            self._emit(events.TurnStarted(
                turn_id=request.turn_id, turn_no=request.turn_no, npc=request.npc.id, player=request.scope.player,
            ))  # fmt: skip
            await self.load()
            verdict = await self._check_input()
            self._state = self._perceive(verdict)
            self.decision = self._decide(verdict)
            self._mark("decision")
            self._emit(self.decision)
            prompt = await self._prompt(verdict)
            await self._say(prompt)
            self._state = after(self._state, self.runtime.actions[self.decision.action])
            durable = await self._store(self._reason, self._text())
            self._emit(self._state_event())
            self._mark("total")
            self._emit(events.TurnFinished(
                turn_id=request.turn_id, decision_id=self.decision.decision_id, text=self._text(),
                reason=self._reason, renderer=self._renderer, durable=durable, latency=self.latency,
            ))  # fmt: skip
            self._ended = True
            METRICS.turns.labels(self._reason).inc()
        except asyncio.CancelledError:
            await self._cancelled()
            raise
        except SlowClient:
            self.cancel_reason = "disconnected"
            await self._cancelled()
            raise
        except Exception as error:  # noqa: BLE001  whatever failed, the client is told and the server goes on
            self._failed(error)
        finally:
            METRICS.active_turns.dec()

    def close(self) -> None:
        """The turn's task has ended; called once, also when it was cancelled before its first step."""
        self.runtime.release()
        if not self._ended:
            self._emit_quietly(events.TurnCancelled(
                turn_id=self.request.turn_id, text="", reason=self.cancel_reason,
            ))  # fmt: skip

    # ── before the words ─────────────────────────────────────────────────────────────────────────

    async def load(self) -> None:
        """The NPC's state and last turns, from the store on the session's first turn."""
        session, runtime = self.session, self.runtime
        async with session.loading:
            if session.state is not None:
                return
            async with asyncio.timeout(self._operations.store_timeout):
                stored = await runtime.store.load(session.scope)
                recent = await runtime.store.recent(session.scope, runtime.settings.memory.recent)
            session.recent.extend(recent)
            session.state = NpcState.from_plain(stored) if stored else self.request.npc.initial

    async def _check_input(self) -> Verdict:
        verdict = await self._gate(self.request.text, "player")
        METRICS.inputs.labels(verdict.kind).inc()
        if verdict.kind == "rewrite":
            self._player_text = verdict.text
        elif verdict.kind != "allow":
            self._player_text = ""
        return verdict

    def _perceive(self, verdict: Verdict) -> NpcState:
        assert self.session.state is not None
        state = perceive(self.session.state, self.request.game)
        self._signal = self.request.signal or classify(self._player_text)
        return hear(state, self._signal, verdict.sentiment)

    def _decide(self, verdict: Verdict) -> events.Decision:
        """Abstraction, candidates under the safety rules, and the policy's choice in both slots."""
        request, runtime, state = self.request, self.runtime, self._state
        situation = Situation(state, self._signal, request.game)
        plain = state.plain() | {"signal": self._signal}
        abstraction = runtime.abstractor.abstract(request.game, plain)
        if verdict.kind in ("block", "needs_approval"):
            found = Candidates({"deflect": "the player's text was stopped"}, {}, forced_by=f"gate:{verdict.reasons[0]}")
        else:
            changes = self._hook_changes(situation)
            found = candidates(situation, runtime.actions, runtime.rules, changes)
        file = request.npc.file
        scores = score_actions(situation, found, runtime.actions, runtime.weights, file.actions)
        decision_id = uuid.uuid4().hex
        session = "/".join((request.scope.world, request.scope.npc, request.scope.player))
        context = Context(decision_id, "action", request.npc.id, session, abstraction)
        arms = [Arm(name, score) for name, score in scores.items()]
        choice = self._select(context, arms)
        hostile = runtime.actions[choice.arm].hostile
        styles = [Arm(name, score) for name, score in score_styles(situation, hostile, file.styles).items()]
        style = self._select(Context(decision_id, "style", request.npc.id, session, abstraction, choice.arm), styles)
        METRICS.actions.labels(choice.arm).inc()
        return events.Decision(
            turn_id=request.turn_id, decision_id=decision_id, npc=request.npc.id, action=choice.arm, style=style.arm,
            signal=self._signal, key=abstraction.key, key_version=abstraction.version,
            policy=f"{runtime.policy_name} {runtime.policy.version}",
            candidates=[
                events.Candidate(action=arm.name, score=score, propensity=propensity, why=found.reasons[arm.name])
                for arm, score, propensity in zip(arms, choice.scores, choice.propensities, strict=True)
            ],
            vetoes=[events.Veto(action=action, rule=rule) for action, rule in found.vetoes.items()],
            forced_by=found.forced_by, latency_ms=self._elapsed(),
        )  # fmt: skip

    def _hook_changes(self, situation: Situation) -> list[Mapping[str, str | None]]:
        hook = self.runtime.observers.candidates
        if not hook:
            return []
        known = tuple(self.runtime.actions)
        return [change for _, change in hook(situation=situation, candidates=known) if isinstance(change, Mapping)]

    def _select(self, context: Context, arms: list[Arm]) -> Selection:
        """The policy's choice; the best prior when the policy fails or answers nonsense."""
        try:
            choice = self.runtime.policy.select(context, arms)
            total = sum(choice.propensities)
            if (
                choice.arm in {arm.name for arm in arms}
                and len(choice.propensities) == len(choice.scores) == len(arms)
                and abs(total - 1) < 1e-6
            ):
                return choice
            problem = f"chose '{choice.arm}', propensities sum to {total}"
        except Exception as error:  # noqa: BLE001  the policy's code
            problem = repr(error)
        METRICS.errors.labels("selection").inc()
        log.error("policy failed; the best prior is taken", policy=self.runtime.policy_name, problem=problem)
        best = max(range(len(arms)), key=lambda index: arms[index].prior)
        sure = tuple(float(index == best) for index in range(len(arms)))
        return Selection(arms[best].name, sure, tuple(arm.prior for arm in arms))

    async def _prompt(self, verdict: Verdict) -> Prompt:
        request, runtime, session, decision = self.request, self.runtime, self.session, self.decision
        assert decision is not None
        memory = runtime.settings.memory
        recent = list(session.recent)[-memory.recent :] if memory.recent else []
        known = recent
        if memory.related and self._player_text and self._state.turns > memory.recent:
            known = [*await self._related(memory.related, {turn.turn_id for turn in recent}), *recent]
        prompt = runtime.prompts.build(
            npc=request.npc, player=request.scope.player, text=self._player_text,
            action=runtime.actions[decision.action], style=decision.style, state=self._state,
            memories=[f"The player said: {t.player_text} — You answered: {t.npc_text}" for t in known if t.npc_text],
            game=request.game, avoid=[turn.npc_text for turn in recent[-3:]],
            seed=f"{runtime.settings.world.seed}/{context_seed(request.scope)}/{self._state.turns}/{self._player_text}",
        )  # fmt: skip
        for plugin, changed in runtime.observers.prompt(prompt=prompt) if runtime.observers.prompt else ():
            if isinstance(changed, Prompt):
                prompt = changed
            else:
                log.warning("rfsn_prompt must return a Prompt or None", plugin=plugin.name, version=plugin.version)
        return prompt

    async def _related(self, limit: int, seen: set[str]) -> list[TurnRecord]:
        try:
            async with asyncio.timeout(self._operations.store_timeout):
                found = await self.runtime.store.search(self.session.scope, self._player_text, limit + len(seen))
        except (StoreError, TimeoutError) as error:
            METRICS.errors.labels("storage").inc()
            log.warning("search failed; the turn goes on without it", error=repr(error))
            return []
        return [turn for turn in found if turn.turn_id not in seen][:limit]

    # ── the words, and their voice ───────────────────────────────────────────────────────────────

    async def _say(self, prompt: Prompt) -> None:
        """Text and speech at once; cancelling the turn cancels both and the engines behind them."""
        voices = [(name, voice) for name, voice in self.runtime.voices if voice.sample_rate > 0]
        if not (voices and self.request.wants.audio):
            await self._render(prompt, None)
            return
        queue: asyncio.Queue[tuple[int, str] | None] = asyncio.Queue(self._operations.speech_queue)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._speak(queue, voices))
                await self._render(prompt, queue)
                await queue.put(None)
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None

    async def _render(self, prompt: Prompt, queue: asyncio.Queue[tuple[int, str] | None] | None) -> None:
        """Stream from the first renderer that says anything; what was said stands when it fails later."""
        for position, (name, renderer) in enumerate(self.runtime.renderers):
            self._renderer = name
            if position:
                METRICS.fallbacks.labels("rendering").inc()
            try:
                await self._stream(renderer, prompt, queue)
                if self._said:
                    return
                log.warning("renderer said nothing", renderer=name, npc=self.request.npc.id)
            except TimeoutError:
                self._reason = "renderer_timeout"
                log.warning("renderer took too long", renderer=name, npc=self.request.npc.id)
            except SlowClient:
                raise
            except Exception as error:  # noqa: BLE001  the renderer's code
                self._reason = "renderer_failed"
                log.warning("renderer failed", renderer=name, npc=self.request.npc.id, error=repr(error))
            METRICS.errors.labels("rendering").inc()
            if self._said:
                return
            self._reason = "complete"
        self._reason = "renderer_failed"
        await self._piece(Piece(0, self.request.npc.file.fallback or FALLBACK_LINE, True), queue)

    async def _stream(self, renderer: Renderer, prompt: Prompt, queue: Any) -> None:
        operations = self._operations
        sentences = Sentences()
        loop = asyncio.get_running_loop()
        tokens = 0
        received = 0
        stream = renderer.render(prompt, self._options)
        try:
            async with asyncio.timeout(operations.first_token_timeout) as deadline:
                async for token in stream:
                    if not tokens:
                        self._mark("first_token")
                    tokens += 1
                    received += len(token)
                    pieces = sentences.feed(token)
                    if pieces:
                        deadline.reschedule(None)  # the gate and the voice have time limits of their own
                        for piece in pieces:
                            await self._piece(piece, queue)
                    if received > operations.max_reply:
                        self._reason = "too_long"
                        break
                    deadline.reschedule(loop.time() + operations.token_timeout)
        finally:
            METRICS.tokens.labels(self._renderer).inc(tokens)
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()
        for piece in sentences.flush():
            await self._piece(piece, queue)

    async def _piece(self, piece: Piece, queue: asyncio.Queue[tuple[int, str] | None] | None) -> None:
        """Gate a sentence, send it, and hand it to the voice."""
        if not piece.first or not any(map(str.isalnum, piece.text)):
            if self._said and self._blocked_index != piece.index:
                self._release(piece.index, piece.text)
            return
        text = piece.text
        verdict = await self._gate(text.strip(), "npc")
        METRICS.sentences.labels(verdict.kind).inc()
        if verdict.kind != "allow":
            self._emit(events.SentenceBlocked(
                turn_id=self.request.turn_id, index=piece.index, verdict=verdict.kind, reasons=list(verdict.reasons),
            ))  # fmt: skip
            if verdict.kind == "rewrite" and verdict.text.strip():
                text = verdict.text.strip() + text[len(text.rstrip()) :]
            else:
                self._blocked_index = piece.index
                if self._fallback_said:
                    return
                self._fallback_said = True
                text = (self.request.npc.file.fallback or FALLBACK_LINE) + " "
        if self.latency.first_sentence is None:
            self._mark("first_sentence")
        self._release(piece.index, text)
        self._emit(events.Sentence(turn_id=self.request.turn_id, index=piece.index, text=text.strip()))
        if queue is not None:
            METRICS.speech_queue.inc()
            await queue.put((piece.index, text.strip()))

    def _release(self, index: int, text: str) -> None:
        self._said.append((index, text))
        if self.request.wants.text:
            self._emit(events.Text(turn_id=self.request.turn_id, delta=text))

    async def _speak(self, queue: asyncio.Queue[tuple[int, str] | None], voices: list[tuple[str, Voice]]) -> None:
        """Voice the sentences in order; when a voice fails the next one takes over, in the end none."""
        request = self.request
        while (item := await queue.get()) is not None:
            METRICS.speech_queue.dec()
            index, text = item
            while voices:
                name, voice = voices[0]
                style = request.npc.voice
                if special := request.npc.file.voices.get(name):
                    style = VoiceStyle(special, style.rate, style.pitch, style.volume)
                try:
                    await self._voice(voice, index, text, style)
                    break
                except SlowClient:
                    raise
                except Exception as error:  # noqa: BLE001  the voice's code: speech degrades, the text goes on
                    METRICS.errors.labels("speech").inc()
                    log.warning("voice failed", voice=name, npc=request.npc.id, error=repr(error))
                    voices.pop(0)
                    if voices:
                        METRICS.fallbacks.labels("speech").inc()
                    else:
                        reason = "timeout" if isinstance(error, TimeoutError) else str(error) or repr(error)
                        self._emit(events.SpeechOff(turn_id=request.turn_id, reason=f"{name}: {reason}"))

    async def _voice(self, voice: Voice, index: int, text: str, style: VoiceStyle) -> None:
        request = self.request
        outbox, rate = request.outbox, voice.sample_rate
        sequence, size, dropped = 0, 0, 0
        loop = asyncio.get_running_loop()
        patience = self._operations.speech_timeout
        async with aclosing(voice.speak(text, style)) as stream, asyncio.timeout(patience) as deadline:  # type: ignore[type-var]
            async for speech in stream:
                deadline.reschedule(None)
                if sequence == 0 and size == 0:
                    self._emit(events.SpeechStarted(
                        turn_id=request.turn_id, turn_no=request.turn_no, sentence=index, sample_rate=rate,
                    ))  # fmt: skip
                if speech.visemes and request.wants.visemes:
                    self._emit(events.Visemes(turn_id=request.turn_id, sentence=index, visemes=list(speech.visemes)))
                for start in range(0, len(speech.pcm), AUDIO_FRAME):
                    pcm = speech.pcm[start : start + AUDIO_FRAME]
                    frame = events.audio_frame(index, request.turn_no, sequence, pcm)
                    kept = await outbox.put_audio(Audio(request.turn_no, frame))
                    dropped += not kept
                    sequence += 1
                    size += len(pcm)
                    if self.latency.first_audio is None:
                        self._mark("first_audio")
                if dropped and outbox.policy == "reject":
                    break
                deadline.reschedule(loop.time() + patience)
        if size:
            await outbox.put_audio(
                Audio(request.turn_no, events.audio_frame(index, request.turn_no, sequence, b"", last=True))
            )
            METRICS.audio_seconds.inc(size / 2 / rate)
            self._emit(events.SpeechFinished(
                turn_id=request.turn_id, sentence=index, duration_ms=size * 500 // rate, dropped=dropped,
            ))  # fmt: skip

    # ── after the words ──────────────────────────────────────────────────────────────────────────

    async def _gate(self, text: str, side: str) -> Verdict:
        """All gates, one after the other; the most severe verdict wins, and a gate that fails blocks."""
        worst: Verdict | None = None
        utterance = Utterance(
            text, side, self.request.npc.id, self.decision.action if self.decision else "", self._state.in_combat
        )
        for gate in self.runtime.gates:
            try:
                async with asyncio.timeout(self._operations.gate_timeout):
                    verdict = await gate.check(utterance)
                severity = SEVERITY[verdict.kind]
            except Exception as error:  # noqa: BLE001  the gate's code: fail closed
                METRICS.errors.labels("gating").inc()
                log.error("gate failed: the text is blocked", side=side, error=repr(error))
                verdict, severity = Verdict("block", ("gate_failed",)), SEVERITY["block"]
            if worst is None or severity > SEVERITY[worst.kind]:
                worst = verdict
            if verdict.kind not in ("allow", "rewrite"):
                break
        if worst is None:
            return Verdict("block", ("no_gate",))
        return worst if worst.reasons or worst.kind == "allow" else Verdict(worst.kind, ("unspecified",), worst.text)

    async def _store(self, outcome: str, text: str) -> bool:
        """Turn, decision and state, all or nothing; spooled on disk when the store is away."""
        decision, request = self.decision, self.request
        assert decision is not None
        record = TurnRecord(
            turn_id=decision.decision_id, scope=request.scope, time=time.time(), player_text=self._player_text,
            npc_text=text, outcome=outcome, decision_id=decision.decision_id,
            decision=_plain(decision), state=self._state.plain(),
        )  # fmt: skip
        durable = await self.keep(record)
        self.session.state = self._state
        return durable

    async def keep(self, record: TurnRecord) -> bool:
        """Store a record, or spool it: False. Raises StoreError when the disk takes neither."""
        durable = True
        try:
            async with asyncio.timeout(self._operations.store_timeout):
                await self.runtime.store.append(record)
        except Exception as error:  # noqa: BLE001  the store's code: nothing acknowledged may be lost
            METRICS.errors.labels("storage").inc()
            log.error("the store is away; the turn is spooled", error=repr(error), spool=str(self._spool.path))
            await asyncio.to_thread(self._spool.append, record)
            durable = False
        self.session.recent.append(record)
        return durable

    async def _cancelled(self) -> None:
        """Barge-in: silence what is queued, remember what was delivered."""
        request = self.request
        request.outbox.purge(request.turn_no)
        text = self._text(heard=True)
        if self.decision is not None:
            if text:
                self._state = after(self._state, self.runtime.actions[self.decision.action])
            try:
                await self._store("cancelled", text)
            except StoreError as error:
                log.error("a cancelled turn could not be stored", error=str(error))
        self._ended = True
        self._emit_quietly(events.TurnCancelled(turn_id=request.turn_id, text=text, reason=self.cancel_reason))
        METRICS.turns.labels("cancelled").inc()

    def _failed(self, error: Exception) -> None:
        known = isinstance(error, RfsnError)
        code = error.code if isinstance(error, RfsnError) else "internal"
        message = str(error) if known else f"{type(error).__name__}: the turn could not be carried out"
        if known:
            log.warning("turn failed", turn_id=self.request.turn_id, code=code, error=message)
        else:
            log.error("turn failed", turn_id=self.request.turn_id, exc_info=error)
        METRICS.turns.labels("failed").inc()
        self.request.outbox.purge(self.request.turn_no)
        self._ended = True
        self._emit_quietly(events.TurnFailed(turn_id=self.request.turn_id, code=code, message=message))

    # ── small things ─────────────────────────────────────────────────────────────────────────────

    def _text(self, *, heard: bool = False) -> str:
        """All that was said; with `heard`, only as far as the player is known to have heard it."""
        limit = self.heard[0] if heard and self.heard is not None else None
        return "".join(text for index, text in self._said if limit is None or index <= limit).strip()

    def _elapsed(self) -> float:
        return round((time.perf_counter() - self.request.arrived) * 1000, 3)

    def _mark(self, milestone: str) -> None:
        elapsed = self._elapsed()
        setattr(self.latency, milestone, elapsed)
        METRICS.latency.labels(milestone).observe(elapsed / 1000)

    def _state_event(self) -> events.State:
        return state_event(self.request.scope, self._state, self.request.turn_id)

    def _emit(self, event: events.Message) -> None:
        self.request.outbox.put(event)
        if self.runtime.observers.event:
            self.runtime.observers.event(event=event, npc=self.request.npc.id, player=self.request.scope.player)


    def _emit_quietly(self, event: events.Message) -> None:
        try:
            self._emit(event)
        except SlowClient:
            log.info("client too slow for the end of its turn", turn_id=self.request.turn_id)


def state_event(scope: Scope, state: NpcState, turn_id: str = "") -> events.State:
    """A state, as the client sees it."""
    event = events.State(
        npc=scope.npc, player=scope.player, world=scope.world, mood=state.mood, affinity=round(state.affinity, 4),
        trust=round(state.trust, 4), fear=round(state.fear, 4), relationship=state.relationship,
    )  # fmt: skip
    if turn_id:
        event.turn_id = turn_id
    return event


def context_seed(scope: Scope) -> str:
    """What makes two sessions' choices of words differ."""
    return f"{scope.world}/{scope.npc}/{scope.player}"


def _plain(decision: events.Decision) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(decision)
    return plain

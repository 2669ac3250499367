"""One turn, from the player's words to the stored outcome. Reads top to bottom like the picture:

gate(input) ▶ decide (abstract ▶ candidates + safety ▶ policy) ▶ `decision` ▶ prompt ▶ render ▶ sentences
▶ gate(output) ▶ text and speech at once ▶ state machine ▶ store ▶ `turn.finished`
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid

from rfsn_core import protocol
from rfsn_core.contract.actions import Situation
from rfsn_core.contract.errors import RfsnError, StaleSave, StoreError, contained
from rfsn_core.contract.gating import Utterance, Verdict
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.rendering import Prompt, RenderOptions
from rfsn_core.contract.speech import VoiceStyle
from rfsn_core.contract.storage import MemoryKind, MemoryRecord, Scope, TurnRecord
from rfsn_core.conversation.conversation import Conversation
from rfsn_core.learning.records import decision_record, state_change
from rfsn_core.learning.rewards import Channel
from rfsn_core.memory.beliefs import believed
from rfsn_core.memory.retrieval import fuse, rank_hits, rank_memories
from rfsn_core.memory.update import with_changes
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn import gates
from rfsn_core.turn import rendering as wording
from rfsn_core.turn.request import Request
from rfsn_core.turn.runtime import Runtime
from rfsn_core.turn.sentences import Piece
from rfsn_core.turn.speech import Speaker, expressed, until
from rfsn_core.world.decision import Made
from rfsn_core.world.signals import classify
from rfsn_core.world.transitions import adopt, after, drift, hear, perceive

log = logger("turn")

FALLBACK_LINE = "Let us speak of something else."
"""Said in place of a blocked line by an NPC whose file has no `fallback`."""


MOST_NEAR = 40
"""Turns of those found by meaning that are weighed beside those found by word."""
MOST_COUNTED = 4
"""Sentences from the memory card that a renderer sees."""


class Turn:
    """One turn. `run` pushes events into the request's outbox and returns when all is stored."""

    def __init__(
        self,
        request: Request,
        runtime: Runtime,
        conversation: Conversation,
        channel: Channel,
        options: RenderOptions,
        queue: int = 0,
    ) -> None:
        self.request, self.runtime, self.conversation = request, runtime, conversation
        self._channel = channel
        self.decision_id = ""
        self._made: Made | None = None
        self._at_start = self._before = NpcState()  # when the turn began, and when it decided
        self._prior = ""
        self.latency = protocol.Latency()
        self.cancel_reason = "cancelled"
        self.heard: tuple[int, int] | None = None
        """(sentence, ms) up to which the client has acknowledged playback."""
        self.summed_up = False
        """Whether a summary of the conversation was due."""
        self._options, self._queue = options, queue
        self._operations = runtime.settings.operations
        self._player_text = request.text
        self._state = NpcState()
        self._speaker: Speaker | None = None
        self._said: list[tuple[int, str]] = []
        self._blocked = -1  # the sentence that the gate stopped last
        self._fallback_said = False
        self._over = False

    async def preview(self) -> Prompt:
        """What would be asked of a renderer; nothing is said or stored. Raises StoreError."""
        self._state = await self.conversation.load(self.runtime, self.request.npc.initial)
        return await self._prompt(self._decide(await self._gate_input()))

    async def run(self) -> None:
        """The turn. Only cancellation comes out of here."""
        METRICS.active_turns.inc()
        try:
            with contained():
                await self._run()
        except asyncio.CancelledError:
            await self._cancelled()
            raise
        except StaleSave:
            self._undone()
        except Exception as error:  # noqa: BLE001  whatever failed, the client is told and the server goes on
            self._failed(error)
        finally:
            METRICS.active_turns.dec()

    async def _run(self) -> None:
        request, turn_id = self.request, self.request.turn_id
        self._emit(
            protocol.TurnStarted(
                turn_id=turn_id, turn_no=request.turn_no, npc=request.npc.id, player=request.scope.player
            )
        )
        self._state = self._at_start = await self.conversation.load(self.runtime, request.npc.initial)
        self._compare()
        verdict = await self._gate_input()
        decision = self._decide(verdict)
        self._emit(decision)
        prompt = await self._prompt(decision)
        words = await self._word_and_speak(prompt)
        self._state = after(self._state, self.runtime.decider.actions[decision.action])
        durable = await self._store(decision, words.reason, self._text(), words.trace.final_json)
        self._mark("total")
        self._emit(state_event(request.scope, self._state, turn_id))
        self._emit(
            protocol.TurnFinished(
                turn_id=turn_id,
                decision_id=decision.decision_id,
                text=self._text(),
                reason=words.reason,
                renderer=words.renderer,
                durable=durable,
                latency=self.latency,
                trace=words.trace,
            )
        )
        self._over = True
        METRICS.turns.labels(words.reason).inc()

    @property
    def blocked(self) -> bool:
        """Whether the gate stopped a sentence of the NPC."""
        return self._blocked >= 0

    @property
    def overran(self) -> bool:
        """Whether the NPC said more than the player would hear: it was cut off, or its voice fell behind."""
        interrupted = self.cancel_reason == "barge_in" and self.latency.first_audio is not None
        return interrupted or self.left_out > 0

    @property
    def waiting(self) -> int:
        """Sentences that wait for the voice."""
        return len(self._speaker.delivery) if self._speaker else 0

    @property
    def left_out(self) -> int:
        """Sentences that were not spoken, for want of room or time."""
        return self._speaker.left_out if self._speaker else 0

    def resize_queue(self, bound: int) -> None:
        """How many sentences may wait for the voice, from now on."""
        self._queue = bound
        if self._speaker:
            self._speaker.delivery.resize(bound)

    @property
    def prior_decision_id(self) -> str:
        """Of the session's decision before this one."""
        return self._prior

    def close(self) -> None:
        """The turn's task has ended; called once, also when it was cancelled before its first step."""
        self.runtime.release()
        self._channel.end(self.decision_id)
        if not self._over:
            self._emit(protocol.TurnCancelled(turn_id=self.request.turn_id, text="", reason=self.cancel_reason))

    # ── before the words ─────────────────────────────────────────────────────────────────────────

    async def _gate_input(self) -> Verdict:
        verdict = await self._gate(self.request.text, "player")
        METRICS.inputs.labels(verdict.kind).inc()
        if verdict.kind == "rewrite":
            self._player_text = verdict.text
        elif verdict.kind != "allow":
            self._player_text = ""  # neither the renderer nor the memory sees it
        return verdict

    def _compare(self) -> None:
        """The game may say how it believes the NPC to feel: tell where we differ, and follow it if told to."""
        request = self.request
        if drifted := drift(self._state, request.game):
            adopted = self.runtime.settings.world.drift == "adopt"
            log.warning("the game and we differ on an NPC", player=request.scope.player, drift=drifted, adopted=adopted)
            METRICS.drift.inc()
            self._emit(
                protocol.StateDrift(
                    turn_id=request.turn_id,
                    npc=request.npc.id,
                    ours={name: ours for name, (ours, _) in drifted.items()},
                    game={name: theirs for name, (_, theirs) in drifted.items()},
                    adopted=adopted,
                )
            )
            if adopted:
                self._state = adopt(self._state, drifted)

    def _decide(self, verdict: Verdict) -> protocol.Decision:
        request, runtime = self.request, self.runtime
        signal = request.signal or classify(self._player_text)
        self._state = hear(perceive(self._state, request.game), signal, verdict.sentiment)
        situation = Situation(self._state, signal, request.game)
        self.decision_id = self._new_id()
        self._prior = self.conversation.last_decision
        self._channel.begin(self.decision_id)
        self._before = self._state
        self._made = runtime.decider.decide(
            situation,
            request.npc,
            request.scope,
            self.decision_id,
            stopped_by=verdict.reasons[0] if verdict.kind not in ("allow", "rewrite") else "",
            changes=runtime.hooks.changes(situation, runtime.decider.actions),
        )
        decision = self._made.event
        METRICS.actions.labels(decision.action).inc()
        self._mark("decision")
        decision.turn_id = request.turn_id
        decision.latency_ms = self.latency.decision or 0.0
        return decision

    def _new_id(self) -> str:
        """A fresh id; the same one in a second run when learning is disabled."""
        if self.runtime.settings.learning.enabled:
            return uuid.uuid4().hex
        conversation = self.request.scope.conversation
        story = (self.runtime.settings.world.seed, conversation, self._state.turns, self.conversation.last_decision)
        return hashlib.blake2b(repr(story).encode(), digest_size=16).hexdigest()

    async def _prompt(self, decision: protocol.Decision) -> Prompt:
        request, runtime, scope = self.request, self.runtime, self.request.scope
        memory = runtime.settings.memory
        recent = list(self.conversation.recent)[-memory.recent :] if memory.recent else []
        related: list[TurnRecord] = []
        if memory.related and self._player_text and self._state.turns > memory.recent:
            related = await self._related(memory.related, {turn.turn_id for turn in recent})
        prompt = runtime.prompts.build(
            npc=request.npc,
            player=scope.player,
            text=self._player_text,
            action=runtime.decider.actions[decision.action],
            style=decision.style,
            state=self._state,
            related=related,
            recent=recent,
            known=self._known(memory.known),
            counted=self.conversation.card.lines()[:MOST_COUNTED],
            game=request.game,
            seed=f"{runtime.settings.world.seed}/{scope.save}/{scope.npc}/{scope.player}"
            f"/{self._state.turns}/{self._player_text}",
        )
        return runtime.hooks.changed_prompt(prompt)

    def _known(self, limit: int) -> list[MemoryRecord]:
        """What comes to the NPC's mind."""
        now = time.time()
        return rank_memories(believed(self.conversation.memories.values(), now), self._player_text, now, limit)

    async def _related(self, limit: int, seen: set[str]) -> list[TurnRecord]:
        try:
            with contained():
                async with asyncio.timeout(self._operations.store_timeout):
                    found = await self.runtime.store.search(
                        self.conversation.scope, self._player_text, limit + len(seen)
                    )
        except Exception as error:  # noqa: BLE001  the store's code: the past is welcome, not needed
            METRICS.errors.labels("storage").inc()
            log.warning("search failed; the turn goes on without it", error=repr(error))
            return []
        try:
            near = await self.conversation.by_meaning(self.runtime, self._player_text, MOST_NEAR)
        except Exception as error:  # noqa: BLE001  the embedder's code: words are enough
            METRICS.errors.labels("embedding").inc()
            log.warning("what was said in other words cannot be found", error=repr(error))
            near = []
        if near:
            found = fuse(found, near, limit + len(seen))
        hits = rank_hits((hit for hit in found if hit.turn.turn_id not in seen), time.time())
        return [hit.turn for hit in hits[:limit]]

    # ── the words, and their voice ───────────────────────────────────────────────────────────────

    async def _word_and_speak(self, prompt: Prompt) -> wording.Wording:
        """Text and speech at once; cancelling the turn cancels both and the engines behind them."""
        voices = [each for each in self.runtime.voices if each.provider.sample_rate > 0]
        if not (voices and self.request.wants.audio):
            return await self._word(prompt)
        request, speech = self.request, self.runtime.settings.speech
        self._speaker = speaker = Speaker(
            voices,
            request.npc,
            self._manner(),
            request.turn_id,
            request.turn_no,
            request.outbox,
            self._emit,
            visemes=request.wants.visemes,
            audio_format=request.wants.audio_format,
            rate=request.wants.sample_rate,
            gap=speech.gap_ms,
            patience=self._operations.speech_timeout,
            queue=self._queue or speech.queue,
            when_full=speech.when_full,
            too_late=speech.queue_seconds,
            first_audio=lambda: self._mark("first_audio"),
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(speaker.run())
                words = await self._word(prompt)
                speaker.delivery.finish()
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        return words

    def _manner(self) -> VoiceStyle:
        """How the NPC sounds now."""
        plain = self.request.npc.voice
        if self._made is None or not self.runtime.settings.speech.expressive:
            return plain
        return expressed(plain, self._state.mood, self._made.event.style)

    async def _word(self, prompt: Prompt) -> wording.Wording:
        operations, rendering = self._operations, self.runtime.settings.rendering
        words = await wording.word(
            self.runtime.renderers,
            prompt,
            self._options,
            wording.Limits(
                operations.first_token_timeout,
                operations.token_timeout,
                operations.max_reply,
                rendering.attempts,
                rendering.retry_seconds,
                rendering.final_json == "require",
            ),
            self._release,
            lambda: self._mark("first_token"),
            self._switched,
        )
        if usage := words.trace.usage:
            METRICS.engine_tokens.labels("prompt").inc(usage.prompt_tokens or 0)
            METRICS.engine_tokens.labels("completion").inc(usage.completion_tokens or 0)
        if not words.said:
            await self._release(Piece(0, self._fallback(), True))
        return words

    def _switched(self, failed: str, to: str, reason: str) -> None:
        self._emit(protocol.RendererSwitched(turn_id=self.request.turn_id, failed=failed, next=to, reason=reason))

    async def _release(self, piece: Piece) -> bool:
        """Gate a sentence, send it, and hand it to the voice. False when nothing of it went out."""
        if not piece.first or not any(map(str.isalnum, piece.text)):
            # White space or marks that trail a sentence: they share its fate.
            trails = bool(self._said) and self._blocked != piece.sentence
            if trails:
                self._send(piece.sentence, piece.text)
            return trails
        text = piece.text
        verdict = await self._gate(text.strip(), "npc")
        METRICS.sentences.labels(verdict.kind).inc()
        if verdict.kind != "allow":
            text = self._replacement(piece, verdict)
            if not text:
                return False
        self._mark("first_sentence")
        self._send(piece.sentence, text)
        self._emit(protocol.Sentence(turn_id=self.request.turn_id, index=piece.sentence, text=text.strip()))
        if self._speaker is not None:
            await self._speaker.delivery.put(piece.sentence, text.strip())
        return True

    def _replacement(self, piece: Piece, verdict: Verdict) -> str:
        """What is said instead of a sentence that the gate did not allow: its rewriting, or once a turn the
        fallback line."""
        self._emit(
            protocol.SentenceBlocked(
                turn_id=self.request.turn_id,
                index=piece.sentence,
                verdict=verdict.kind,
                reasons=list(verdict.reasons),
            )
        )
        if verdict.kind == "rewrite" and verdict.text.strip():
            return verdict.text.strip() + piece.text[len(piece.text.rstrip()) :]
        self._blocked = piece.sentence
        if self._fallback_said:
            return ""
        self._fallback_said = True
        return self._fallback() + " "

    def _send(self, sentence: int, text: str) -> None:
        self._said.append((sentence, text))
        if self.request.wants.text:
            self._emit(protocol.Text(turn_id=self.request.turn_id, delta=text))

    # ── how it ends ──────────────────────────────────────────────────────────────────────────────

    async def _store(self, decision: protocol.Decision, outcome: str, text: str, final_json: str = "") -> bool:
        record = TurnRecord(
            turn_id=decision.decision_id,
            scope=self.request.scope,
            time=time.time(),
            player_text=self._player_text,
            npc_text=text,
            outcome=outcome,
            decision_id=decision.decision_id,
            state=self._state.plain(),
        )
        assert self._made is not None
        learning = self.runtime.settings.learning.enabled
        logged = decision_record(
            self._made,
            self.request.scope,
            self._prior,
            self._before,
            time=record.time if learning else float(self._before.turns),
            explored=learning,
            delivered=bool(text),
            final_json=final_json,
        )
        update = self.conversation.memory_update(self.runtime)
        if text or outcome == "complete":
            update.add_turn(record, decision.signal, self._state, self.conversation.recent)
        record = with_changes(record, update)
        self.summed_up = any(memory.kind is MemoryKind.SUMMARY for memory in update.changes)
        cause = f"turn: heard {decision.signal}, did {decision.action}, {outcome}"
        change = state_change(self.request.scope, cause, self._at_start, self._state, record.time)
        await self._channel.record(logged, change)
        durable = await self.conversation.keep(record, self._state, self.runtime)
        self._state = self.conversation.state or self._state  # another server may have been first
        return durable

    async def _cancelled(self) -> None:
        """Barge-in: silence what is queued, remember what was delivered."""
        request, decision = self.request, self._made.event if self._made else None
        request.outbox.purge(request.turn_no)
        text = self._text(heard=True)
        if decision is not None:
            if text:
                self._state = after(self._state, self.runtime.decider.actions[decision.action])
            try:
                await self._store(decision, "cancelled", text)
            except StoreError as error:
                log.error("a cancelled turn could not be stored", error=str(error))
        self._over = True
        self._emit(protocol.TurnCancelled(turn_id=request.turn_id, text=text, reason=self.cancel_reason))
        METRICS.turns.labels("cancelled").inc()

    def _undone(self) -> None:
        """Another server took the world back, and this one did not hear of it in time: the turn never was."""
        self.request.outbox.purge(self.request.turn_no)
        self._over = True
        self._emit(protocol.TurnCancelled(turn_id=self.request.turn_id, text="", reason="rollback"))
        METRICS.turns.labels("cancelled").inc()

    def _failed(self, error: Exception) -> None:
        turn_id = self.request.turn_id
        if isinstance(error, RfsnError):
            code, message = error.code, str(error)
            log.warning("turn failed", turn_id=turn_id, code=code, error=message)
        else:
            code, message = "internal", f"{type(error).__name__}: the turn could not be carried out"
            log.error("turn failed", turn_id=turn_id, exc_info=error)
        METRICS.turns.labels("failed").inc()
        self.request.outbox.purge(self.request.turn_no)
        self._over = True
        self._emit(protocol.TurnFailed(turn_id=turn_id, code=code, message=message))

    # ── small things ─────────────────────────────────────────────────────────────────────────────

    async def _gate(self, text: str, side: str) -> Verdict:
        action = self._made.event.action if self._made else ""
        utterance = Utterance(text, side, self.request.npc.id, action, self._state.in_combat)
        return await gates.check(self.runtime.gates, utterance, self._operations.gate_timeout)

    def _fallback(self) -> str:
        return self.request.npc.file.fallback or FALLBACK_LINE

    def _text(self, *, heard: bool = False) -> str:
        """All that was said; with `heard`, only as far as the player is known to have heard it."""
        if not heard or self.heard is None:
            return "".join(text for _, text in self._said).strip()
        last, ms = self.heard
        before = "".join(text for index, text in self._said if index < last)
        sounding = "".join(text for index, text in self._said if index == last)
        whole = self._speaker.lengths.get(last, 0) if self._speaker else 0
        return (before + (until(sounding, ms / whole) if 0 < ms < whole else sounding)).strip()

    def _mark(self, milestone: str) -> None:
        """Note when a milestone was first reached."""
        if getattr(self.latency, milestone) is None:
            elapsed = time.perf_counter() - self.request.arrived
            setattr(self.latency, milestone, round(elapsed * 1000, 3))
            METRICS.latency.labels(milestone).observe(elapsed)

    def _emit(self, event: protocol.Message) -> None:
        self.request.outbox.put(event)
        if self.runtime.hooks.event:
            self.runtime.hooks.event(event=event, npc=self.request.npc.id, player=self.request.scope.player)


def state_event(scope: Scope, state: NpcState, turn_id: str = "") -> protocol.State:
    """A state, as the client sees it."""
    event = protocol.State(
        npc=scope.npc,
        player=scope.player,
        save=scope.save,
        mood=state.mood,
        affinity=round(state.affinity, 4),
        trust=round(state.trust, 4),
        fear=round(state.fear, 4),
        relationship=state.relationship,
    )
    if turn_id:
        event.turn_id = turn_id
    return event

"""One turn, from the player's words to the stored outcome. `Turn._run` reads top to bottom like the picture:

gate(input) ▶ decide (abstract ▶ candidates + safety ▶ policy) ▶ `decision` ▶ prompt ▶ render ▶ sentences
▶ gate(output) ▶ text and speech at once ▶ state machine ▶ store ▶ `turn.finished`
"""

from __future__ import annotations

import asyncio

from rfsn_core import protocol
from rfsn_core.contract.errors import StaleSave, StoreError, contained
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.rendering import Prompt, RenderOptions
from rfsn_core.contract.understanding import Understanding
from rfsn_core.conversation.conversation import Conversation
from rfsn_core.conversation.game_events import state_event
from rfsn_core.learning.recent_decisions import RecentDecisions
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn import decide, outcome, player_input
from rfsn_core.turn.answer import Answer
from rfsn_core.turn.events import TurnEvents, failed_event
from rfsn_core.turn.recall import recall
from rfsn_core.turn.rendering import Limits, Rendering
from rfsn_core.turn.request import Request
from rfsn_core.turn.runtime import Runtime
from rfsn_core.turn.speech import Speaker, speaker_of
from rfsn_core.world.decision import Deliberation
from rfsn_core.world.feelings import after, happened

log = logger("turn")


class Turn:
    """One turn. `run` puts events into the request's outbox and returns when all is stored.

    :param options: what an operator tuned while the server runs, in place of the settings.
    :param queue: sentences that may wait for the voice; 0 for the number in the settings.
    """

    def __init__(
        self, request: Request, runtime: Runtime, conversation: Conversation, decisions: RecentDecisions,
        options: RenderOptions, queue: int = 0,
    ) -> None:  # fmt: skip
        self.request, self.runtime, self.conversation = request, runtime, conversation
        self._decisions, self._options, self._queue = decisions, options, queue
        self._events = TurnEvents(request, runtime.hooks)
        self.latency = self._events.latency
        self.decision_id = ""
        self.prior_decision_id = ""
        """The conversation's decision before this one."""
        self.cancel_reason = "cancelled"
        self.heard: tuple[int, int] | None = None
        """(sentence, ms) up to which the client has acknowledged playback."""
        self.summary_due = False
        """Whether the conversation was summed up."""
        self._was_cancelled = False
        self._player = player_input.PlayerInput(request.text, "", request.scope.player, request.game)
        self._at_start = self._at_decision = self._state = NpcState()
        self._made: Deliberation | None = None
        self._speaker: Speaker | None = None
        self._answer: Answer | None = None
        self._foreseen: NpcState | None = None  # with the game events since the turn began
        self._over = False

    async def preview(self) -> Prompt:
        """Return what a renderer would be asked; nothing is said or stored. Raises StoreError."""
        self._state = await self.conversation.load(self.runtime.store_access, self.request.npc.initial)
        self._player = await player_input.gate_input(self.request, self.runtime, self._state)
        return await self._prompt(self._decide())

    async def run(self) -> None:
        """Run the turn. Raises nothing but CancelledError."""
        METRICS.active_turns.inc()
        try:
            with contained():
                await self._run()
        except asyncio.CancelledError:
            await self._cancelled()
            raise
        except StaleSave:
            self._silence()  # another server rolled the save back, and this one did not hear of it in time
            self._end(protocol.TurnCancelled(turn_id=self.request.turn_id, text="", reason="rollback"), "cancelled")
        except Exception as error:  # noqa: BLE001  any failure: the client gets an error and the server continues
            self._silence()
            self._end(failed_event(self.request.turn_id, error), "failed")
        finally:
            METRICS.active_turns.dec()

    async def _run(self) -> None:
        request, runtime = self.request, self.runtime
        self._events.start()
        self._at_start = await self.conversation.load(runtime.store_access, request.npc.initial)
        self._state = decide.compare(request, runtime, self._at_start, self._events)
        self._player = await player_input.gate_input(request, runtime, self._state, self._events)
        deliberation = self._decide()
        self._events.mark("decision")
        deliberation.event.latency_ms = self.latency.decision or 0.0
        self._events.emit(deliberation.event)
        limits = Limits.of(runtime.settings)
        rendering = Rendering(runtime.renderers, await self._prompt(deliberation), self._options, limits)
        answer = await self._speak(rendering, deliberation)
        self._state = self._after(deliberation, answer.text)
        await runtime.admission.report(rendering.trace.report, request.npc.id)
        durable = await self._store(deliberation, rendering.reason, answer.text, rendering.trace.final_json)
        self._events.mark("total")
        self._events.emit(state_event(request.scope, self._state, request.turn_id))
        finished = protocol.TurnFinished(
            turn_id=request.turn_id,
            decision_id=self.decision_id,
            text=answer.text,
            reason=rendering.reason,
            renderer=rendering.renderer,
            durable=durable,
            told=decide.told_fact(deliberation, answer.text),
            latency=self.latency,
            trace=rendering.trace,
        )
        self._end(finished, rendering.reason)

    def _after(self, deliberation: Deliberation, said: str) -> NpcState:
        action = self.runtime.decider.actions[deliberation.event.action]
        return after(decide.remembered(self._state, deliberation, said), action, deliberation.event.signal)

    # ── what others ask of a turn ────────────────────────────────────────────────────────────────

    @property
    def signal(self) -> str:
        """What the player did."""
        return self._player.signal

    @property
    def understanding(self) -> Understanding:
        """What the player meant."""
        return self._player.understanding

    @property
    def blocked(self) -> bool:
        """Whether the gate stopped a sentence of the NPC."""
        return self._answer is not None and self._answer.blocked

    @property
    def overran(self) -> bool:
        """Whether the NPC said more than the player would hear: it was cut off while it spoke, or its voice fell
        behind. A game that reports what was played tells with `cancel` that the player cut it off."""
        spoke = self.heard is not None or (self.cancel_reason == "barge_in" and self.latency.first_audio is not None)
        cut_off = self._was_cancelled and self.cancel_reason in ("barge_in", "cancelled")
        return (spoke and cut_off) or self.sentences_dropped > 0

    @property
    def sentences_waiting(self) -> int:
        """Sentences that wait for the voice."""
        return self._speaker.waiting if self._speaker else 0

    @property
    def sentences_dropped(self) -> int:
        """Sentences that were not spoken, because the queue was full or they were too late."""
        return self._speaker.dropped if self._speaker else 0

    def happened(self, kind: str) -> None:
        """Take in a game event while the NPC speaks: the gate and the client know at once; it is stored afterwards."""
        self._foreseen = happened(self._foreseen or self._state, kind, self.request.npc.nature)
        if self._answer is not None:
            self._answer.in_combat = self._foreseen.in_combat
        self._events.emit(state_event(self.request.scope, self._foreseen, self.request.turn_id))

    def resize_queue(self, bound: int) -> None:
        """Change how many sentences may wait for the voice."""
        self._queue = bound
        if self._speaker:
            self._speaker.resize(bound)

    def close(self) -> None:
        """End the turn. Called once, when its task has ended, also one that was cancelled before its first step."""
        self.runtime.leases.release()
        self._decisions.end(self.decision_id)
        if not self._over:
            self._events.emit(protocol.TurnCancelled(turn_id=self.request.turn_id, text="", reason=self.cancel_reason))

    # ── the steps ────────────────────────────────────────────────────────────────────────────────

    def _decide(self) -> Deliberation:
        self._state = self._at_decision = decide.perceived(self.request, self._player, self._state)
        self.decision_id = decide.new_decision_id(self.runtime, self.conversation, self._state.turns)
        self.prior_decision_id = self.conversation.last_decision
        self._decisions.begin(self.decision_id)
        scope, trials = self.request.scope, self._decisions.trials
        trial = trials.assign(scope.npc, scope.conversation, self._state.turns) if trials else None
        self._made = decide.decide(self.request, self.runtime, self._player, self._state, self.decision_id, trial)
        return self._made

    async def _prompt(self, deliberation: Deliberation) -> Prompt:
        facts = await recall(self.request, self.runtime, self.conversation, self._player, self._state, deliberation)
        return self.runtime.hooks.changed_prompt(self.runtime.prompts.build(facts))

    async def _speak(self, rendering: Rendering, deliberation: Deliberation) -> Answer:
        """Produce text and speech at once. Cancelling the turn cancels both, and the engines behind them."""
        request, runtime, decision, state = self.request, self.runtime, deliberation.event, self._state
        self._speaker = speaker = speaker_of(request, self._events, runtime, state.mood, decision.style, self._queue)
        in_combat = state.in_combat
        self._answer = answer = Answer(request, runtime, self._events, speaker, decision.action, in_combat=in_combat)
        await answer.give(rendering, self._player.line)
        return answer

    async def _store(self, deliberation: Deliberation, reason: str, text: str, final_json: str = "") -> bool:
        how = outcome.Outcome(
            deliberation=deliberation,
            prior_decision_id=self.prior_decision_id,
            player_text=self._player.text,
            understanding=self._player.understanding,
            at_start=self._at_start,
            at_decision=self._at_decision,
            at_end=self._state,
            reason=reason,
            text=text,
            final_json=final_json,
        )
        stored = await outcome.store(self.request, self.runtime, self.conversation, self._decisions, how)
        self.summary_due = stored.summary_due
        self._state = self.conversation.state or self._state  # another server may have been first
        return stored.durable

    # ── how it ends ──────────────────────────────────────────────────────────────────────────────

    async def _cancelled(self) -> None:
        """Store what was heard before the barge-in."""
        self._was_cancelled = True
        self._silence()
        text = ""
        if self._answer is not None:
            text = self._answer.text if self.heard is None else self._answer.heard(*self.heard)
        if self._made is not None:
            if text:
                self._state = self._after(self._made, text)
            try:
                await self._store(self._made, "cancelled", text)
            except StoreError as error:
                log.error("turn.not_stored", error=str(error))
        cancelled = protocol.TurnCancelled(turn_id=self.request.turn_id, text=text, reason=self.cancel_reason)
        self._end(cancelled, "cancelled")

    def _silence(self) -> None:
        """Drop the audio that was not sent yet."""
        self.request.outbox.purge(self.request.turn_no)

    def _end(self, event: protocol.Message, reason: str) -> None:
        """Send the turn's last event."""
        self._over = True
        self._events.emit(event)
        METRICS.turns.labels(reason).inc()

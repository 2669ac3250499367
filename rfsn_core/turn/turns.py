"""The turns of one process: which run, which wait, and what an operator tuned for them."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from typing import Any

from structlog.contextvars import bind_contextvars

from rfsn_core import protocol
from rfsn_core.contract.errors import ConversationBusy, ShuttingDown
from rfsn_core.contract.rendering import Prompt, RenderOptions
from rfsn_core.conversation.background import Background
from rfsn_core.conversation.conversation import Conversation
from rfsn_core.conversation.registry import Conversations
from rfsn_core.learning.recent_decisions import RecentDecisions
from rfsn_core.telemetry.logs import logger
from rfsn_core.turn.follow_up import FollowUp
from rfsn_core.turn.outbox import Outbox
from rfsn_core.turn.request import Request, new_request
from rfsn_core.turn.runtime import CurrentRuntime
from rfsn_core.turn.turn import Turn

log = logger("turn")


class RunningTurn:
    """A turn in progress, for those who may cancel it."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.waiting = turn.conversation.busy
        """Whether it waits for the turn before it."""
        self.started = False
        self.task = turn.conversation.start(self._run, f"turn {turn.request.turn_no}")

    @property
    def turn_id(self) -> str:
        """The client's id for it."""
        return self.turn.request.turn_id

    def cancel(self, reason: str) -> None:
        """Stop it: generation, speech and queued audio."""
        self.turn.cancel_reason = reason
        self.task.cancel(reason)

    def played(self, sentence: int, ms: int) -> None:
        """Note that the player has heard this much; sentence -1: nothing."""
        self.turn.heard = max(self.turn.heard or (sentence, ms), (sentence, ms))

    async def _run(self) -> None:
        self.waiting, self.started = False, True
        # This task's own context: every line that is logged in the turn says whose it is.
        bind_contextvars(turn_id=self.turn_id, npc=self.turn.request.npc.id)
        await self.turn.run()


class Turns:
    """Begins turns and ends them.

    :param follow_up: what happens after each turn.
    """

    def __init__(
        self, runtimes: CurrentRuntime, conversations: Conversations, decisions: RecentDecisions, follow_up: FollowUp
    ) -> None:
        self._runtimes, self._conversations, self._decisions = runtimes, conversations, decisions
        self._follow_up = follow_up
        self._background = Background()
        self._numbers = itertools.count(1)
        self._running: dict[asyncio.Future[Any], RunningTurn] = {}
        self._draining = False
        self._speech_queue = 0
        self._dropped = 0
        self.options = RenderOptions()
        """Tuned while running, in place of the settings."""
        self.last_latency = protocol.Latency()
        """Of the turn that ended last."""

    def begin(self, message: protocol.PlayerTurn, outbox: Outbox, wants: protocol.Hello) -> RunningTurn:
        """Start a turn; its events go to the outbox.

        Raises UnknownNpc, BadMessage, ConversationBusy or ShuttingDown.
        """
        if self._draining:
            raise ShuttingDown("the server stops")
        request = self._request(message, outbox, wants)
        conversation = self._conversations[request.scope]
        self._settle_overlap(conversation, request)
        turn = self._new_turn(request, conversation)
        running = RunningTurn(turn)
        conversation.turns.append(running)
        self._running[running.task] = running
        running.task.add_done_callback(self._ended)
        return running

    def happened(self, conversation: Conversation, kind: str) -> None:
        """Tell the turns of a conversation that run of a game event; stop them if the settings say so."""
        stops = kind in self._runtimes.current.settings.world.stopping_events
        for running in [running for running in self._running.values() if running.turn.conversation is conversation]:
            if running.started:
                running.turn.happened(kind)
            if stops:
                running.cancel("event")

    async def preview(self, message: protocol.PlayerTurn) -> Prompt:
        """Return the prompt that a turn would send to a model. Nothing is said, stored or learned. Raises as `begin`
        does.
        """
        request = self._request(message, Outbox(), protocol.Hello())
        turn = self._new_turn(request, self._conversations[request.scope])
        try:
            return await turn.preview()
        finally:
            turn.close()

    async def drain(self, seconds: float) -> None:
        """Begin no more turns, wait for those that run, and cancel them when the time is over."""
        self._draining = True
        if self._running:
            _, late = await asyncio.wait(list(self._running), timeout=seconds)
            for task in late:
                self._running[task].cancel("shutdown")
            if late:
                await asyncio.wait(late)

    async def close(self) -> None:
        """Wait for what follows the last turns."""
        await self._background.wait(5)

    def _request(self, message: protocol.PlayerTurn, outbox: Outbox, wants: protocol.Hello) -> Request:
        npc = self._runtimes.current.world.npc(message.npc)
        triggers = self._runtimes.current.settings.world.triggers
        return new_request(message, npc, next(self._numbers), outbox, wants, triggers)

    def _new_turn(self, request: Request, conversation: Conversation) -> Turn:
        runtime = self._runtimes.current
        runtime.leases.acquire()
        return Turn(request, runtime, conversation, self._decisions, self.options, self._speech_queue)

    def _settle_overlap(self, conversation: Conversation, request: Request) -> None:
        """Cancel the turn before this one, or refuse this one, as the settings say. Raises ConversationBusy."""
        if not conversation.busy or conversation.last is None:
            return
        world = self._runtimes.current.settings.world
        before = self._running.get(conversation.last)  # None for a game event
        if before is not None and world.overlap == "refuse":
            raise ConversationBusy(f"{request.npc.name} is still answering {request.scope.player}")
        if world.overlap == "wait":
            waiting = sum(turn.waiting for turn in self._running.values() if turn.turn.conversation is conversation)
            if waiting >= world.max_waiting:
                raise ConversationBusy(f"{waiting} turns already wait for {request.npc.name}")
        if before is not None and world.overlap == "interrupt":
            before.cancel("barge_in")

    def _ended(self, task: asyncio.Future[None]) -> None:
        # A callback, not the end of the task's work: a task that is cancelled before its first step never works.
        running = self._running.pop(task)
        turn = running.turn
        turn.conversation.turns.remove(running)
        turn.close()
        self.last_latency = turn.latency
        self._dropped += turn.sentences_dropped
        if running.started:
            self._background.start(self._follow_up.after(turn))
        with suppress(asyncio.CancelledError):  # taking it out of the task frees the frames in its traceback
            if error := task.exception():
                log.error("turn.crashed", exc_info=error)

    # ── numbers and tuning ───────────────────────────────────────────────────────────────────────

    @property
    def active(self) -> int:
        """Turns in progress."""
        return len(self._running)

    @property
    def sentences_waiting(self) -> int:
        """Sentences that wait for their voice."""
        return sum(running.turn.sentences_waiting for running in self._running.values())

    @property
    def sentences_dropped(self) -> int:
        """Sentences that were not spoken since the start, because the queue was full or they were too late."""
        return self._dropped + sum(running.turn.sentences_dropped for running in self._running.values())

    @property
    def speech_queue(self) -> int:
        """How many sentences of a turn may wait for its voice."""
        return self._speech_queue or self._runtimes.current.settings.speech.queue

    @speech_queue.setter
    def speech_queue(self, bound: int) -> None:
        """Set it in place of the settings, also for the turns that run."""
        self._speech_queue = bound
        for running in self._running.values():
            running.turn.resize_queue(bound)

"""The kernel: sessions and their turns, game events, rewards; what the server and the commands talk to."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from structlog.contextvars import bind_contextvars

from rfsn_core import protocol
from rfsn_core.admin.archive_queue import ArchiveQueue
from rfsn_core.admin.maintenance import Maintenance
from rfsn_core.admin.memory import MemoryAdmin
from rfsn_core.admin.pause import SavePauses
from rfsn_core.admin.saves import Saves
from rfsn_core.admin.transfer import Transfer
from rfsn_core.contract.errors import BadMessage, ConversationBusy, RfsnError, ShuttingDown, contained
from rfsn_core.contract.rendering import Prompt, RenderOptions
from rfsn_core.contract.storage import Scope, TurnRecord
from rfsn_core.contract.version import version
from rfsn_core.conversation.conversation import Conversation
from rfsn_core.conversation.registry import Conversations
from rfsn_core.conversation.spool import Spool
from rfsn_core.learning import play_signals as play
from rfsn_core.learning.decision_log import DecisionLog
from rfsn_core.learning.guard import STATES, Guard, Limits, State
from rfsn_core.learning.records import state_change
from rfsn_core.learning.rewards import Channel
from rfsn_core.learning.updates import Learner
from rfsn_core.memory.update import with_changes
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.settings.schema import LearningSettings
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn.events import state_event
from rfsn_core.turn.outbox import Item, Outbox
from rfsn_core.turn.request import Request
from rfsn_core.turn.turn import Turn
from rfsn_core.world.files import Npc
from rfsn_core.world.signals import SIGNALS
from rfsn_core.world.transitions import happened

log = logger("kernel")

EVENT_TEXT = 2000
"""Characters of a game event that are remembered."""


class Kernel:
    """Runs turns. One for a process."""

    def __init__(self, runtimes: Runtimes) -> None:
        self.runtimes = runtimes
        self.options = RenderOptions()
        """Tuned while running, over the settings."""
        self._queue = 0
        self._left_out = 0
        self._numbers = itertools.count(1)
        self._running: dict[asyncio.Task[None], RunningTurn] = {}
        self._stopping = False
        self._always: list[asyncio.Task[None]] = []
        self._background: set[asyncio.Task[Any]] = set()
        self.last_latency = protocol.Latency()
        """Of the turn that ended last."""

    async def start(self) -> None:
        """Take over what an earlier run left behind."""
        runtime = self.runtimes.current
        data = self.runtimes.own_dir
        self.tell_of_store()
        most = int(runtime.settings.storage.archive_mb * 1e6)
        self._archive = ArchiveQueue(data / "archive.jsonl", lambda: self.runtimes.current.archives, most)
        self.conversations = Conversations(self.runtimes, Spool(data / "spool.jsonl"), self._archive.note, self._cancel)
        limits = Limits(**runtime.settings.learning.guard.model_dump())
        self.decision_log = DecisionLog(data / "learning")
        self.guard = Guard(limits)
        self.learner = Learner(
            self.decision_log,
            self.guard,
            self._learning,
            lambda: self.runtimes.current.decider,
            lambda: shared.learning if (shared := self.runtimes.current.shared_store) else None,
            self._steered,
        )
        self.channel = Channel(self.decision_log, self.learner, self.guard, self._learning, self._guard_changed)
        await self.decision_log.open()
        self.pauses = SavePauses(self.runtimes, self.conversations, self.decision_log, self._archive, data)
        await self.pauses.open()  # before what is spooled comes back: it may have been erased
        self.conversations.replay_soon()
        self.guard.load(self.decision_log.folder / "guard.json")
        await self.learner.open()
        await self.channel.resume()
        self.memory = MemoryAdmin(self.runtimes, self.conversations)
        self.saves = Saves(self.runtimes, self.conversations, self.pauses)
        self.maintenance = Maintenance(self.runtimes, self.conversations, self.pauses, self.decision_log, self._archive)
        self.transfer = Transfer(self.runtimes, self.conversations)
        self._always = [
            asyncio.create_task(self.conversations.evict(), name="evict"),
            asyncio.create_task(self._archive.run(), name="archive"),
            asyncio.create_task(self.learner.follow(), name="follow"),
            asyncio.create_task(self.pauses.follow(), name="notices"),
        ]
        await runtime.hooks.started.run(info=self._info())

    async def drain(self) -> None:
        """Begin no more turns, wait a while for those that run, cancel the rest."""
        self._stopping = True
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=self.runtimes.current.settings.server.shutdown_seconds)
            for task in late:
                self._running[task].cancel("shutdown")
            if late:
                await asyncio.wait(late)

    async def stop(self) -> None:
        """End all turns, and tell the plugins."""
        await self.drain()
        self.conversations.close()
        if self._background:
            await asyncio.wait(self._background, timeout=5)
        if self._always:
            await self._archive.flush()
            self._archive.close()
        for task in self._always:
            task.cancel()
        if self._always:
            await self.pauses.close()
        await self.learner.close()
        await self.decision_log.close()
        try:
            async with asyncio.timeout(5):
                await self.runtimes.current.hooks.stopping.run(info=self._info())
        except TimeoutError:
            log.warning("plugins took too long to stop")

    def tell_of_store(self) -> None:
        """Say so when the settings name another store than the one before: nothing is carried over."""
        runtime = self.runtimes.current
        now = runtime.settings.storage.provider
        path = self.runtimes.own_dir / "store"
        try:
            before = path.read_text("utf-8").strip() if path.exists() else now
            if before != now or not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(now + "\n", "utf-8")
        except OSError as error:
            log.warning("which store is in use could not be noted", error=str(error))
            return
        if before != now:
            log.warning(
                f"memory is in {now} now: what {before} holds is kept there, and not visible;"
                " `rfsn memory export` and `rfsn memory import` carry it over"
            )

    def _info(self) -> dict[str, Any]:
        return {"world": str(self.runtimes.world_dir), "version": version()}

    # ── turns ────────────────────────────────────────────────────────────────────────────────────

    def begin(self, message: protocol.PlayerTurn, outbox: Outbox, wants: protocol.Hello) -> RunningTurn:
        """Start a turn; its events go to the outbox. Raises UnknownNpc, BadMessage, SessionBusy or
        ShuttingDown."""
        if self._stopping:
            raise ShuttingDown("the server stops")
        runtime = self.runtimes.current
        request, conversation = self._request(message, outbox, wants)
        previous = conversation.last if conversation.last and not conversation.last.done() else None
        settings = runtime.settings.world
        if previous in self._running and settings.overlap == "refuse":
            raise ConversationBusy(f"{request.npc.name} is still answering {message.player}")
        if previous and settings.overlap == "wait" and conversation.waiting >= settings.max_waiting:
            raise ConversationBusy(f"{conversation.waiting} turns already wait for {request.npc.name}")
        runtime.lease()
        turn = Turn(request, runtime, conversation, self.channel, self.options, self._queue)
        running = RunningTurn(turn)
        if previous in self._running and settings.overlap == "interrupt":
            self._running[previous].cancel("barge_in")
        running.task = asyncio.create_task(self._run(turn, conversation, previous), name=f"turn {request.turn_no}")
        running.task.add_done_callback(self._ended)
        self._running[running.task] = running
        conversation.last = running.task
        return running

    def _request(
        self, message: protocol.PlayerTurn, outbox: Outbox, wants: protocol.Hello
    ) -> tuple[Request, Conversation]:
        arrived = time.perf_counter()
        npc = self.runtimes.current.world.npc(message.npc)
        if message.signal and message.signal not in SIGNALS:
            raise BadMessage(
                f"no signal '{message.signal[:40]}'", field="signal", hint=f"There are: {', '.join(SIGNALS)}"
            )
        text = _clean(message.text)
        if not text.strip() and not message.signal:
            raise BadMessage("the player says nothing", field="text", hint="Send text, or a signal such as 'greet'")
        conversation = self.conversations[Scope(message.save, npc.id, message.player)]
        request = Request(
            turn_id=message.turn_id or uuid.uuid4().hex,
            turn_no=next(self._numbers),
            scope=conversation.scope,
            npc=npc,
            text=text,
            game=message.state,
            signal=message.signal,
            outbox=outbox,
            wants=wants,
            arrived=arrived,
        )
        return request, conversation

    async def preview(self, message: protocol.PlayerTurn) -> Prompt:
        """The prompt that a turn would send to a model. Nothing is said, stored or learned. Raises as `begin`."""
        request, conversation = self._request(message, Outbox(), protocol.Hello())
        runtime = self.runtimes.current
        runtime.lease()
        turn = Turn(request, runtime, conversation, self.channel, self.options)
        try:
            return await turn.preview()
        finally:
            turn.close()

    async def _run(self, turn: Turn, conversation: Conversation, previous: asyncio.Future[Any] | None) -> None:
        if previous is not None:
            conversation.waiting += 1
            try:
                await asyncio.wait([previous])
            finally:
                conversation.waiting -= 1
        # This task's own context: every line that is logged in the turn says whose it is.
        bind_contextvars(turn_id=turn.request.turn_id, npc=turn.request.npc.id)
        try:
            await turn.run()
        finally:
            self.conversations.replay_soon()
            self._soon(self._afterwards(turn))

    def _cancel(self, selected: Callable[[Scope], bool], reason: str) -> None:
        for running in list(self._running.values()):
            if selected(running.turn.request.scope):
                running.cancel(reason)

    def _ended(self, task: asyncio.Task[None]) -> None:
        # Here and not in `_run`: a task that is cancelled before its first step never runs at all.
        turn = self._running.pop(task).turn
        turn.close()
        self.last_latency = turn.latency
        self._left_out += turn.sentences_dropped
        if not task.cancelled() and (error := task.exception()):
            log.error("turn ended with an error", exc_info=error)

    async def state(self, npc: str, player: str, save: str) -> dict[str, Any]:
        """How an NPC feels about a player now. Raises UnknownNpc or StoreError."""
        found = self.runtimes.current.world.npc(npc)
        conversation = self.conversations[Scope(save, found.id, player)]
        return (await conversation.load(self.runtimes.current, found.initial)).plain()

    @property
    def active_turns(self) -> int:
        """Turns in progress."""
        return len(self._running)

    @property
    def sentences_waiting(self) -> int:
        """For their voice."""
        return sum(running.turn.sentences_waiting for running in self._running.values())

    @property
    def sentences_left_out(self) -> int:
        """Not spoken, for want of room or time, since the start."""
        return self._left_out + sum(running.turn.sentences_dropped for running in self._running.values())

    @property
    def speech_queue(self) -> int:
        """How many sentences of a turn may wait for its voice."""
        return self._queue or self.runtimes.current.settings.speech.queue

    @speech_queue.setter
    def speech_queue(self, bound: int) -> None:
        """Over the settings, also of the turns that run."""
        self._queue = bound
        for running in self._running.values():
            running.turn.resize_queue(bound)

    # ── what else a client sends ─────────────────────────────────────────────────────────────────

    def event(self, message: protocol.GameEvent) -> asyncio.Task[protocol.State]:
        """Something happened in the game: changes the NPC's state and is remembered as a turn without words.

        It takes its place among the session's turns at once. Raises UnknownNpc; the task, StoreError.
        """
        npc = self.runtimes.current.world.npc(message.npc)
        conversation = self.conversations[Scope(message.save, npc.id, message.player)]
        return self.conversations.queue(
            conversation, lambda: self._event(message, npc, conversation), f"event {message.kind}"
        )

    async def _event(self, message: protocol.GameEvent, npc: Npc, conversation: Conversation) -> protocol.State:
        runtime = self.runtimes.current
        with contained():
            before = await conversation.load(runtime, npc.initial)
        state = happened(before, message.kind)
        text = f"[{message.kind}]" + (f" {message.data}" if message.data else "")
        record = TurnRecord(
            turn_id=uuid.uuid4().hex,
            scope=conversation.scope,
            time=time.time(),
            player_text=text[:EVENT_TEXT],
            npc_text="",
            outcome="event",
            decision_id="",
            state=state.plain(),
        )
        update = conversation.memory_update(runtime)
        update.add_event(record, message.kind, message.data, state)
        change = state_change(conversation.scope, f"event: {message.kind}", before, state, record.time)
        await self.decision_log.append(change)
        await conversation.keep(with_changes(record, update), state, runtime)
        return state_event(conversation.scope, state)

    def prefetch(self, message: protocol.Prefetch) -> list[asyncio.Task[None]]:
        """Read what NPCs know of a player, all at once. Raises UnknownNpc; the tasks, StoreError."""

        async def load(conversation: Conversation, npc: Npc) -> None:
            with contained():
                await conversation.load(self.runtimes.current, npc.initial)
            self._soon(self._place(conversation))  # a turn need not wait for that

        npcs = [self.runtimes.current.world.npc(name) for name in message.npcs]
        tasks = []
        for npc in npcs:
            conversation = self.conversations[Scope(message.save, npc.id, message.player)]
            if conversation.state is None:
                tasks.append(self.conversations.queue(conversation, partial(load, conversation, npc), "prefetch"))
        return tasks

    async def reward(self, message: protocol.Reward) -> protocol.RewardAccepted:
        """Take a reward. Raises BadMessage, UnknownDecision or StoreError."""
        taken = await self.channel.take(
            message.decision_id, value=message.value, signal=message.signal, reward_id=message.reward_id
        )
        return protocol.RewardAccepted(
            decision_id=message.decision_id,
            value=taken.value,
            duplicate=taken.duplicate,
            quarantined=taken.quarantined,
        )

    # ── learning ─────────────────────────────────────────────────────────────────────────────────

    def _learning(self) -> LearningSettings:
        return self.runtimes.current.settings.learning

    async def _afterwards(self, turn: Turn) -> None:
        """What nobody waits for."""
        await self._learn_from(turn)
        await self.channel.silence()
        await self.channel.share_again()
        await self._place(turn.conversation)
        if turn.summary_due and turn.runtime.settings.memory.summaries == "model":
            await self.memory.reword_summary(turn.request.scope, turn.request.npc)

    async def _learn_from(self, turn: Turn) -> None:
        """What the turn says about the decision before it, and about itself."""
        if self.guard.turned(blocked=turn.blocked):
            self._guard_changed()
        found = []
        request = turn.request
        if self._learning().detect and turn.prior_decision_id:
            found += [(turn.prior_decision_id, name) for name in play.signals(request.text, request.signal)]
        if self._learning().detect and turn.decision_id and turn.overran:
            found.append((turn.decision_id, "tts_overrun"))
        for decision_id, name in found:
            if name in self._learning().signals:
                try:
                    await self.channel.take(decision_id, value=None, signal=name, source="play")
                except RfsnError as error:
                    log.warning("a reward from play was not taken", signal=name, error=str(error))

    async def _place(self, conversation: Conversation) -> None:
        try:
            with self.runtimes.current.leased() as runtime:
                await conversation.place(runtime)
        except Exception as error:  # noqa: BLE001  the embedder's code, or the store's: words are enough
            METRICS.errors.labels("embedding").inc()
            log.warning("a conversation cannot be searched by meaning", error=repr(error))

    def _guard_changed(self) -> None:
        self._show_guard()
        self._soon(self.learner.tell_guard())

    def _steered(self, state: State, reason: str) -> None:
        """The guard of another server changed."""
        if (state, reason) == (self.guard.state, self.guard.reason):
            return
        self.guard.set(state, reason)
        self._show_guard()

    def _show_guard(self) -> None:
        guard = self.guard
        METRICS.learning.set(STATES.index(guard.state))
        try:
            guard.save(self.decision_log.folder / "guard.json")
        except OSError as error:
            log.error("the guard's state could not be kept", error=str(error))
        log.warning("learning changed", state=guard.state, reason=guard.reason)
        self.runtimes.announce(protocol.LearningChanged(state=guard.state, reason=guard.reason))

    def freeze(self, reason: str = "by an operator") -> None:
        """Stop learning until `unfreeze`."""
        self.guard.set("frozen", reason)
        self._guard_changed()

    def unfreeze(self) -> None:
        """Let learning go on."""
        self.guard.set("learning", "")
        self._guard_changed()

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


class RunningTurn:
    """A turn in progress, for whoever may cancel it."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.task: asyncio.Task[None]

    @property
    def turn_id(self) -> str:
        """The client's id for it."""
        return self.turn.request.turn_id

    def cancel(self, reason: str) -> None:
        """Stop it: generation, speech and queued audio."""
        self.turn.cancel_reason = reason
        self.task.cancel(reason)

    def played(self, sentence: int, ms: int) -> None:
        """The player has heard so far."""
        self.turn.heard = max(self.turn.heard or (0, 0), (sentence, ms))


@asynccontextmanager
async def running(runtimes: Runtimes) -> AsyncIterator[Kernel]:
    """A kernel from start to stop, with its runtime."""
    await runtimes.start()
    kernel = Kernel(runtimes)
    try:
        await kernel.start()
        yield kernel
    finally:
        await kernel.stop()
        await runtimes.close()


async def conversation(kernel: Kernel, message: protocol.PlayerTurn, wants: protocol.Hello) -> AsyncGenerator[Item]:
    """Run one turn in this process; yields all it sends, its end included. Leaving early cancels it."""
    outbox = Outbox(patience=60)
    turn = kernel.begin(message, outbox, wants)
    try:
        while True:
            item = await outbox.get()
            yield item
            if isinstance(item, protocol.TurnFinished | protocol.TurnCancelled | protocol.TurnFailed):
                return
    finally:
        if not turn.task.done():
            turn.cancel("disconnected")
            await asyncio.wait([turn.task])


def _clean(text: str) -> str:
    """Without control characters, which neither a model nor a voice can use."""
    return "".join(c for c in text if c in "\n\t" or (ord(c) >= 32 and ord(c) != 127))

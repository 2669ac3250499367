"""The kernel: opens and closes the parts in their order, and passes on what clients ask for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rfsn_core import protocol
from rfsn_core.admin.archiving import Archiving
from rfsn_core.admin.maintenance import Maintenance
from rfsn_core.admin.memory import MemoryAdmin
from rfsn_core.admin.pause import SavePauses
from rfsn_core.admin.saves import Saves
from rfsn_core.admin.transfer import Transfer
from rfsn_core.contract.hooks import ServerInfo
from rfsn_core.contract.rendering import Prompt
from rfsn_core.contract.storage import Scope
from rfsn_core.contract.version import version
from rfsn_core.conversation.registry import Conversations
from rfsn_core.learning.feedback import Feedback
from rfsn_core.learning.learner import Learner
from rfsn_core.learning.recent_decisions import RecentDecisions
from rfsn_core.learning.rewards import Rewards
from rfsn_core.learning.trials import Trials
from rfsn_core.learning.turn_log import TurnLog
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.runtime.store_notice import note_store
from rfsn_core.telemetry.logs import logger
from rfsn_core.turn.follow_up import FollowUp
from rfsn_core.turn.game import Game
from rfsn_core.turn.outbox import Item, Outbox
from rfsn_core.turn.turns import RunningTurn, Turns

log = logger("kernel")

STOP_SECONDS = 5.0
"""Time limit for the plugins' `rfsn_stopping` hooks."""


class Kernel:
    """The parts of one process, and what clients ask of them. The runtimes must have been started."""

    def __init__(self, runtimes: Runtimes) -> None:
        self.runtimes = runtimes
        data = runtimes.own_dir
        # The log of everything that happened, and memory: the store and the archives, which follow it.
        self.turn_log = TurnLog(data / "log", int(runtimes.current.settings.log.file_mb * 1_000_000))
        self._archiving = Archiving(self.turn_log, runtimes)
        self.conversations = Conversations(runtimes, self.turn_log)
        # Learning: decisions and rewards in, updates of the policy out.
        self.trials = Trials(runtimes, data / "learning" / "trials.json")
        self.decisions = RecentDecisions(self.turn_log, runtimes, self.trials)
        self.learner = Learner(self.turn_log, data / "learning", runtimes)
        self.guard = self.learner.guard
        self.rewards = Rewards(self.turn_log, self.decisions, self.learner, runtimes)
        self.feedback = Feedback(self.rewards, self.turn_log)
        # What operators and games do with memory outside of turns.
        self.pauses = SavePauses(runtimes, self.conversations, self.turn_log, self._archiving, data)
        runtimes.oversight.broadcast = self.pauses.tell
        self.memory = MemoryAdmin(runtimes, self.conversations)
        self.saves = Saves(runtimes, self.conversations, self.pauses)
        self.maintenance = Maintenance(runtimes, self.conversations, self.pauses, self.turn_log, self._archiving)
        self.transfer = Transfer(runtimes, self.conversations)
        # Turns.
        follow_up = FollowUp(self.rewards, self.decisions, self.guard, self.conversations, self.memory)
        self.turns = Turns(runtimes, self.conversations, self.decisions, follow_up)
        self._game = Game(runtimes, self.conversations, self.decisions, self.turns)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open all parts, and take over what an earlier run left behind."""
        note_store(self.runtimes)
        self.runtimes.before_store_change = self.conversations.flush
        await self.turn_log.open()
        for follower in (self.conversations.follower, self._archiving.follower):
            await follower.open()
        await self.pauses.open()  # before waiting turns are stored: they may have been erased meanwhile
        self.trials.load()
        await self.learner.open()
        await self.rewards.resume()
        self._tasks = [
            asyncio.create_task(self.conversations.evict(), name="evict"),
            asyncio.create_task(self.conversations.follower.run(), name="store"),
            asyncio.create_task(self._archiving.follower.run(), name="archive"),
            asyncio.create_task(self.turn_log.keep_tidy(lambda: self.runtimes.current.settings.log), name="tidy log"),
            asyncio.create_task(self.learner.follow(), name="follow"),
            asyncio.create_task(self.pauses.follow(), name="notices"),
            asyncio.create_task(self.runtimes.oversight.autosave(), name="autosave of labels"),
        ]
        await self.runtimes.current.hooks.started.run(info=self._info())

    async def drain(self) -> None:
        """Begin no more turns, wait a while for those that run, cancel the rest."""
        await self.turns.drain(self.runtimes.current.settings.server.shutdown_seconds)

    async def stop(self) -> None:
        """End all turns, close all parts, and tell the plugins. Also after a start that failed."""
        await self.drain()
        await self.turns.close()
        await self.conversations.close()
        if self._tasks:
            await self.conversations.flush()
            await self._archiving.flush()
            for task in self._tasks:
                task.cancel()
            await self.pauses.close()
        self.trials.save()
        await self.learner.close()
        await self.turn_log.close()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.runtimes.current.hooks.stopping.run(info=self._info())
        except TimeoutError:
            log.warning("plugins.stop_timeout", seconds=STOP_SECONDS)

    def _info(self) -> ServerInfo:
        return ServerInfo(self.runtimes.world_dir, version())

    # ── what clients ask for ─────────────────────────────────────────────────────────────────────

    def begin(self, message: protocol.PlayerTurn, outbox: Outbox, wants: protocol.Hello) -> RunningTurn:
        """Start a turn; its events go to the outbox.

        Raises UnknownNpc, BadMessage, ConversationBusy or ShuttingDown.
        """
        return self.turns.begin(message, outbox, wants)

    async def preview(self, message: protocol.PlayerTurn) -> Prompt:
        """Return the prompt that a turn would send to a model. Raises as `begin` does, and StoreError."""
        return await self.turns.preview(message)

    async def state(self, npc_name: str, player: str, save: str) -> dict[str, Any]:
        """Return how an NPC feels about a player now. Raises UnknownNpc or StoreError."""
        npc = self.runtimes.current.world.npc(npc_name)
        conversation = self.conversations[Scope(save, npc.id, player)]
        return (await conversation.load(self.runtimes.current.store_access, npc.initial)).plain()

    def event(self, message: protocol.GameEvent) -> asyncio.Task[protocol.State]:
        """Take a game event. Raises UnknownNpc; the task raises StoreError."""
        return self._game.event(message)

    def reaction(self, message: protocol.GameEvent) -> protocol.PlayerTurn | None:
        """Return the turn in which an NPC speaks of an event that was stored; None when it says nothing."""
        return self._game.reactions.to_event(message)

    async def result(self, message: protocol.ActionResult) -> tuple[protocol.State, protocol.PlayerTurn | None]:
        """Take in what became of an action; return the NPC's state, and the turn in which it speaks of it, if any.

        Raises UnknownDecision or StoreError.
        """
        return await self._game.result(message)

    def introduce(self, message: protocol.Introduce) -> protocol.Introduced:
        """Make an NPC that the game has and the world has no file for. Raises UserError."""
        world = self.runtimes.current.world
        own = world.with_file(message.npc) or world.with_file(message.name)
        npc = own or self.runtimes.guests.introduce(world.kinds, message)
        return protocol.Introduced(npc=npc.id, name=npc.name, has_file=own is not None)

    def undo(self, message: protocol.Undo) -> asyncio.Task[protocol.TurnUndone]:
        """Undo the last turn of a conversation, when the turns before this have ended.

        Raises UnknownNpc; the task raises StoreError.
        """
        npc = self.runtimes.current.world.npc(message.npc)
        conversation = self.conversations[Scope(message.save, npc.id, message.player)]

        async def undone() -> protocol.TurnUndone:
            access = self.runtimes.current.store_access
            decision_id = await conversation.undo(access, npc.initial, message.decision_id)
            return protocol.TurnUndone(npc=npc.id, player=message.player, save=message.save, decision_id=decision_id)

        return self.conversations.queue(conversation, undone, "undo")

    def end(self, message: protocol.EndConversation) -> asyncio.Task[None]:
        """Note that the player has left a conversation, after the turns that run. Raises UnknownNpc."""
        npc = self.runtimes.current.world.npc(message.npc)
        conversation = self.conversations[Scope(message.save, npc.id, message.player)]

        async def end() -> None:
            await conversation.load(self.runtimes.current.store_access, npc.initial)
            await self.rewards.accept_end(conversation.last_decision)

        return self.conversations.queue(conversation, end, "end")

    def prefetch(self, message: protocol.Prefetch) -> list[asyncio.Task[None]]:
        """Load what NPCs know of a player, all at once. Raises UnknownNpc; the tasks raise StoreError."""
        npcs = [self.runtimes.current.world.npc(name) for name in message.npcs]
        tasks = [self.conversations.prefetch(Scope(message.save, npc.id, message.player), npc.initial) for npc in npcs]
        return [task for task in tasks if task is not None]

    async def reward(self, message: protocol.Reward) -> protocol.RewardAccepted:
        """Take in a reward. Raises BadMessage, UnknownDecision or StoreError."""
        result = await self.rewards.accept(
            message.decision_id, value=message.value, signal=message.signal, reward_id=message.reward_id
        )
        return protocol.RewardAccepted(
            decision_id=message.decision_id,
            value=result.value,
            duplicate=result.duplicate,
            quarantined=result.quarantined,
        )


@asynccontextmanager
async def running(runtimes: Runtimes) -> AsyncIterator[Kernel]:
    """Run a kernel, with its runtime, from start to stop."""
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

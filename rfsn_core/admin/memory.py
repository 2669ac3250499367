"""What is done with memory outside of turns: shown, searched, told, judged, saved, taken back, erased."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from typing import Any, TypeVar, cast

import msgspec

from rfsn_core import protocol
from rfsn_core.admin.archive_queue import ArchiveQueue
from rfsn_core.admin.pause import SavePauses
from rfsn_core.contract.errors import BadMessage, NotFound, RfsnError, StoreError, contained
from rfsn_core.contract.rendering import Prompt, Renderer, RenderOptions
from rfsn_core.contract.storage import (
    GOVERNED,
    Backup,
    MemoryKind,
    MemoryRecord,
    MemorySource,
    MemoryStatus,
    Scope,
    Snapshot,
    Store,
    TurnRecord,
)
from rfsn_core.conversation.registry import Conversations
from rfsn_core.learning.decision_log import DecisionLog
from rfsn_core.memory import beliefs as governance
from rfsn_core.memory import retrieval
from rfsn_core.memory.summaries import LONGEST
from rfsn_core.memory.update import Mind, with_changes
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.telemetry.logs import logger
from rfsn_core.world.files import Npc

log = logger("memory")
T = TypeVar("T")

MOST_TEXT = 2000
LEAST_SUMMARY = 40
"""Characters; what a model says in less is no summary."""
SETTLING = 3.0
"""Seconds that a save, and the like, waits for turns that wait for the store."""
SUMMARY_PATIENCE = 60.0
"""Seconds for a model to word a summary."""
LONGEST_LINE = 1_000_000
"""Bytes of one turn in what is imported."""


class MemoryAdmin:
    """Of all NPCs."""

    def __init__(
        self, runtimes: Runtimes, conversations: Conversations, coordination: SavePauses, decision_log: DecisionLog,
        archive: ArchiveQueue,
    ) -> None:  # fmt: skip
        self._runtimes, self._sessions, self._coordination = runtimes, conversations, coordination
        self._journal, self._archive = decision_log, archive

    @property
    def _store(self) -> Store:
        return self._runtimes.current.store

    def _scope(self, npc: str, player: str, save: str) -> tuple[Npc, Scope]:
        found = self._runtimes.current.world.npc(npc)
        return found, Scope(save, found.id, player)

    # ── looking ──────────────────────────────────────────────────────────────────────────────────

    async def show(self, npc: str, player: str, save: str, turns: int = 10) -> dict[str, Any]:
        """All that an NPC knows of a player, and what it does not believe. Raises UnknownNpc or StoreError."""
        found, scope = self._scope(npc, player, save)
        past = await self._guarded(self._store.load(scope, turns))
        now = time.time()
        memories = [asdict(memory) | {"expired": governance.expired(memory, now)} for memory in reversed(past.memories)]
        believed = governance.believed(past.memories, now)
        return {
            "npc": found.id,
            "name": found.name,
            "player": player,
            "save": save,
            "state": past.state,
            "card": past.card,
            "salient": [memory.memory_id for memory in retrieval.salient(believed, now)],
            "memories": memories,
            "turns": [_plain(turn) for turn in past.turns],
        }

    async def search(self, npc: str, player: str, save: str, query: str, limit: int) -> list[dict[str, Any]]:
        """Turns by their words, the most useful first."""
        _, scope = self._scope(npc, player, save)
        hits = retrieval.ranked(await self._guarded(self._store.search(scope, query, limit)), time.time())
        return [_plain(hit.turn) | {"relevance": round(hit.relevance, 3)} for hit in hits]

    # ── telling and judging ──────────────────────────────────────────────────────────────────────

    def remember(self, message: protocol.Remember, source: MemorySource) -> asyncio.Task[protocol.Remembered]:
        """Tell an NPC something, by the rules of governance. Raises UnknownNpc and BadMessage; the task, StoreError."""
        npc, scope = self._scope(message.npc, message.player, message.save)
        said = message.text.strip()
        if not (said or (message.predicate and message.value)):
            raise BadMessage("there is nothing to remember", field="text", hint="Give text, or predicate and value")
        if message.ttl is not None and message.ttl <= 0:
            raise BadMessage(
                "a memory lasts longer than that", field="ttl", hint="Seconds, above 0; without it: for ever"
            )
        subject = message.subject or scope.player
        denied = "not " if message.negated else ""
        now = time.time()
        memory = MemoryRecord(
            memory_id=governance.fact_id(subject, message.predicate, message.value, message.negated)
            if message.predicate
            else governance.memory_id(said.lower()),
            kind=MemoryKind(message.kind),
            source=source,
            text=(said or f"{subject}: {message.predicate.replace('_', ' ')} is {denied}{message.value}.")[:MOST_TEXT],
            time=now,
            confidence=message.confidence,
            importance=message.importance,
            subject=subject,
            predicate=message.predicate,
            value=message.value,
            negated=message.negated,
            expires=None if message.ttl is None else now + message.ttl,
        )

        async def learn() -> protocol.Remembered:
            versions = await self._change(scope, npc, lambda mind: mind.learn(memory))
            mine = next((each for each in versions if each.memory_id == memory.memory_id), memory)
            yielded = [each.memory_id for each in versions if each.memory_id != memory.memory_id]
            return protocol.Remembered(
                memory_id=mine.memory_id, status=mine.status.value, reason=mine.reason, superseded=yielded
            )

        return self._sessions.queue(self._sessions[scope], learn, "memory")

    async def word_summary(self, scope: Scope, npc: Npc) -> None:
        """Let a model word the newest summary of a conversation; if it cannot, the extracted one stays."""
        runtime = self._runtimes.current
        engine = runtime.renderers[0]
        if engine.breaker.state != "closed" or not getattr(engine.provider, "reports", True):
            return  # away, or no model at all
        conversation = self._sessions[scope]
        newest = [memory for memory in conversation.memories.values() if memory.kind is MemoryKind.SUMMARY][-1:]
        if not newest:
            return
        turns = list(conversation.recent)[-runtime.settings.memory.summary_every :]
        try:
            with runtime.leased(), contained():
                async with asyncio.timeout(SUMMARY_PATIENCE):
                    text = await _worded(engine.provider, runtime.prompts.summary(npc, turns))
        except Exception as error:  # noqa: BLE001  the renderer's code: a summary is welcome, not needed
            log.warning("a summary could not be worded", renderer=engine.name, error=repr(error))
            return
        if len(text) < LEAST_SUMMARY:
            return

        async def put() -> None:
            told = replace(newest[0], text=text, reason=f"worded by {engine.name}", time=time.time())
            await self._change(scope, npc, lambda mind: mind.put([told]))

        await self._sessions.queue(self._sessions[scope], put, "memory")

    def judge(
        self, npc: str, player: str, save: str, memory_id: str, status: MemoryStatus, reason: str
    ) -> asyncio.Task[MemoryRecord]:
        """An operator's word. Raises UnknownNpc; the task, NotThere or StoreError."""
        found, scope = self._scope(npc, player, save)

        async def change() -> MemoryRecord:
            past = await self._guarded(self._store.load(scope, 0))
            memory = next((each for each in past.memories if each.memory_id == memory_id), None)
            if memory is None:
                raise NotFound(f"{found.name} has no memory '{memory_id[:40]}' of {player}", hint="rfsn memory show")
            known = {each.memory_id: each for each in past.memories}
            rules = self._runtimes.current.settings.memory.single_valued
            versions = governance.decide(
                known, memory, status, reason or "by an operator", time.time(), single_valued=rules
            )
            await self._change(scope, found, lambda mind: mind.put(versions))
            log.info("a memory was judged", npc=found.id, memory=memory_id, status=status.value)
            return versions[-1]

        return self._sessions.queue(self._sessions[scope], change, "memory")

    async def _change(
        self, scope: Scope, npc: Npc, work: Callable[[Mind], Sequence[MemoryRecord]]
    ) -> Sequence[MemoryRecord]:
        """Memories change only together with a turn; here one without words."""
        runtime = self._runtimes.current
        conversation = self._sessions[scope]
        state = await conversation.load(runtime, npc.initial)
        mind = conversation.mind(runtime)
        versions = work(mind)
        if mind.changes:
            turn = TurnRecord(uuid.uuid4().hex, scope, time.time(), "", "", GOVERNED, "", state.plain())
            await conversation.keep(with_changes(turn, mind), state, runtime)
        return versions

    # ── saves ────────────────────────────────────────────────────────────────────────────────────

    async def snapshot(self, save: str, tag: str) -> Snapshot:
        """A save of the game, under its tag."""
        await self._settled()
        return await self._guarded(self._store.snapshot(save, tag))

    async def snapshots(self, save: str) -> Sequence[Snapshot]:
        """The snapshots of a save, or of all saves."""
        return await self._guarded(self._store.snapshots(save))

    async def rollback(self, save: str, tag: str) -> int:
        """The game loads an older save: the NPCs go back with it. Raises NotFound."""
        await self._settled()
        async with self._coordination.paused(save, "", "", "rollback") as then:
            turns = await self._guarded(self._store.rollback(save, tag))
            then.forgotten, then.reverted = True, protocol.SaveReverted(save=save, tag=tag, turns=turns)
        log.info("a save went back to a save", save=save, tag=tag, turns=turns)
        self._runtimes.announce(then.reverted)
        return turns

    # ── everything at once ───────────────────────────────────────────────────────────────────────

    async def stats(self, npc: str) -> dict[str, Any]:
        """Raises UnknownNpc."""
        return dict(await self._guarded(self._store.stats(self._runtimes.current.world.npc(npc).id)))

    async def reset(self, name: str) -> Backup:
        """Forget an NPC, after a backup."""
        npc = self._runtimes.current.world.npc(name)
        async with self._coordination.paused("", npc.id, "", "cancelled") as then:
            backup = await self._guarded(self._store.reset(npc.id))
            then.forgotten = True
            return backup

    async def backup(self) -> Backup:
        """A copy of all of it."""
        return await self._guarded(self._store.backup())

    async def backups(self) -> Sequence[Backup]:
        """What can be restored."""
        return await self._guarded(self._store.backups())

    async def restore(self, name: str) -> None:
        """Replace everything by a backup, after backing up what is there. Raises NotFound."""
        await self._settled()
        async with self._coordination.paused("", "", "", "cancelled") as then:
            await self._guarded(self._store.restore(name))
            then.forgotten = True
        log.info("a backup was restored", backup=name)

    async def erase(self, save: str, npc: str, player: str, *, backups: bool) -> dict[str, int]:
        """Leave no trace of an NPC, a player, a save, or of what they have in common: turns and decisions."""
        if not (save or npc or player):
            raise BadMessage("name a save, an NPC or a player", hint="To forget an NPC after a backup: reset")
        await self._settled()
        async with self._coordination.paused(save, npc, player, "cancelled", erase="all" if backups else "but_backups"):
            await self._guarded(self._archive.erase(save, npc, player))  # first: it may be away, and then nothing is
            turns = await self._guarded(self._store.erase(save, npc, player, backups=backups))
            decisions = await self._journal.erase(lambda scope: scope.within(save, npc, player))
        log.info("turns were erased", turns=turns, decisions=decisions)
        return {"turns": turns, "decisions": decisions}

    async def check(self) -> Sequence[str]:
        """What is damaged."""
        return await self._guarded(self._store.check())

    async def export(self, save: str, npc: str, player: str) -> AsyncIterator[bytes]:
        """Lines of JSON, a turn each, oldest first."""
        runtime = self._runtimes.current
        with runtime.leased():
            async for turn in runtime.store.export(save, npc, player):
                yield msgspec.json.encode(turn) + b"\n"

    async def load_lines(self, chunks: AsyncIterator[bytes]) -> int:
        """Import what was exported; turns that are there stay as they are. Raises BadMessage, which names the line."""
        await self._settled()
        number, rest = 0, b""
        scopes: set[Scope] = set()
        try:
            async for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > LONGEST_LINE:
                    raise BadMessage(f"line {number + len(lines) + 1} is longer than {LONGEST_LINE} bytes")
                for line in lines:
                    number += 1
                    scopes.add(await self._load_line(line, number))
            if rest.strip():
                number += 1
                scopes.add(await self._load_line(rest, number))
        finally:
            async with self._sessions.paused(scopes.__contains__, "cancelled"):
                pass  # what is held of them is read anew
        return number

    async def _load_line(self, line: bytes, number: int) -> Scope:
        try:
            turn = msgspec.json.decode(line, type=TurnRecord)
            named = all((turn.turn_id, turn.scope.npc, turn.scope.player, turn.scope.save))
            if len(line) > LONGEST_LINE or not named:
                raise ValueError("too long, or without a name")
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            said = f"line {number} is no turn: {error}. The {number - 1} before it are stored"
            raise BadMessage(said, field=f"line {number}") from error
        await self._guarded(self._store.append(turn))
        return turn.scope

    async def _settled(self) -> None:
        """What waits for the store comes first. Raises StoreError when the store is away for longer."""
        self._sessions.replay_soon()
        until = time.monotonic() + SETTLING
        while self._sessions.spool:
            if time.monotonic() > until:
                raise StoreError("turns wait for the store", hint="Try again when it has taken them")
            await asyncio.sleep(0.05)

    async def _guarded(self, call: Awaitable[T]) -> T:
        """A store's code may do anything; here it is an error of the store, or what it says itself."""
        try:
            with contained():
                return await call
        except RfsnError:
            raise
        except Exception as error:
            raise StoreError(f"the store failed: {type(error).__name__}: {error}") from error


async def _worded(renderer: Renderer, prompt: Prompt) -> str:
    """What a model says, up to the last whole sentence that is not too long."""
    said = ""
    async with aclosing(
        cast("AsyncGenerator[str | protocol.Usage]", renderer.render(prompt, RenderOptions()))
    ) as stream:
        async for piece in stream:
            if isinstance(piece, str):
                said += piece
            if len(said) > 2 * LONGEST:
                break
    said = " ".join(said.split())
    if len(said) <= LONGEST:
        return said
    cut = said[:LONGEST]
    return cut[: max(cut.rfind(mark) for mark in ".!?") + 1]


def _plain(turn: TurnRecord) -> dict[str, Any]:
    """A turn for people: without what is shown beside it."""
    shown = {name: getattr(turn, name) for name in ("turn_id", "time", "player_text", "npc_text", "outcome")}
    kind = MemoryKind.EVENT if turn.outcome == "event" else MemoryKind.CONVERSATION_TURN
    return shown | {"decision_id": turn.decision_id, "kind": kind}

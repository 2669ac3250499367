"""What an operator or the game does with an NPC's memories: show, search, add, judge, and reword summaries."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from typing import Any, cast

from rfsn_core import protocol
from rfsn_core.contract.errors import BadMessage, NotFound
from rfsn_core.contract.provider_call import provider_call
from rfsn_core.contract.rendering import Prompt, Renderer, RenderOptions
from rfsn_core.contract.storage import (
    GOVERNED,
    MemoryKind,
    MemoryRecord,
    MemorySource,
    MemoryStatus,
    Scope,
    Store,
    TurnRecord,
)
from rfsn_core.conversation.registry import Conversations
from rfsn_core.conversation.store_access import call_store
from rfsn_core.memory import beliefs, retrieval
from rfsn_core.memory.summaries import MAX_SUMMARY
from rfsn_core.memory.update import MemoryUpdate, with_changes
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.telemetry.logs import logger
from rfsn_core.world.files import Npc

log = logger("memory")

MAX_TEXT = 2000
"""Characters of a memory that an operator or the game adds; the rest is cut off."""
MIN_SUMMARY = 40
"""Characters; a shorter answer of a model is not used as a summary."""
SUMMARY_SECONDS = 60.0
"""Time limit for a model to write a summary."""


class MemoryAdmin:
    """The memories of all NPCs, as an operator and the game see them."""

    def __init__(self, runtimes: Runtimes, conversations: Conversations) -> None:
        self._runtimes, self._conversations = runtimes, conversations

    @property
    def _store(self) -> Store:
        return self._runtimes.current.store

    def _npc_and_scope(self, name: str, player: str, save: str) -> tuple[Npc, Scope]:
        npc = self._runtimes.current.world.npc(name)
        return npc, Scope(save, npc.id, player)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────

    async def show(self, npc_name: str, player: str, save: str, turns: int = 10) -> dict[str, Any]:
        """Return all that an NPC knows of a player, with what it does not believe. Raises UnknownNpc or StoreError."""
        npc, scope = self._npc_and_scope(npc_name, player, save)
        await self._conversations.stored()
        past = await call_store(self._store.load(scope, turns))
        now = time.time()
        believed = beliefs.believed(past.memories, now)
        return {
            "npc": npc.id,
            "name": npc.name,
            "player": player,
            "save": save,
            "state": past.state,
            "card": past.card,
            "salient": [memory.memory_id for memory in retrieval.salient(believed, now)],
            "memories": [
                asdict(memory) | {"expired": beliefs.is_expired(memory, now)} for memory in reversed(past.memories)
            ],
            "turns": [_turn_fields(turn) for turn in past.turns],
        }

    async def search(self, npc_name: str, player: str, save: str, query: str, limit: int) -> list[dict[str, Any]]:
        """Return turns that contain the query's words, best first. Raises UnknownNpc or StoreError."""
        _, scope = self._npc_and_scope(npc_name, player, save)
        await self._conversations.stored()
        hits = retrieval.rank_hits(await call_store(self._store.search(scope, query, limit)), time.time())
        return [_turn_fields(hit.turn) | {"relevance": round(hit.relevance, 3)} for hit in hits]

    # ── changing ─────────────────────────────────────────────────────────────────────────────────

    def remember(self, message: protocol.Remember, source: MemorySource) -> asyncio.Task[protocol.Remembered]:
        """Add a memory, by the rules of belief. Raises UnknownNpc and BadMessage; the task raises StoreError."""
        npc, scope = self._npc_and_scope(message.npc, message.player, message.save)
        told = _memory_of(message, scope, source)

        async def learn() -> protocol.Remembered:
            trusted = source is MemorySource.OPERATOR
            memory = told if trusted else await self._runtimes.current.admission.memory(told, npc.id)
            versions = await self._change(scope, npc, lambda update: update.learn(memory))
            stored = next((version for version in versions if version.memory_id == memory.memory_id), memory)
            superseded = [version.memory_id for version in versions if version.memory_id != memory.memory_id]
            return protocol.Remembered(
                memory_id=stored.memory_id, status=stored.status.value, reason=stored.reason, superseded=superseded
            )

        return self._conversations.queue(self._conversations[scope], learn, "memory")

    def judge(
        self, npc_name: str, player: str, save: str, memory_id: str, status: MemoryStatus, reason: str
    ) -> asyncio.Task[MemoryRecord]:
        """Set a memory's status by an operator's decision. Raises UnknownNpc; the task, NotFound or StoreError."""
        npc, scope = self._npc_and_scope(npc_name, player, save)

        async def change() -> MemoryRecord:
            await self._conversations.stored()
            past = await call_store(self._store.load(scope, 0))
            known = {memory.memory_id: memory for memory in past.memories}
            if (memory := known.get(memory_id)) is None:
                hint = f"`rfsn memory show {npc.id}` lists the ids"
                raise NotFound(f"{npc.name} has no memory '{memory_id[:40]}' of {player}", hint=hint)
            single_valued = self._runtimes.current.settings.memory.single_valued
            versions = beliefs.judge(
                known, memory, status, reason or "by an operator", time.time(), single_valued=single_valued
            )
            await self._change(scope, npc, lambda update: update.add(versions))
            log.info("memory.judged", npc=npc.id, memory=memory_id, status=status.value)
            return versions[-1]

        return self._conversations.queue(self._conversations[scope], change, "memory")

    async def _change(
        self, scope: Scope, npc: Npc, work: Callable[[MemoryUpdate], Sequence[MemoryRecord]]
    ) -> Sequence[MemoryRecord]:
        """Store changed memories. Memories are only stored with a turn; here with one that has no words."""
        access = self._runtimes.current.store_access
        conversation = self._conversations[scope]
        state = await conversation.load(access, npc.initial)
        update = conversation.memory_update(access)
        versions = work(update)
        if update.changes:
            turn = TurnRecord(uuid.uuid4().hex, scope, time.time(), "", "", GOVERNED, "", state.plain())
            await conversation.keep(with_changes(turn, update), state, access)
        return versions

    # ── summaries ────────────────────────────────────────────────────────────────────────────────

    async def reword_summary(self, scope: Scope, npc: Npc) -> None:
        """Let the model reword the newest summary of a conversation; on failure the extracted text stays."""
        runtime = self._runtimes.current
        engine = runtime.renderers[0]
        if engine.breaker.state != "closed" or not engine.capabilities.reports:
            return  # the model is unavailable, or the renderer has no model
        conversation = self._conversations[scope]
        summaries = [memory for memory in conversation.memories.values() if memory.kind is MemoryKind.SUMMARY]
        if not summaries:
            return
        turns = list(conversation.recent)[-runtime.settings.memory.summary_every :]
        try:
            with runtime.leased():
                async with provider_call(SUMMARY_SECONDS):
                    text = await _write_summary(engine.provider, runtime.prompts.summary(npc, turns))
                refused = await runtime.admission.refusal(text, npc.id, "npc")
        except Exception as error:  # noqa: BLE001  the renderer's code; the extracted summary is good enough
            log.warning("summary.failed", renderer=engine.name, error=repr(error))
            return
        if len(text) < MIN_SUMMARY:
            return
        if refused:
            log.warning("summary.refused", renderer=engine.name, reason=refused)
            return
        reworded = replace(summaries[-1], text=text, reason=f"worded by {engine.name}", time=time.time())

        async def store() -> None:
            await self._change(scope, npc, lambda update: update.add([reworded]))

        await self._conversations.queue(self._conversations[scope], store, "memory")


def _memory_of(message: protocol.Remember, scope: Scope, source: MemorySource) -> MemoryRecord:
    """Return the memory that a `remember` message describes. Raises BadMessage."""
    text = message.text.strip()
    if not (text or (message.predicate and message.value)):
        raise BadMessage("there is nothing to remember", field="text", hint="Give text, or predicate and value")
    if message.ttl is not None and message.ttl <= 0:
        raise BadMessage("ttl is not above 0", field="ttl", hint="Seconds; leave it out to keep the memory")
    subject = message.subject or scope.player
    now = time.time()
    if message.predicate:
        memory_id = beliefs.fact_id(subject, message.predicate, message.value, message.negated)
    else:
        memory_id = beliefs.memory_id(text.lower())
    denied = "not " if message.negated else ""
    fact = f"{subject}: {message.predicate.replace('_', ' ')} is {denied}{message.value}."
    return MemoryRecord(
        memory_id=memory_id,
        kind=MemoryKind(message.kind),
        source=source,
        text=(text or fact)[:MAX_TEXT],
        time=now,
        confidence=message.confidence,
        importance=message.importance,
        subject=subject,
        predicate=message.predicate,
        value=message.value,
        negated=message.negated,
        expires=None if message.ttl is None else now + message.ttl,
    )


async def _write_summary(renderer: Renderer, prompt: Prompt) -> str:
    """Return the model's summary, cut after the last whole sentence within `MAX_SUMMARY` characters."""
    text = ""
    stream = cast("AsyncGenerator[str | protocol.Usage]", renderer.render(prompt, RenderOptions()))
    async with aclosing(stream):
        async for piece in stream:
            if isinstance(piece, str):
                text += piece
            if len(text) > 2 * MAX_SUMMARY:
                break
    text = " ".join(text.split())
    if len(text) <= MAX_SUMMARY:
        return text
    text = text[:MAX_SUMMARY]
    return text[: max(text.rfind(mark) for mark in ".!?") + 1]


def _turn_fields(turn: TurnRecord) -> dict[str, Any]:
    """Return the fields of a turn that are shown, without its state and memories."""
    shown = {name: getattr(turn, name) for name in ("turn_id", "time", "player_text", "npc_text", "outcome")}
    kind = MemoryKind.EVENT if turn.outcome == "event" else MemoryKind.CONVERSATION_TURN
    return shown | {"decision_id": turn.decision_id, "kind": kind}

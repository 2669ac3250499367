"""What comes to the NPC's mind in a turn: older turns of the conversation, and what it knows of the player."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.storage import MemoryRecord, TurnRecord
from rfsn_core.conversation.conversation import Conversation
from rfsn_core.memory.beliefs import believed
from rfsn_core.memory.retrieval import fuse, rank_hits, rank_memories
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn.player_input import PlayerInput
from rfsn_core.turn.request import Request
from rfsn_core.turn.runtime import Runtime
from rfsn_core.turn.turn_facts import TurnFacts
from rfsn_core.world.arguments import with_arguments
from rfsn_core.world.decision import Deliberation

log = logger("turn")

MOST_NEAR = 40
"""Turns found by meaning that are ranked together with those found by word."""
MOST_SAID = 30
"""The NPC's last answers, which a renderer does not repeat."""
MOST_COUNTED = 4
"""Sentences from the memory card that a renderer sees."""


async def recall(
    request: Request,
    runtime: Runtime,
    conversation: Conversation,
    player: PlayerInput,
    state: NpcState,
    deliberation: Deliberation,
) -> TurnFacts:
    """Return all that the prompt of a turn is made of.

    :param player: what the player said, as far as the gate let it through.
    """
    text, decision = player.text, deliberation.event
    memory = runtime.settings.memory
    recent = conversation.recent[-memory.recent :] if memory.recent else ()
    related: Sequence[TurnRecord] = ()
    if memory.related and text and state.turns > memory.recent:
        seen = {turn.turn_id for turn in recent}
        related = await _related_turns(runtime, conversation, text, memory.related, seen)
    return TurnFacts(
        npc=request.npc,
        player=player.name,
        text=text,
        understanding=player.understanding,
        knowledge=deliberation.knowledge,
        fact=deliberation.fact,
        player_name=_player_name(conversation),
        action=with_arguments(runtime.decider.actions[decision.action], decision.arguments),
        occasion=player.occasion,
        style=decision.style,
        state=state,
        related=related,
        recent=recent,
        known=_known_facts(conversation, text, memory.known),
        counted=conversation.card.lines()[:MOST_COUNTED],
        stopped_by=player.stopped_by,
        said=[turn.npc_text for turn in conversation.recent[-MOST_SAID:] if turn.npc_text],
        game=player.game,
        seed=f"{runtime.settings.world.seed}/{request.scope.conversation}/{state.turns}/{text}",
    )


def _player_name(conversation: Conversation) -> str:
    """Return what the player said to be called; empty when the NPC was not told."""
    names = [fact for fact in believed(conversation.memories.values(), time.time()) if fact.predicate == "name"]
    return max(names, key=lambda fact: fact.time).value if names else ""


async def _related_turns(
    runtime: Runtime, conversation: Conversation, text: str, limit: int, seen: Collection[str]
) -> list[TurnRecord]:
    """Return older turns that a text is about, the best match first.

    A store or an embedder that fails costs only what it would have found.

    :param seen: ids of turns that are in the prompt already.
    """
    wanted = limit + len(seen)
    try:
        hits = await runtime.store_access.search(conversation.scope, text, wanted)
    except Exception as error:  # noqa: BLE001  the store's code: the past is welcome, not needed
        METRICS.errors.labels("storage").inc()
        log.warning("search.failed", error=repr(error))
        return []
    try:
        near = await conversation.search_by_meaning(runtime.store_access, text, MOST_NEAR)
    except Exception as error:  # noqa: BLE001  the embedder's code: words are enough
        METRICS.errors.labels("embedding").inc()
        log.warning("search_by_meaning.failed", error=repr(error))
        near = []
    if near:
        hits = fuse(hits, near, wanted)
    best = rank_hits((hit for hit in hits if hit.turn.turn_id not in seen), time.time())
    return [hit.turn for hit in best[:limit]]


def _known_facts(conversation: Conversation, text: str, limit: int) -> list[MemoryRecord]:
    """Return what the NPC knows of the player, the most useful for this text first."""
    now = time.time()
    return rank_memories(believed(conversation.memories.values(), now), text, now, limit)

"""From what the player said to the NPC's decision: how it feels, what it knows, what it does, and what it remembers."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import msgspec

from rfsn_core import protocol
from rfsn_core.contract.actions import Situation
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.understanding import Understanding
from rfsn_core.conversation.conversation import Conversation
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn.events import TurnEvents
from rfsn_core.turn.player_input import PlayerInput
from rfsn_core.turn.request import Request
from rfsn_core.turn.runtime import Runtime
from rfsn_core.world.arguments import Sources, fill
from rfsn_core.world.decision import Deliberation, is_told
from rfsn_core.world.feelings import adopt, drift, hear, perceive
from rfsn_core.world.knowledge import Question, Recall
from rfsn_core.world.trial import Trial

log = logger("turn")


def compare(request: Request, runtime: Runtime, state: NpcState, events: TurnEvents) -> NpcState:
    """Report where the game believes something else of the NPC's state; adopt it if the settings say so."""
    drifted = drift(state, request.game)
    if not drifted:
        return state
    adopted = runtime.settings.world.drift == "adopt"
    log.warning("state.drift", player=request.scope.player, drift=drifted, adopted=adopted)
    METRICS.drift.inc()
    events.emit(
        protocol.StateDrift(
            turn_id=request.turn_id,
            npc=request.npc.id,
            ours={name: ours for name, (ours, _) in drifted.items()},
            game={name: theirs for name, (_, theirs) in drifted.items()},
            adopted=adopted,
        )
    )
    return adopt(state, drifted, request.npc.nature) if adopted else state


def perceived(request: Request, player: PlayerInput, state: NpcState) -> NpcState:
    """Return the state after the NPC saw what the game shows and heard what the player said."""
    nature = request.npc.nature
    if request.occasion is not None:
        return perceive(state, request.game, nature)
    return hear(perceive(state, request.game, nature), player.signal, player.understanding.sentiment, nature)


def decide(
    request: Request, runtime: Runtime, player: PlayerInput, state: NpcState, decision_id: str,
    trial: Trial | None = None,
) -> Deliberation:  # fmt: skip
    """Decide what the NPC does, and in which style.

    :param state: as `perceived` returns it.
    :param trial: who acts, the policy that learns or the default.
    """
    knowledge = recall_facts(request, runtime, player, state)
    cause = request.occasion
    situation = Situation(
        state, player.signal, request.game, request.npc.nature.temperament, knowing(player.understanding, knowledge),
        cause.kind if cause else "", cause.actions if cause else (),
    )  # fmt: skip
    filled, unfit = _arguments(request, runtime, player, state)
    deliberation = runtime.decider.decide(
        situation,
        request.npc,
        request.scope,
        decision_id,
        stopped_by=player.stopped_by,
        changes=(*runtime.hooks.changes(situation, runtime.decider.actions), unfit),
        knowledge=knowledge,
        trial=trial,
    )
    METRICS.actions.labels(deliberation.event.action).inc()
    event = deliberation.event
    event.turn_id, event.occasion = request.turn_id, situation.occasion
    event.arguments = filled.get(event.action, {})
    event.target = str(event.arguments.get("target", ""))
    return deliberation


REFUSED_TURNS = 3
"""Turns for which an action that the game did not carry out is no candidate."""


def _arguments(
    request: Request, runtime: Runtime, player: PlayerInput, state: NpcState
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return action → its arguments, and action → why it cannot be done now."""
    actions = runtime.decider.actions
    sources = Sources(request.npc.name, request.scope.player, player.text, player.understanding, player.game)
    filled: dict[str, dict[str, Any]] = {}
    unfit: dict[str, str] = {}
    for name in actions.with_arguments:
        arguments = fill(actions[name], sources)
        if isinstance(arguments, str):
            unfit[name] = f"no {arguments} is known"
        else:
            filled[name] = arguments
    refused = tuple(name for name, turn in state.refused.items() if state.turns - turn < REFUSED_TURNS)
    if refused:
        unfit.update(dict.fromkeys(actions.covered(refused), "the game refused it lately"))
    return filled, unfit


def recall_facts(request: Request, runtime: Runtime, player: PlayerInput, state: NpcState) -> Recall:
    """Return what the NPC finds in its knowledge about what the player said."""
    if player.stopped_by or request.occasion is not None:
        return Recall()
    return runtime.world.knowledge.recall(
        Question(
            npc=request.npc.id,
            tags=tuple(request.npc.file.tags),
            text=player.text,
            understanding=player.understanding,
            state=state,
            game=request.game,
            told=state.told,
            called=state.called,
            topic=tuple(state.topic),
            seed=f"{runtime.settings.world.seed}/{request.scope.conversation}",
        )
    )


ALWAYS_ANSWERED = frozenset({"name", "mood", "player_name", "player", "real"})
"""What needs no fact to be answered; one that shares a word with it is no answer."""


def knowing(understanding: Understanding, knowledge: Recall) -> frozenset[str]:
    """Return the conditions of the decision that follow from what the NPC knows."""
    conditions = knowledge.knowing
    if understanding.asks in ALWAYS_ANSWERED:
        meant = any(hit.entry.id in knowledge.matched for hit in (*knowledge.answers, *knowledge.secrets))
        if not meant:
            return frozenset({"answer"})
    if understanding.asks and not conditions & {"answer", "secret", "withheld"}:
        return frozenset({"answer"})
    if understanding.signal == "question" and not conditions:
        return frozenset({"unknown"})
    return conditions


MOST_TOLD, MOST_CALLED = 200, 50
"""Facts of which a state remembers when they were told, and when their keys were heard."""
MOST_TOPICS = 8


def told_fact(deliberation: Deliberation, said: str) -> str:
    """Return the id of the fact that the NPC told with what it said; empty when it told none."""
    fact = deliberation.fact
    return fact.entry.id if fact and is_told(fact.entry.fact, deliberation.event.action, said) else ""


def remembered(state: NpcState, deliberation: Deliberation, said: str) -> NpcState:
    """Return the state with what the turn was about: the topic, the fact that was told, and what was done.

    :param said: what the NPC said.
    """
    told, called = state.told, state.called
    knowledge, action = deliberation.knowledge, deliberation.event.action
    topic = list(knowledge.topic)
    fact = deliberation.fact
    if fact is not None and told_fact(deliberation, said):
        told = dict(list({**told, fact.entry.id: state.turns}.items())[-MOST_TOLD:])
        # "Corin is my brother": who is "he"? And what is "it", when no word of the question is in the fact?
        added = (*fact.entry.subject(topic), *fact.entry.names)
        topic += [word for word in dict.fromkeys(added) if word not in topic]
    if knowledge.matched:
        called = dict(list({**called, **dict.fromkeys(knowledge.matched, state.turns)}.items())[-MOST_CALLED:])
    return msgspec.structs.replace(state, told=told, called=called, topic=topic[:MOST_TOPICS], last_action=action)


def new_decision_id(runtime: Runtime, conversation: Conversation, turns: int) -> str:
    """Return a fresh id; the same one in a second run when learning is disabled.

    :param turns: how many turns the NPC has had with the player.
    """
    if runtime.settings.learning.enabled:
        return uuid.uuid4().hex
    story = (runtime.settings.world.seed, conversation.scope.conversation, turns, conversation.last_decision)
    return hashlib.blake2b(repr(story).encode(), digest_size=16).hexdigest()

"""From what the player said to the NPC's decision: the gate, the game's view of the NPC, and the decision itself."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass

from rfsn_core import protocol
from rfsn_core.contract.actions import Situation
from rfsn_core.contract.gating import Utterance, Verdict
from rfsn_core.contract.npc import NpcState
from rfsn_core.conversation.conversation import Conversation
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn import gates
from rfsn_core.turn.events import TurnEvents
from rfsn_core.turn.request import Request
from rfsn_core.turn.runtime import Runtime
from rfsn_core.world.decision import Deliberation
from rfsn_core.world.signals import classify
from rfsn_core.world.transitions import adopt, drift, hear, perceive

log = logger("turn")


@dataclass(frozen=True)
class PlayerInput:
    """What the player said, as far as the gate lets it through."""

    text: str
    """Empty when the gate stopped it: neither the renderer nor the memory sees it."""
    signal: str
    """What the player does: greets, asks, threatens …"""
    sentiment: float
    stopped_by: str
    """Why the gate stopped it; empty when it did not."""


async def gate_input(request: Request, runtime: Runtime, state: NpcState) -> PlayerInput:
    """Ask the gates about what the player said."""
    utterance = Utterance(request.text, "player", request.npc.id, "", state.in_combat)
    verdict = await gates.check(runtime.gates, utterance, runtime.settings.operations.gate_timeout)
    METRICS.inputs.labels(verdict.kind).inc()
    stopped = verdict.kind not in ("allow", "rewrite")
    text = _text(request, verdict)
    return PlayerInput(text, request.signal or classify(text), verdict.sentiment, verdict.reasons[0] if stopped else "")


def _text(request: Request, verdict: Verdict) -> str:
    return {"allow": request.text, "rewrite": verdict.text}.get(verdict.kind, "")


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
    return adopt(state, drifted) if adopted else state


def perceived(request: Request, player: PlayerInput, state: NpcState) -> NpcState:
    """Return the state after the NPC saw what the game shows and heard what the player said."""
    return hear(perceive(state, request.game), player.signal, player.sentiment)


def decide(request: Request, runtime: Runtime, player: PlayerInput, state: NpcState, decision_id: str) -> Deliberation:
    """Decide what the NPC does, and in which style.

    :param state: as `perceived` returns it.
    """
    situation = Situation(state, player.signal, request.game)
    made = runtime.decider.decide(
        situation,
        request.npc,
        request.scope,
        decision_id,
        stopped_by=player.stopped_by,
        changes=runtime.hooks.changes(situation, runtime.decider.actions),
    )
    METRICS.actions.labels(made.event.action).inc()
    made.event.turn_id = request.turn_id
    return made


def new_decision_id(runtime: Runtime, conversation: Conversation, turns: int) -> str:
    """Return a fresh id; the same one in a second run when learning is disabled.

    :param turns: how many turns the NPC has had with the player.
    """
    if runtime.settings.learning.enabled:
        return uuid.uuid4().hex
    story = (runtime.settings.world.seed, conversation.scope.conversation, turns, conversation.last_decision)
    return hashlib.blake2b(repr(story).encode(), digest_size=16).hexdigest()

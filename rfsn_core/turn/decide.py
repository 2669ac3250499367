"""From what the player said to the NPC's decision: the gate, the game's view of the NPC, and the decision itself."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from rfsn_core import protocol
from rfsn_core.contract.actions import Situation
from rfsn_core.contract.errors import contained
from rfsn_core.contract.gating import Utterance, Verdict
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.understanding import Understanding, UnderstandingContext
from rfsn_core.conversation.conversation import Conversation
from rfsn_core.oversight import lines
from rfsn_core.oversight.oversight import NOBODY, Asker
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn.events import TurnEvents
from rfsn_core.turn.request import Request
from rfsn_core.turn.runtime import Runtime
from rfsn_core.world.arguments import Sources, fill
from rfsn_core.world.decision import Deliberation, is_told
from rfsn_core.world.feelings import adopt, drift, hear, perceive
from rfsn_core.world.knowledge import Question, Recall
from rfsn_core.world.occasions import Occasion
from rfsn_core.world.trial import Trial

log = logger("turn")


@dataclass(frozen=True)
class PlayerInput:
    """What the player said, as far as the gate lets it through."""

    text: str
    """Empty when the gate stopped it: neither the renderer nor the memory sees it."""
    stopped_by: str
    """The gate's reason that the NPC answers by; empty when it did not stop the text."""
    name: str
    """What to call the player in a prompt."""
    game: Mapping[str, Any]
    """The game's state as a prompt may show it."""
    line: str = ""
    """What the NPC says instead of an answer, when the gate stopped it."""
    understanding: Understanding = field(default_factory=lambda: Understanding(signal="statement"))
    """What it means."""
    occasion: Occasion | None = None
    """Why the NPC speaks first, as a prompt may show it; None when the player spoke."""

    @property
    def signal(self) -> str:
        """What the player does: greets, asks, threatens …"""
        return self.understanding.signal


async def gate_input(
    request: Request, runtime: Runtime, state: NpcState, events: TurnEvents | None = None
) -> PlayerInput:
    """Ask the gates about what the player said, and tell the client when they stopped it.

    :param events: of the turn; None for a preview, which nobody is told of.
    """
    if request.occasion is not None:
        return await _gate_occasion(request, runtime, request.occasion)
    utterance = Utterance(request.text, "player", request.npc.id, "", state.in_combat)
    asker = Asker(request.turn_id, request.scope.player, events.emit) if events else NOBODY
    verdict = await runtime.judge(utterance, asker)
    METRICS.inputs.labels(verdict.kind).inc()
    stopped = verdict.kind not in ("allow", "rewrite")
    text = _text(request, verdict)
    # A stopped text is understood too, so that the answer fits; a rewritten one only as the gate left it.
    understanding = understand(request, runtime, state, request.text if stopped else text)
    admission, npc = runtime.admission, request.npc.id
    game, withheld = await admission.game(request.game, npc)
    if withheld:
        log.warning("state.withheld", reason=withheld)
    name = await admission.name(request.scope.player, npc)
    if not stopped:
        return PlayerInput(text, "", name, game, understanding=understanding)
    understanding = replace(understanding, words="", acts=(), topics=(), entities=(), asks="", question="")
    reasons = lines.answered(verdict.reasons, request.text)
    if reasons[0] == lines.CARE:
        understanding = replace(understanding, signal="help", sentiment=0.0)  # a cry for help costs no affection
    if events:
        events.emit(protocol.InputBlocked(turn_id=request.turn_id, verdict=verdict.kind, reasons=list(verdict.reasons)))
        log.info("input.blocked", npc=npc, reasons=verdict.reasons)
    return PlayerInput(text, reasons[0], name, game, _line(request, runtime, reasons, state), understanding)


def _line(request: Request, runtime: Runtime, reasons: Sequence[str], state: NpcState) -> str:
    """Return what the NPC says to a player whose text was stopped."""
    gating = runtime.settings.gating
    return lines.line(
        reasons,
        request.text,
        gating.lines,
        helpline=gating.helpline,
        fallback=request.npc.file.fallback,
        seed=f"{runtime.settings.world.seed}/{request.scope.conversation}/{state.turns}",
    )


async def _gate_occasion(request: Request, runtime: Runtime, occasion: Occasion) -> PlayerInput:
    """Ask the gates about why the NPC speaks first: nobody spoke, but the game's words are in the prompt."""
    admission, npc = runtime.admission, request.npc.id
    game, withheld = await admission.game(request.game, npc)
    if occasion.text and (refused := await admission.refusal(occasion.text, npc)):
        occasion, withheld = replace(occasion, text=""), refused
    if withheld:
        log.warning("state.withheld", reason=withheld)
    name = await admission.name(request.scope.player, npc)
    understanding = Understanding(signal=occasion.signal, source="game")
    return PlayerInput("", "", name, game, understanding=understanding, occasion=occasion)


def understand(request: Request, runtime: Runtime, state: NpcState, text: str) -> Understanding:
    """Return what a text of the player means; the game's own signal counts more than the words."""
    context = UnderstandingContext(
        npc=request.npc.id,
        names=runtime.world.names,
        last_action=state.last_action,
        examples=runtime.world.examples,
        spoken_of=runtime.world.person_of(state.topic),
    )
    try:
        with contained():
            understanding = runtime.understander.understand(text, context)
    except Exception as error:  # noqa: BLE001  the provider's code: the turn continues without it
        METRICS.errors.labels("understanding").inc()
        log.error("understanding.failed", error=repr(error))
        understanding = Understanding(signal="statement", confidence=0.0, words=text)
    if request.signal:
        understanding = replace(understanding, signal=request.signal, confidence=1.0, alternatives=(), source="game")
    return understanding


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

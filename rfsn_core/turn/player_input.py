"""What the player said, as the gate lets it through, and what it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rfsn_core import protocol
from rfsn_core.contract.errors import contained
from rfsn_core.contract.gating import Utterance, Verdict
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.understanding import Understanding, UnderstandingContext
from rfsn_core.oversight import lines
from rfsn_core.oversight.oversight import NOBODY, Asker
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn.events import TurnEvents
from rfsn_core.turn.request import Request
from rfsn_core.turn.runtime import Runtime
from rfsn_core.world.occasions import Occasion

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

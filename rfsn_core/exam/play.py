"""Plays a case with a kernel, as a game would: turns, events, interruptions."""

from __future__ import annotations

import asyncio

import msgspec

from rfsn_core import protocol
from rfsn_core.contract.errors import RfsnError
from rfsn_core.exam.cases import Case
from rfsn_core.exam.results import PlayedTurn
from rfsn_core.exam.suite import FEELINGS, ScriptTurn
from rfsn_core.kernel import Kernel
from rfsn_core.turn.outbox import Item, Outbox

SAVE = "exam"


async def play(kernel: Kernel, case: Case) -> list[PlayedTurn]:
    """Play the turns of a case in order. A turn that fails is part of the result, and raises nothing."""
    return [await _turn(kernel, case, turn) for turn in case.turns]


async def _turn(kernel: Kernel, case: Case, turn: ScriptTurn) -> PlayedTurn:
    player = f"{case.player} {turn.player}" if turn.player else case.player
    before = await _feelings(kernel, case.npc, player)
    told = sorted((await kernel.state(case.npc, player, SAVE))["told"])
    if turn.event:
        event = protocol.GameEvent(npc=case.npc, player=player, save=SAVE, kind=turn.event)
        await kernel.event(event)
        after = await _feelings(kernel, case.npc, player)
        return PlayedTurn(say=f"({turn.event})", outcome="event", before=before, after=after)
    message = protocol.PlayerTurn(npc=case.npc, player=player, save=SAVE, text=turn.say, state=turn.state)
    seen = _Seen(turn.say)
    try:
        await seen.follow(kernel, message, turn.barge_in)
    except RfsnError as error:
        seen.outcome = f"failed: {error}"
    after = await _feelings(kernel, case.npc, player)
    played = msgspec.structs.replace(seen.played(), before=before, after=after, told=told)
    if not turn.barge_in:
        return played
    shown = await kernel.memory.show(case.npc, player, SAVE, turns=1)
    return msgspec.structs.replace(played, remembered=shown["turns"][-1]["npc_text"] if shown["turns"] else "")


async def _feelings(kernel: Kernel, npc: str, player: str) -> dict[str, float]:
    state = await kernel.state(npc, player, SAVE)
    return {name: round(float(state[name]), 4) for name in FEELINGS}


class _Seen:
    """What a client sees of a turn."""

    def __init__(self, say: str) -> None:
        self.say = say
        self.outcome = "failed: it did not end"
        self._decision: protocol.Decision | None = None
        self._end: protocol.TurnFinished | None = None
        self._words = ""
        self._sentences: list[str] = []
        self._blocked: list[str] = []

    async def follow(self, kernel: Kernel, message: protocol.PlayerTurn, barge_in: bool) -> None:
        """Take in the events of the turn. With `barge_in`, interrupt it after the first sentence."""
        outbox = Outbox(patience=600)
        turn = kernel.begin(message, outbox, protocol.Hello(audio=False))
        try:
            while not self._take(await outbox.get()):
                if barge_in and self._sentences:
                    turn.cancel("barge_in")
        finally:
            if not turn.task.done():
                turn.cancel("disconnected")
                await asyncio.wait([turn.task])

    def _take(self, item: Item) -> bool:
        """Note an event; return whether it is the turn's last."""
        match item:
            case protocol.Decision():
                self._decision = item
            case protocol.Sentence():
                self._sentences.append(item.text.strip())
            case protocol.SentenceBlocked():
                self._blocked += item.reasons
            case protocol.TurnFinished():
                self._end, self._words, self.outcome = item, item.text.strip(), item.reason
                return True
            case protocol.TurnCancelled():
                self._words, self.outcome = " ".join(self._sentences), "cancelled"
                return True
            case protocol.TurnFailed():
                self.outcome = f"failed: {item.message}"
                return True
        return False

    def played(self) -> PlayedTurn:
        """Return the turn's result."""
        decision, end = self._decision, self._end
        times: dict[str, float] = {}
        tokens: dict[str, int] = {}
        if end is not None:
            for name in ("decision", "first_sentence", "total"):
                if (value := getattr(end.latency, name)) is not None:
                    times[name] = round(value, 3)
            tokens["prompt"] = end.trace.prompt_tokens
            if (usage := end.trace.usage) is not None:
                tokens |= {"prompt": usage.prompt_tokens or end.trace.prompt_tokens}
                tokens |= {"completion": usage.completion_tokens or 0}
        return PlayedTurn(
            say=self.say,
            heard=decision.signal if decision else "",
            action=decision.action if decision else "",
            style=decision.style if decision else "",
            fact=decision.fact if decision else "",
            words=self._words,
            renderer=end.renderer if end else "",
            outcome=self.outcome,
            blocked=self._blocked,
            times=times,
            tokens=tokens,
        )

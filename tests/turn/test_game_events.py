"""Game events while an NPC speaks: applied and told at once, stored after the turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from rfsn_core import protocol
from rfsn_core.contract.gating import Utterance, Verdict
from rfsn_core.testing import NPC, kernel, make_world, plugin
from rfsn_core.testing.scripted import Memory, Tokens
from rfsn_core.turn.outbox import Item, Outbox


class Watcher:
    """A gate that keeps whether there was a fight."""

    def __init__(self) -> None:
        self.combat: list[bool] = []

    async def check(self, utterance: Utterance) -> Verdict:
        if utterance.side == "npc":
            self.combat.append(utterance.in_combat)
        return Verdict("allow")


@pytest.mark.parametrize("stops", [False, True])
async def test_an_event_in_a_turn_is_told_at_once_and_may_stop_it(tmp_path: Path, stops: bool) -> None:
    gate, store = Watcher(), Memory()
    renderer = Tokens(["One here. ", *(f"word{n} " for n in range(30)), "end. ", "Two."], interval=0.005)
    settings = {"world": {"stopping_events": ["combat_started"] if stops else []}}
    make_world(tmp_path)
    providers = plugin(rendering={"t": renderer}, gating={"g": gate}, storage={"m": store})
    async with kernel(tmp_path, providers, settings=settings) as it:
        outbox = Outbox()
        running = it.begin(protocol.PlayerTurn(npc=NPC, text="Hello!"), outbox, protocol.Hello())
        got: list[Item] = []
        while not (got and isinstance(got[-1], protocol.Sentence)):
            got.append(await outbox.get())
        stored = it.event(protocol.GameEvent(npc=NPC, kind="combat_started"))
        told = [await outbox.get()]
        while not isinstance(told[-1], protocol.State):
            told.append(await outbox.get())
        assert not running.task.done()
        assert told[-1].turn_id == running.turn_id
        assert told[-1].fear > 0
        while not isinstance(told[-1], protocol.TurnFinished | protocol.TurnCancelled):
            told.append(await outbox.get())
        state = await stored
        assert (await it.state(NPC, "player", "default"))["in_combat"]
    end = told[-1]
    if stops:
        assert isinstance(end, protocol.TurnCancelled)
        assert (end.reason, end.text) == ("event", "One here.")
    else:
        assert isinstance(end, protocol.TurnFinished)
        assert gate.combat[0] is False
        assert gate.combat[-1] is True
    assert [turn.outcome for turn in store.turns] == ["cancelled" if stops else "complete", "event"]
    assert state.fear == pytest.approx(store.turns[-1].state["fear"], abs=1e-3)

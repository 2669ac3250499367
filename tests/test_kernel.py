"""Which turn waits for which, what is removed from memory, and how a kernel stops and starts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rfsn_core import protocol
from rfsn_core.contract.errors import ConversationBusy, ShuttingDown, UnknownDecision
from rfsn_core.kernel import Kernel
from rfsn_core.testing import NPC, kernel, kinds, make_world, plugin, turn, until
from rfsn_core.testing.scripted import Memory, Tokens
from rfsn_core.turn.outbox import Item, Outbox
from rfsn_core.turn.turns import RunningTurn


def begin(it: Kernel, text: str = "Hello", **fields: Any) -> tuple[RunningTurn, Outbox]:
    outbox = Outbox()
    return it.begin(protocol.PlayerTurn(npc=NPC, text=text, **fields), outbox, protocol.Hello()), outbox


async def seen(running: RunningTurn, outbox: Outbox) -> list[Item]:
    await asyncio.wait([running.task])
    return [await outbox.get() for _ in range(len(outbox))]


def overlap(how: str, **world: Any) -> dict[str, Any]:
    return {"world": {"overlap": how, **world}}


async def test_a_second_turn_interrupts_the_first(tmp_path: Path) -> None:
    async with kernel(tmp_path, plugin(rendering={"t": Tokens(["One. ", "Two."], interval=0.01)})) as it:
        first = begin(it, "First")
        await asyncio.sleep(0.005)
        second = begin(it, "Second")
        assert kinds(await seen(*first))[-1] == "turn.cancelled"
        assert kinds(await seen(*second))[-1] == "turn.finished"


async def test_a_second_turn_waits_for_the_first(tmp_path: Path) -> None:
    store = Memory()
    offered = plugin(rendering={"t": Tokens(interval=0.005)}, storage={"m": store})
    async with kernel(tmp_path, offered, settings=overlap("wait")) as it:
        turns = [begin(it, f"Number {number}") for number in range(5)]
        ends = [kinds(await seen(*each))[-1] for each in turns]
    assert ends == ["turn.finished"] * 5
    assert [record.player_text for record in store.turns] == [f"Number {number}" for number in range(5)]


async def test_no_more_turns_wait_than_the_settings_allow(tmp_path: Path) -> None:
    offered = plugin(rendering={"t": Tokens(stall_after=0)})
    settings = overlap("wait", max_waiting=2) | {"server": {"shutdown_seconds": 0}}
    async with kernel(tmp_path, offered, settings=settings) as it:
        for _ in range(3):
            begin(it)
            await asyncio.sleep(0)
        with pytest.raises(ConversationBusy, match="2 turns already wait for Berit"):
            begin(it)
        begin(it, player="another")


async def test_a_second_turn_is_refused(tmp_path: Path) -> None:
    offered = plugin(rendering={"t": Tokens(interval=0.01)})
    async with kernel(tmp_path, offered, settings=overlap("refuse")) as it:
        first = begin(it)
        with pytest.raises(ConversationBusy, match="Berit is still answering player"):
            begin(it)
        assert kinds(await seen(*first))[-1] == "turn.finished"
        assert kinds(await seen(*begin(it)))[-1] == "turn.finished"


async def test_turns_of_different_players_and_saves_run_at_the_same_time(tmp_path: Path) -> None:
    renderer = Tokens(["word "] * 100, interval=0.01)
    async with kernel(tmp_path, plugin(rendering={"t": renderer}), settings=overlap("refuse")) as it:
        turns = [begin(it, player=player, save=save) for player in "ab" for save in "xy"]
        await until(lambda: renderer.running == 4)
        assert [kinds(await seen(*each))[-1] for each in turns] == ["turn.finished"] * 4


async def test_a_game_event_takes_its_place_between_turns(tmp_path: Path) -> None:
    store = Memory()
    offered = plugin(rendering={"t": Tokens(interval=0.005)}, storage={"m": store})
    async with kernel(tmp_path, offered, settings=overlap("wait")) as it:
        first = begin(it, "Before")
        gift = it.event(protocol.GameEvent(npc=NPC, kind="gift"))
        second = begin(it, "After")
        await asyncio.wait([first[0].task, gift, second[0].task])
    assert [record.player_text for record in store.turns] == ["Before", "[gift]", "After"]
    affinity = [record.state["affinity"] for record in store.turns]
    assert affinity[1] > affinity[0] + 0.1


async def test_an_event_never_interrupts_and_is_never_interrupted(tmp_path: Path) -> None:
    store = Memory()
    async with kernel(tmp_path, plugin(storage={"m": store})) as it:
        tasks = [it.event(protocol.GameEvent(npc=NPC, kind="gift")) for _ in range(20)]
        running, outbox = begin(it)
        states = await asyncio.gather(*tasks)
        assert kinds(await seen(running, outbox))[-1] == "turn.finished"
    assert [record.outcome for record in store.turns] == ["event"] * 20 + ["complete"]
    assert [state.affinity for state in states] == sorted(state.affinity for state in states)
    assert states[-1].affinity > 0.9


async def test_resetting_an_npc_forgets_it_for_everyone(tmp_path: Path) -> None:
    async with kernel(tmp_path) as it:
        for player in ("a", "b"):
            await asyncio.wait([begin(it, player=player)[0].task])
        saved = await it.maintenance.reset(NPC)
        assert saved.name
        got = await turn(it, player="a")
        state = next(item for item in got if isinstance(item, protocol.State))
        assert state.relationship != "stranger"
        assert (await it.runtimes.current.store.stats(NPC))["turns"] == 1


async def test_conversations_that_were_removed_from_memory_are_loaded_from_the_store(tmp_path: Path) -> None:
    async with kernel(tmp_path, settings={"world": {"max_conversations": 2}}) as it:
        for player in ("a", "b", "c", "d"):
            await asyncio.wait([it.event(protocol.GameEvent(npc=NPC, kind="gift", player=player))])
        assert len(it.conversations) <= 2
        state = await it.event(protocol.GameEvent(npc=NPC, kind="gift", player="a"))
    assert 0.22 < state.affinity < 0.24


async def test_no_turn_begins_while_the_kernel_stops(tmp_path: Path) -> None:
    async with kernel(tmp_path) as it:
        await it.drain()
        with pytest.raises(ShuttingDown):
            begin(it)


async def test_waiting_turns_of_an_earlier_run_are_stored_at_the_next_start(tmp_path: Path) -> None:
    store = Memory()
    make_world(tmp_path)
    store.away = True
    async with kernel(
        tmp_path, plugin({}, storage={"m": store}), settings={"operations": {"store_timeout": 0.1}}
    ) as it:
        store.away = False
        await turn(it)  # loads, and stores
        store.away = True
        await turn(it, "Keep this.")
        got = await turn(it, "And this.")
        assert isinstance(got[-1], protocol.TurnFinished)
        assert not got[-1].durable
    assert len(store.turns) == 1
    store.away = False
    async with kernel(tmp_path, plugin({}, storage={"m": store})), asyncio.timeout(5):
        while len(store.turns) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert [record.player_text for record in store.turns] == ["Good evening!", "Keep this.", "And this."]


async def test_rewards_are_for_decisions_that_were_made(tmp_path: Path) -> None:
    async with kernel(tmp_path) as it:
        got = await turn(it)
        decision = next(item for item in got if isinstance(item, protocol.Decision))
        reward = protocol.Reward(decision_id=decision.decision_id, signal="conversation_continued", reward_id="r")
        assert (await it.reward(reward)).value == 0.5
        assert (await it.reward(reward)).duplicate
        assert (await it.reward(protocol.Reward(decision_id="made up", value=1))).quarantined == "no such decision"
    async with kernel(tmp_path, settings={"learning": {"strict_rewards": True}}) as it:
        with pytest.raises(UnknownDecision):
            await it.reward(protocol.Reward(decision_id="made up", value=1))
        assert (await it.reward(reward)).duplicate


async def test_the_same_story_is_decided_and_worded_the_same_way(tmp_path: Path) -> None:
    async def story(world: Path) -> list[tuple[str, str, str]]:
        told = []
        async with kernel(world) as it:
            for text in ("Hello!", "Any work?", "You fool!", "I am sorry.", "Help me!", "Goodbye!"):
                got = await turn(it, text)
                decision = next(item for item in got if isinstance(item, protocol.Decision))
                assert isinstance(got[-1], protocol.TurnFinished)
                told.append((decision.action, decision.style, got[-1].text))
        return told

    assert await story(tmp_path / "one") == await story(tmp_path / "two")

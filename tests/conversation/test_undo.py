"""Undoing the last turn of a conversation: as if it had not been."""

from __future__ import annotations

from pathlib import Path

from rfsn_core import protocol
from rfsn_core.contract.storage import Scope
from rfsn_core.testing import NPC, Kernel, kernel, turn
from rfsn_core.testing.isolated import make_world

HERE = Scope("default", NPC, "player")


async def undo(running: Kernel, decision_id: str = "") -> str:
    return (await running.undo(protocol.Undo(npc=NPC, decision_id=decision_id))).decision_id


async def test_words_memories_and_feelings_of_the_last_turn_are_gone(tmp_path: Path) -> None:
    async with kernel(make_world(tmp_path)) as running:
        await turn(running, "Good evening!")
        store, conversation = running.runtimes.current.store, running.conversations[HERE]
        before = await store.load(HERE, 10)
        state, memories = conversation.state, dict(conversation.memories)
        items = await turn(running, "My name is Ada. You worthless pig, I will kill you!")
        said = next(item for item in items if isinstance(item, protocol.TurnFinished))
        assert conversation.state != state
        assert await undo(running) == said.decision_id
        assert conversation.state == state
        assert dict(conversation.memories) == memories
        assert (await store.load(HERE, 10)).turns == before.turns
        assert await store.search(HERE, "worthless", 5) == []
        assert [record.player_text async for record in store.export("", "", "")] == ["Good evening!"]
        await turn(running, "My name is Bea.")
    async with kernel(tmp_path) as running:  # and it is still so after a restart
        await running.state(NPC, "player", "default")
        assert [record.player_text for record in running.conversations[HERE].recent] == [
            "Good evening!", "My name is Bea.",
        ]  # fmt: skip


async def test_several_turns_are_undone_one_by_one_until_none_is_left(tmp_path: Path) -> None:
    async with kernel(make_world(tmp_path)) as running:
        for text in ("One.", "Two."):
            await turn(running, text)
        assert await undo(running)
        assert await undo(running)
        assert await undo(running) == ""
        assert (await running.state(NPC, "player", "default"))["relationship"] == "stranger"


async def test_only_the_last_turn_and_only_the_one_that_is_meant(tmp_path: Path) -> None:
    async with kernel(make_world(tmp_path)) as running:
        first = next(item for item in await turn(running, "One.") if isinstance(item, protocol.TurnFinished))
        await turn(running, "Two.")
        assert await undo(running, first.decision_id) == ""
        await running.event(protocol.GameEvent(npc=NPC, kind="gift"))
        assert await undo(running) == ""  # what happened in the game stays


async def test_a_snapshot_still_has_the_turn(tmp_path: Path) -> None:
    async with kernel(make_world(tmp_path)) as running:
        await turn(running, "One.")
        await running.saves.snapshot("default", "before")
        await undo(running)
        assert await running.saves.rollback("default", "before") == 1

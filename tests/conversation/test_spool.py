from __future__ import annotations

from pathlib import Path

import pytest

from rfsn_core.contract.errors import StoreError
from rfsn_core.contract.storage import Scope, TurnRecord
from rfsn_core.conversation.spool import Spool


def record(name: str) -> TurnRecord:
    return TurnRecord(
        turn_id=name, scope=Scope("w", "n", "p"), time=1.0, player_text="Hi", npc_text="Ho", outcome="finished",
        decision_id=name, state={},
    )  # fmt: skip


class Names:
    def __init__(self, fails_at: str = "") -> None:
        self.names: list[str] = []
        self.fails_at = fails_at

    async def take(self, turn: TurnRecord) -> None:
        if turn.turn_id == self.fails_at:
            raise StoreError("away")
        self.names.append(turn.turn_id)


async def test_turns_come_out_in_order_and_leave_nothing_behind(tmp_path: Path) -> None:
    spool, store = Spool(tmp_path / "new" / "spool.jsonl"), Names()
    assert not spool
    for name in "abc":
        await spool.append(record(name))
    assert spool
    assert await spool.replay(store.take) == 3
    assert store.names == ["a", "b", "c"]
    assert not spool


async def test_a_store_that_fails_halfway_keeps_everything(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.jsonl")
    for name in "abc":
        await spool.append(record(name))
    with pytest.raises(StoreError):
        await spool.replay(Names("b").take)
    store = Names()
    assert await spool.replay(store.take) == 3
    assert store.names == ["a", "b", "c"]


async def test_half_a_line_does_not_swallow_the_next(tmp_path: Path) -> None:
    spool, store = Spool(tmp_path / "spool.jsonl"), Names()
    await spool.append(record("a"))
    with spool.path.open("ab") as file:
        file.write(b'{"turn_id": "torn')
    await spool.append(record("b"))
    assert await spool.replay(store.take) == 2
    assert store.names == ["a", "b"]


async def test_what_is_added_during_a_replay_is_stored_too(tmp_path: Path) -> None:
    spool, store = Spool(tmp_path / "spool.jsonl"), Names()
    await spool.append(record("a"))

    async def take(turn: TurnRecord) -> None:
        if turn.turn_id == "a":
            await spool.append(record("b"))
        await store.take(turn)

    assert await spool.replay(take) == 2
    assert store.names == ["a", "b"]


async def test_a_disk_that_refuses_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(StoreError, match=r"spool\.jsonl"):
        await Spool(tmp_path / "folder" / "spool.jsonl").append(record("a"))


async def test_turns_can_be_dropped_also_while_others_are_stored(tmp_path: Path) -> None:
    spool, stored = Spool(tmp_path / "spool.jsonl"), list[str]()
    for name in "abcdef":
        await spool.append(record(name))

    async def store(turn: TurnRecord) -> None:
        stored.append(turn.turn_id)
        if turn.turn_id == "b" and stored.count("b") == 1:
            await spool.drop(lambda waiting: waiting.turn_id in "ad")

    await spool.replay(store)
    assert stored == ["a", "b", "b", "c", "e", "f"]
    assert not spool
    await spool.drop(lambda waiting: True)
    assert not spool
    for name in "gh":
        await spool.append(record(name))
    await spool.drop(lambda waiting: waiting.turn_id == "g")
    await spool.append(record("i"))
    store_of = Names()
    await spool.replay(store_of.take)
    assert store_of.names == ["h", "i"]

"""What a store must do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from rfsn_core.contract.errors import NotFound
from rfsn_core.contract.storage import (
    MemoryKind,
    MemoryRecord,
    MemorySource,
    MemoryStatus,
    Past,
    Scope,
    Store,
    TurnRecord,
)
from rfsn_core.testing.suites.provider import ProviderSuite
from rfsn_core.testing.suites.texts import ODD_TEXTS

HERE = Scope("default", "smith", "player")


def record(number: int, scope: Scope = HERE, text: str = "Good evening!", answer: str = "All quiet.") -> TurnRecord:
    """Return a turn to store."""
    return TurnRecord(
        turn_id=f"{scope.save}/{scope.npc}/{scope.player}/t{number}",
        scope=scope,
        time=1000.0 + number,
        player_text=text,
        npc_text=answer,
        outcome="complete",
        decision_id=f"{scope.save}/{scope.npc}/{scope.player}/d{number}",
        state={"affinity": number / 100, "turns": number},
    )


def memory_of(turn_id: str, text: str) -> MemoryRecord:
    """Return a memory, learned in a turn."""
    return MemoryRecord(
        memory_id=text.lower().replace(" ", "-"),
        kind=MemoryKind.FACT,
        source=MemorySource.PLAYER,
        text=text,
        time=1000.0,
        turn_id=turn_id,
    )


async def exported(store: Store, save: str = "", npc: str = "", player: str = "") -> list[TurnRecord]:
    """Return all turns of an export."""
    return [turn async for turn in store.export(save, npc, player)]


class StoreSuite(ProviderSuite):
    """For providers of the storage stage."""

    stage = "storage"

    def test_the_last_state_is_loaded(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            assert await store.load(HERE, 5) == Past(None, [], [], None)
            for number in (1, 2, 3):
                await store.append(record(number))
            assert (await store.load(HERE, 0)).state == {"affinity": 0.03, "turns": 3}

        self.run(tmp_path, body)

    def test_a_turn_is_stored_once_and_loaded_whole(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            for _ in range(3):
                await store.append(record(1))
            assert list((await store.load(HERE, 10)).turns) == [record(1)]

        self.run(tmp_path, body)

    def test_scopes_are_compared_exactly(self, tmp_path: Path) -> None:
        scopes = [
            HERE,
            Scope("default", "smith", "Player"),
            Scope("default", "smith2", "player"),
            Scope("other", "smith", "player"),
            Scope("default", "smith", "player/x"),
            Scope("default/smith", "player", "x"),
        ]

        async def body(store: Store) -> None:
            for number, scope in enumerate(scopes):
                await store.append(record(number, scope, text="the same words"))
            for number, scope in enumerate(scopes):
                assert [turn.scope for turn in (await store.load(scope, 10)).turns] == [scope]
                assert [hit.turn.scope for hit in await store.search(scope, "words", 10)] == [scope]
                assert (await store.load(scope, 1)).state == record(number, scope).state

        self.run(tmp_path, body)

    def test_the_newest_turns_are_loaded_the_oldest_first(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            for number in range(10):
                await store.append(record(number))
            assert [turn.state["turns"] for turn in (await store.load(HERE, 3)).turns] == [7, 8, 9]
            assert list((await store.load(HERE, 0)).turns) == []

        self.run(tmp_path, body)

    def test_search_finds_words_and_accepts_any_text(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            await store.append(record(1, text="I lost my red boat at the weir"))
            await store.append(record(2, text="The ferry is late"))
            hits = await store.search(HERE, "the boat?", 1)
            assert [hit.turn.player_text for hit in hits] == ["I lost my red boat at the weir"]
            assert list(await store.search(HERE, "dragon", 5)) == []
            for text in ODD_TEXTS:
                await store.search(HERE, text, 5)

        self.run(tmp_path, body)

    def test_search_finds_words_that_no_spaces_part(self, tmp_path: Path) -> None:
        turns = (
            "昨天我在桥上看见了绿色的灯光。",
            "ゆうべ橋の上で緑の光を見ました。",
            "다리에서 등불을 보았어요.",
        )

        async def body(store: Store) -> None:
            for number, text in enumerate(turns):
                await store.append(record(number, text=text))
            for query, text in (("灯光", turns[0]), ("你看见绿色的灯光了吗？", turns[0]), ("灯", turns[0]),
                                ("緑の光", turns[1]), ("등불", turns[2])):  # fmt: skip
                assert (await store.search(HERE, query, 1))[0].turn.player_text == text, query
            assert list(await store.search(HERE, "火龙", 5)) == []

        self.run(tmp_path, body)

    def test_odd_text_is_stored_unchanged(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            for number, text in enumerate(ODD_TEXTS):
                await store.append(record(number, text=text, answer=text))
            assert [turn.npc_text for turn in (await store.load(HERE, 50)).turns] == list(ODD_TEXTS)

        self.run(tmp_path, body)

    def test_turns_are_still_there_after_closing(self, tmp_path: Path) -> None:
        async def write(store: Store) -> None:
            await store.append(record(1))

        async def read(store: Store) -> None:
            assert list((await store.load(HERE, 10)).turns) == [record(1)]

        self.run(tmp_path, write)
        self.run(tmp_path, read)

    def test_many_appends_at_once(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            scopes = [Scope("default", f"npc{n}", "player") for n in range(20)]
            await asyncio.gather(*(store.append(record(n, scope)) for scope in scopes for n in range(10)))
            for scope in scopes:
                assert len((await store.load(scope, 100)).turns) == 10

        self.run(tmp_path, body)

    def test_a_cancelled_append_is_all_or_nothing(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            for number in range(20):
                task = asyncio.create_task(store.append(record(number)))
                for _ in range(number % 4):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            for turn in (await store.load(HERE, 50)).turns:
                assert turn in [record(number) for number in range(20)]
            await store.append(record(99))
            assert (await store.load(HERE, 1)).turns[0] == record(99)

        self.run(tmp_path, body)

    def test_at_most_the_newest_memories_are_read(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            for number in range(30):
                memory = memory_of(f"t{number}", f"It rained {number} times.")
                await store.append(replace(record(number), memories=(replace(memory, time=float(number)),)))
            gone = memory_of("t29", "It rained 29 times.")
            gone = replace(gone, status=MemoryStatus.SUPERSEDED, time=30.0)
            await store.append(replace(record(30), memories=(gone,), outcome="governed"))
            kept = (await store.load(HERE, 1, 5)).memories
            assert [memory.text for memory in kept] == [f"It rained {number} times." for number in range(24, 29)]
            assert len((await store.load(HERE, 1)).memories) == 30

        self.run(tmp_path, work)

    def test_memories_and_cards_are_read_from_the_turns(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            first = memory_of("t1", "The player likes plums.")
            second = replace(first, status=MemoryStatus.QUARANTINED, reason="an operator's decision")
            other = memory_of("t2", "The player promised to come back.")
            await store.append(replace(record(1), memories=(first,), card={"gifts": 1}))
            await store.append(record(2))
            await store.append(replace(record(3), memories=(other, second), outcome="governed"))
            past = await store.load(HERE, 10)
            assert list(past.memories) == [second, other]
            assert past.card == {"gifts": 1}
            assert [turn.state["turns"] for turn in past.turns] == [1, 2]
            assert past.turns[0].memories == (first,)
            assert past.state == record(3).state

        self.run(tmp_path, body)

    def test_a_rollback_goes_back_to_an_older_snapshot_and_forward_to_a_newer(self, tmp_path: Path) -> None:
        elsewhere = replace(HERE, save="another save")

        async def texts(store: Store) -> list[str]:
            return [turn.player_text for turn in (await store.load(HERE, 50)).turns]

        async def body(store: Store) -> None:
            await store.append(record(1, text="one oak tree"))
            await store.append(record(1, elsewhere))
            assert (await store.snapshot("default", "early")).turns == 1
            likes = memory_of("t2", "The player likes plums.")
            await store.append(replace(record(2, text="two oak trees"), memories=(likes,), card={"gifts": 1}))
            await store.snapshot("default", "late")
            await store.append(record(3, text="three oak trees"))
            assert await store.rollback("default", "early") == 1
            assert await store.load(HERE, 50) == Past(record(1).state, [record(1, text="one oak tree")], [], None)
            assert [hit.turn.player_text for hit in await store.search(HERE, "oak", 5)] == ["one oak tree"]
            await store.append(record(2, text="two elm trees"))  # another turn, under the same id
            assert await texts(store) == ["one oak tree", "two elm trees"]
            await store.snapshot("default", "other way")
            assert await store.rollback("default", "late") == 2
            assert await texts(store) == ["one oak tree", "two oak trees"]
            assert (await store.load(HERE, 0)).memories == [likes]
            await store.rollback("default", "other way")
            assert await texts(store) == ["one oak tree", "two elm trees"]
            assert len((await store.load(elsewhere, 10)).turns) == 1
            assert {snapshot.tag for snapshot in await store.snapshots("default")} == {"early", "late", "other way"}
            with pytest.raises(NotFound, match="never"):
                await store.rollback("default", "never")
            with pytest.raises(NotFound):
                await store.rollback("another save", "early")

        self.run(tmp_path, body)

    def test_what_is_exported_can_be_imported(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            scopes = [HERE, Scope("default", "smith", "other"), Scope("default", "miller", "player")]
            for scope in scopes:
                await store.append(
                    replace(record(1, scope), memories=(memory_of("t1", "It rained."),), card={"gifts": 2})
                )
            (turn,) = await exported(store, "default", "smith", "player")
            assert len(await exported(store, npc="smith")) == 2
            assert len(await exported(store)) == 3
            assert await exported(store, npc="nobody") == []
            before = await store.load(HERE, 10)
            await store.erase("default", "smith", "player", backups=False)
            await store.append(turn)
            assert await store.load(HERE, 10) == before

        self.run(tmp_path, body)

    def test_erase_removes_the_selected_turns_and_no_others(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            scopes = [Scope("default", "smith", "player"), Scope("default", "smith", "player2")]
            for scope in scopes:
                for number in range(5):
                    await store.append(record(number, scope, text=f"the heron of {scope.player}"))
            await store.snapshot("default", "tag")
            assert await store.erase("", "", "player", backups=True) == 5
            assert await store.load(scopes[0], 10) == Past(None, [], [], None)
            assert list(await store.search(scopes[0], "heron", 5)) == []
            assert len((await store.load(scopes[1], 10)).turns) == 5
            assert len(await store.search(scopes[1], "heron", 5)) == 5
            await store.rollback("default", "tag")
            assert list((await store.load(scopes[0], 10)).turns) == []
            assert list(await store.check()) == []

        self.run(tmp_path, body)

    def test_restoring_a_backup_first_backs_up_what_is_there(self, tmp_path: Path) -> None:
        async def body(store: Store) -> None:
            await store.append(record(1))
            saved = await store.backup()
            await store.append(record(2))
            await store.restore(saved.name)
            assert len((await store.load(HERE, 10)).turns) == 1
            assert len(await store.backups()) == 2
            await store.append(record(3))
            await store.reset("smith")
            assert list((await store.load(HERE, 10)).turns) == []
            for odd in ("nothing", "../escape", ""):
                with pytest.raises(NotFound):
                    await store.restore(odd)

        self.run(tmp_path, body)

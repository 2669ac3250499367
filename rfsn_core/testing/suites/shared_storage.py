"""What a store that several servers use at once must do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rfsn_core.contract.errors import StaleSave, VersionConflict
from rfsn_core.contract.shared_storage import LogPage, SharedLearning, SharedStore
from rfsn_core.testing.suites.storage import HERE, StoreSuite, memory_of, record


class SharedStoreSuite(StoreSuite):
    """For a store that several servers use at once."""

    def test_of_appends_after_the_same_version_only_the_first_succeeds(self, tmp_path: Path) -> None:
        async def body(store: SharedStore) -> None:
            assert isinstance(store, SharedStore)
            await store.append(record(1))
            version = (await store.load(HERE, 5)).version
            assert await store.newer(HERE, 5, version) is None
            outcomes = await asyncio.gather(
                *(store.append_after(record(10 + n), version) for n in range(20)), return_exceptions=True
            )
            assert sum(isinstance(outcome, str) for outcome in outcomes) == 1
            assert sum(isinstance(outcome, VersionConflict) for outcome in outcomes) == 19
            past = await store.newer(HERE, 5, version)
            assert past is not None
            assert len(past.turns) == 2
            again = past.turns[-1]  # sent again: it is stored already, so the version does not matter
            assert await store.append_after(again, "stale") == past.version

        self.run(tmp_path, body)

    def test_after_a_rollback_what_servers_cached_is_stale(self, tmp_path: Path) -> None:
        async def body(store: SharedStore) -> None:
            await store.append(replace(record(1), memories=(memory_of("t1", "It rained."),)))
            await store.snapshot("default", "tag")
            version = (await store.load(HERE, 5)).version
            await store.rollback("default", "tag")
            assert await store.newer(HERE, 5, version) is not None
            with pytest.raises(StaleSave):
                await store.append_after(record(2), version)
            version = (await store.load(HERE, 5)).version
            await store.erase("default", "smith", "player", backups=False)
            with pytest.raises(StaleSave):
                await store.append_after(record(3), version)
            assert (await store.load(HERE, 5)).state is None
            await store.append_after(record(4), (await store.load(HERE, 5)).version)

        self.run(tmp_path, body)

    def test_every_server_reads_the_notices_of_all(self, tmp_path: Path) -> None:
        async def body(store: SharedStore) -> None:
            notices = store.notices
            assert await notices.last_position() == ""
            assert list(await notices.read("one", "")) == []
            assert await notices.is_alive("one", 5)
            assert not await notices.is_alive("two", 5)
            first = await notices.append(b"\x00 first")
            second = await notices.append(b"second")
            assert await notices.last_position() == second
            assert list(await notices.behind(first, 5)) == ["one"]
            assert list(await notices.read("one", "")) == [(first, b"\x00 first"), (second, b"second")]
            assert list(await notices.behind(first, 5)) == ["one"]  # it has read both and acknowledged none
            assert list(await notices.read("one", first)) == [(second, b"second")]
            await notices.read("two", "")
            assert list(await notices.behind(first, 5)) == ["two"]
            assert sorted(await notices.behind(second, 5)) == ["one", "two"]
            await notices.deregister("two")
            assert list(await notices.behind(second, 5)) == ["one"]
            assert list(await notices.read("one", second)) == []
            assert list(await notices.behind(second, 5)) == []

        self.run(tmp_path, body)

    def test_updates_are_read_in_order_and_each_is_appended_once(self, tmp_path: Path) -> None:
        async def body(shared: SharedLearning) -> None:
            assert await shared.read("", 10) == LogPage([])
            for reward in ("r1", "r1", "r2"):
                for slot in ("action", "style"):
                    data = f"{reward} {slot}".encode()
                    # True also for a second attempt: who got no answer to the first one must learn that it succeeded
                    assert await shared.append(data, decision_id="d", slot=slot, name=f"{slot}/{reward}")
            assert not await shared.append(b"another's r1", decision_id="d", slot="action", name="action/r1")
            for decision, taken in (("d", False), ("e", True)):
                first = {"decision_id": decision, "slot": "action", "name": "no reward"}
                assert await shared.append(b"no reward", only_first=True, **first) == taken
            assert await shared.append(b"to all")
            assert await shared.append(b"to all")
            page = await shared.read("", 10)
            assert [(entry.again, entry.data.decode()) for entry in page.entries] == [
                (False, "r1 action"), (False, "r1 style"), (True, "r2 action"), (True, "r2 style"),
                (False, "no reward"), (False, "to all"), (False, "to all"),
            ]  # fmt: skip
            position = ""
            entries: list[Any] = []
            while page_entries := (await shared.read(position, 2)).entries:
                entries += page_entries
                position = entries[-1].position
            assert entries == list(page.entries)

        self._run_learning(tmp_path, body)

    def test_a_position_that_is_not_in_the_log_is_a_gap(self, tmp_path: Path) -> None:
        async def body(shared: SharedLearning) -> None:
            await shared.append(b"update")
            assert (await shared.read("1-1", 10)).gap

        self._run_learning(tmp_path, body)

    def test_decisions_are_stored_for_other_servers(self, tmp_path: Path) -> None:
        async def body(shared: SharedLearning) -> None:
            assert await shared.load_decision("d") is None
            await shared.append(b"early", decision_id="d", slot="action", name="r")
            assert await shared.load_decision("d") is None
            await shared.save_decision("d", b'{"npc":"smith"}')
            assert await shared.load_decision("d") == b'{"npc":"smith"}'
            assert not await shared.append(b"late", decision_id="d", slot="action", name="r")

        self._run_learning(tmp_path, body)

    def test_checkpoints_are_listed_the_newest_first(self, tmp_path: Path) -> None:
        async def body(shared: SharedLearning) -> None:
            checkpoints = shared.checkpoints
            assert list(await checkpoints.newest_first("p")) == []
            for data in (b"one", b"two", b"three"):
                await shared.append(data)
                last = (await shared.read("", 10)).entries[-1].position
                await checkpoints.save("p", b"\x00\xff" + data, last)
            await checkpoints.save("other", b"")
            listed = await checkpoints.newest_first("p")
            assert [await checkpoints.load(checkpoint.id) for checkpoint in listed] == [
                b"\x00\xff" + data for data in (b"three", b"two", b"one")
            ]
            assert [(checkpoint.policy, checkpoint.size) for checkpoint in listed] == [("p", 7), ("p", 5), ("p", 5)]
            assert [entry.data for entry in (await shared.read(listed[1].position, 10)).entries] == [b"three"]
            for _ in range(100):
                await checkpoints.save("p", b"more", listed[0].position)
            assert 5 <= len(await checkpoints.newest_first("p")) <= 50
            with pytest.raises(ValueError, match="no checkpoint"):
                await checkpoints.load("p-1")

        self._run_learning(tmp_path, body)

    def test_erase_removes_decisions_too(self, tmp_path: Path) -> None:
        async def body(store: SharedStore) -> None:
            if (shared := store.learning) is None:
                return
            for player in ("player", "other"):
                await shared.save_decision(player, b'{"save":"default","npc":"smith","player":"%s"}' % player.encode())
            await store.erase("default", "smith", "player", backups=False)
            assert await shared.load_decision("player") is None
            assert await shared.load_decision("other") is not None

        self.run(tmp_path, body)

    def _run_learning(self, tmp_path: Path, body: Callable[[SharedLearning], Awaitable[None]]) -> None:
        async def on_learning(store: SharedStore) -> None:
            if store.learning is not None:
                await body(store.learning)

        self.run(tmp_path, on_learning)

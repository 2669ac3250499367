"""What an archive must do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rfsn_core.contract.archive import Archive
from rfsn_core.contract.storage import Scope
from rfsn_core.testing.suites.provider import ProviderSuite
from rfsn_core.testing.suites.storage import memory_of, record
from rfsn_core.testing.suites.texts import ODD_TEXTS


class ArchiveSuite(ProviderSuite):
    """For providers of the archive stage."""

    stage = "archive"

    def test_a_turn_is_archived_once(self, tmp_path: Path) -> None:
        async def body(archive: Archive) -> None:
            await archive.archive([])
            for _ in range(3):
                await archive.archive([record(1), record(2)])
            await archive.archive([record(2), record(3)])
            assert await archive.erase("", "", "") == 3
            assert await archive.erase("", "", "") == 0

        self.run(tmp_path, body)

    def test_turns_are_still_there_after_closing(self, tmp_path: Path) -> None:
        async def write(archive: Archive) -> None:
            await archive.archive([record(1)])

        async def erase(archive: Archive) -> None:
            assert await archive.erase("", "", "") == 1

        self.run(tmp_path, write)
        self.run(tmp_path, erase)

    def test_odd_text_memories_and_cards_are_no_error(self, tmp_path: Path) -> None:
        async def body(archive: Archive) -> None:
            turns = [record(number, text=text, answer=text) for number, text in enumerate(ODD_TEXTS)]
            turns.append(replace(record(99), memories=(memory_of("t99", "It rained."),), card={"gifts": 1}))
            await archive.archive(turns)
            assert await archive.erase("", "", "") == len(turns)

        self.run(tmp_path, body)

    def test_erase_removes_the_selected_turns_and_no_others(self, tmp_path: Path) -> None:
        async def body(archive: Archive) -> None:
            scopes = [
                Scope("default", "smith", "player"),
                Scope("default", "smith", "Player"),
                Scope("b", "miller", "x"),
            ]
            for scope in scopes:
                await archive.archive([record(number, scope) for number in range(4)])
            assert await archive.erase("default", "miller", "") == 0
            assert await archive.erase("", "smith", "player") == 4
            assert await archive.erase("default", "", "") == 4
            assert await archive.erase("", "", "") == 4

        self.run(tmp_path, body)

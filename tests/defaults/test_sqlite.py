"""The SQLite store with damaged files, full disks and other servers."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from rfsn_core.contract.errors import StoreError
from rfsn_core.contract.storage import Scope
from rfsn_core.testing import kernel, turn


def database(world: Path) -> Path:
    return world / ".rfsn" / "memory.db"


async def opens(world: Path) -> None:
    async with kernel(world):
        pass


async def refusal(world: Path) -> str:
    with pytest.raises(StoreError) as refused:
        await opens(world)
    return str(refused.value)


@pytest.mark.parametrize("damage", ["garbage", "torn", "another program's file", "newer"])
async def test_a_damaged_file_is_refused_unchanged_with_what_to_do(tmp_path: Path, damage: str) -> None:
    async with kernel(tmp_path) as it:
        for _ in range(20):
            await turn(it)
    path = database(tmp_path)
    if damage == "garbage":
        path.write_bytes(b"not a database, whatever its name says" * 100)
    elif damage == "torn":
        data = bytearray(path.read_bytes())
        data[4096 : 4096 * 4] = b"\xff" * (4096 * 3)
        path.write_bytes(data)
    elif damage == "newer":
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version=99")
        connection.close()
    else:
        path.write_bytes(b"SQLite format 3\x00" + b"\x00" * 200)
    before = path.read_bytes()
    told = await refusal(tmp_path)
    assert str(path) in told
    assert ("newer RFSN" if damage == "newer" else "is damaged") in told
    assert path.read_bytes() == before


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="an administrator may write anywhere")
async def test_a_read_only_folder_is_reported(tmp_path: Path) -> None:
    await opens(tmp_path)
    (tmp_path / ".rfsn").chmod(0o500)
    try:
        assert "data_dir" in await refusal(tmp_path)
    finally:
        (tmp_path / ".rfsn").chmod(0o700)


async def test_a_data_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / ".rfsn").write_text("a file where the folder should be")
    assert "Is the folder writable? `data_dir` in the settings moves it" in await refusal(tmp_path)


async def test_a_second_process_on_one_file_is_refused(tmp_path: Path) -> None:
    async with kernel(tmp_path) as it:
        await turn(it)
        ran = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "rfsn_core.cli", "say", "smith", "Hello", "--world", str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert ran.returncode == 2
        assert "is in use by another process" in ran.stderr
        assert len(ran.stderr.splitlines()) == 1
        await turn(it)


async def test_turns_are_there_after_a_restart(tmp_path: Path) -> None:
    async with kernel(tmp_path) as it:
        await turn(it, "Remember the blue heron.")
    async with kernel(tmp_path) as it:
        past = await it.runtimes.current.store.load(Scope("default", "smith", "player"), 5)
        assert past.turns[0].player_text == "Remember the blue heron."


async def test_a_file_from_before_the_first_release_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = database(tmp_path)
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as db:
        db.executescript("CREATE TABLE turns (id INTEGER); PRAGMA user_version=4;")
    db.close()
    assert "written by a version before 0.1 (schema 4)" in await refusal(tmp_path)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 4
    db.close()


async def test_a_text_that_was_changed_on_disk_is_reported_left_out_and_can_be_restored(tmp_path: Path) -> None:
    async with kernel(tmp_path) as it:
        for text in ("Remember the heron.", "Remember the otter.", "Remember the pike."):
            await turn(it, text)
        saved = await it.maintenance.backup()
    path = database(tmp_path)
    data = path.read_bytes()
    assert data.count(b"Remember the otter.") == 1
    path.write_bytes(data.replace(b"Remember the otter.", b"Remember the stoat."))
    async with kernel(tmp_path) as it:
        (damaged,) = await it.maintenance.check()
        assert "of smith with player" in damaged
        shown = await it.memory.show("smith", "player", "default")
        assert [each["player_text"] for each in shown["turns"]] == ["Remember the heron.", "Remember the pike."]
        assert len(await it.memory.search("smith", "player", "default", "remember", 5)) == 2
        await turn(it)
        await it.maintenance.restore(saved.name)
        assert await it.maintenance.check() == []
        assert len((await it.memory.show("smith", "player", "default"))["turns"]) == 3


async def test_a_damaged_backup_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    async with kernel(tmp_path) as it:
        await turn(it)
        saved = await it.maintenance.backup()
        path = database(tmp_path).parent / "backups" / saved.name
        for content in (b"no database", b"", path.read_bytes()[:5000]):
            path.write_bytes(content)
            with pytest.raises(StoreError, match=r"damaged|another version"):
                await it.maintenance.restore(saved.name)
        assert len((await it.memory.show("smith", "player", "default"))["turns"]) == 1


async def test_a_turn_of_a_megabyte_is_kept(tmp_path: Path) -> None:
    async with kernel(tmp_path) as it:
        store = it.runtimes.current.store
        await turn(it)
        (mine,) = (await store.load(Scope("default", "smith", "player"), 1)).turns
        large = dataclasses.replace(mine, turn_id="large", decision_id="", player_text="heron " * 170_000)
        await store.append(large)
        assert (await store.load(Scope("default", "smith", "player"), 1)).turns == [large]
        assert (await store.search(Scope("default", "smith", "player"), "heron", 1))[0].turn == large

"""The embedded store, when the disk is not its friend."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from rfsn_core.errors import StoreError
from rfsn_core.providers import Scope
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
async def test_a_damaged_file_is_refused_untouched_with_the_way_out(tmp_path: Path, damage: str) -> None:
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
async def test_a_read_only_folder_is_told(tmp_path: Path) -> None:
    await opens(tmp_path)
    (tmp_path / ".rfsn").chmod(0o500)
    try:
        assert "data_dir" in await refusal(tmp_path)
    finally:
        (tmp_path / ".rfsn").chmod(0o700)


async def test_a_data_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
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


async def test_what_was_said_is_there_after_a_restart(tmp_path: Path) -> None:
    async with kernel(tmp_path) as it:
        await turn(it, "Remember the blue heron.")
    async with kernel(tmp_path) as it:
        (found,) = await it.runtimes.current.store.recent(Scope("default", "smith", "player"), 5)
        assert found.player_text == "Remember the blue heron."

"""The garbage collector while a server runs."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

from rfsn_core.plugins.discovery import discover
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.server.app import serving
from rfsn_core.server.collector import THRESHOLDS, Collector
from rfsn_core.testing import make_world, served


async def test_objects_of_the_start_and_of_a_reload_are_exempt_while_the_server_runs(tmp_path: Path) -> None:
    make_world(tmp_path)
    before = gc.get_threshold()
    runtimes = Runtimes(tmp_path, discover([], world=tmp_path, installed=False))
    async with serving(runtimes, Collector()):
        assert gc.get_threshold() == THRESHOLDS
        exempt = gc.get_freeze_count()
        assert exempt > 1000
        lists: list[list[int]] = [[] for _ in range(5000)]
        async with asyncio.timeout(20):
            while gc.get_freeze_count() < exempt + len(lists) // 2:
                # Again and again: the watch may not have begun at the first time.
                (tmp_path / "npcs" / "zoe.toml").write_text('name = "Zoe"\n', "utf-8")
                await asyncio.sleep(0.8)
        assert "zoe" in runtimes.current.world.npcs
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


async def test_a_server_that_is_not_told_to_leaves_the_collector_alone(tmp_path: Path) -> None:
    before = gc.get_threshold()
    async with served(tmp_path):
        assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)

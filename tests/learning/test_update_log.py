"""The log that a learner reads its updates from: alone, and shared."""

from __future__ import annotations

from pathlib import Path

from rfsn_core.contract.abstraction import Abstraction
from rfsn_core.contract.selection import Context, Update
from rfsn_core.learning.checkpoints import CheckpointFolder
from rfsn_core.learning.update_log import PAGE, LocalUpdateLog, UpdateEntry


def entry(number: int) -> UpdateEntry:
    context = Context(f"d{number}", "action", "smith", "w/smith/p", Abstraction("K", "1", (0.5,), ()))
    update = Update(context, "greet", 0.0, 0.5, 0.25)
    return UpdateEntry(server="me", policy="x 1", reward_id=f"r{number}", update=update)


async def test_the_local_log_gives_pages_in_order_and_again_until_they_are_acknowledged(tmp_path: Path) -> None:
    log = LocalUpdateLog(CheckpointFolder(tmp_path))
    entries = [entry(number) for number in range(PAGE + 3)]
    for one in entries:
        assert await log.append(one)
    first = await log.read()
    assert [read.entry for read in first] == entries[:PAGE]
    assert await log.read() == first
    log.acknowledge(first[1].position)
    second = await log.read()
    assert [read.entry for read in second] == entries[2 : PAGE + 2]
    log.acknowledge(second[-1].position)
    assert [read.entry for read in await log.read()] == entries[PAGE + 2 :]
    log.acknowledge((await log.read())[-1].position)
    assert await log.read() == []
    await log.append(entry(0))
    assert len(await log.read()) == 1

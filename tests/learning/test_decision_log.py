"""Decisions and rewards on disk, and an index that can always be made anew."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rfsn_core.contract.errors import StoreError
from rfsn_core.learning.decision_log import DecisionLog, log_files, read_lines
from rfsn_core.learning.records import DecisionRecord, RewardRecord, Slot


def record(name: str, *, npc: str = "smith", time: float = 1.0) -> DecisionRecord:
    slot = Slot(arms=["a", "b"], priors=[0.1, 0.2], scores=[0.1, 0.2], propensities=[0.4, 0.6], chosen="b")
    return DecisionRecord(
        decision_id=name, time=time, save="w", npc=npc, player="p", prior_decision_id="", key="K", key_version="v",
        features=[(0, 0.5), (3, 0.5)], width=5, feature_hash="h", signal="greet", state={"mood": "calm"},
        policy="x 1", explored=True, action=slot, style=slot, reasons=["r", "r"], terms=[{}, {}], predicted=[{}, {}],
        vetoes={}, forced_by="", delivered=True,
    )  # fmt: skip


def reward(name: str, decision: str) -> RewardRecord:
    return RewardRecord(reward_id=name, decision_id=decision, value=0.5, signal="", source="game", time=2.0)


async def opened(folder: Path, **options: int) -> DecisionLog:
    journal = DecisionLog(folder, **options)
    await journal.open()
    return journal


async def test_what_was_appended_is_found_by_id_npc_conversation_and_time(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    await asyncio.gather(*(journal.append(record(f"d{n}", npc=f"n{n % 2}", time=float(n))) for n in range(100)))
    assert await journal.decision("d7") == record("d7", npc="n1", time=7.0)
    assert await journal.decision("nobody's") is None
    assert [found.decision_id for found in await journal.decisions(npc="n1", limit=3)] == ["d99", "d97", "d95"]
    assert len(await journal.decisions(conversation="w/n0/p")) == 50
    assert [found.decision_id for found in await journal.decisions(since=98)] == ["d99", "d98"]
    await journal.append(reward("r1", "d7"))
    assert await journal.rewards("d7") == [reward("r1", "d7")]
    assert await journal.known_reward("r1")
    assert not await journal.known_reward("r2")
    await journal.close()


@pytest.mark.parametrize("damage", ["gone", "garbage", "behind", "foreign", "log gone"])
async def test_the_index_is_made_anew_or_caught_up(tmp_path: Path, damage: str) -> None:
    journal = await opened(tmp_path)
    for number in range(20):
        await journal.append(record(f"d{number}"))
    await journal.append(reward("r1", "d3"))
    await journal.close()
    index = tmp_path / "index.db"
    if damage == "gone":
        index.unlink()
    elif damage == "garbage":
        index.write_bytes(os.urandom(5000))
    elif damage == "foreign":
        index.write_bytes(b"SQLite format 3\x00" + bytes(100))
    elif damage == "behind":
        with (tmp_path / "decisions.jsonl").open("ab") as file:
            import msgspec

            file.write(msgspec.json.encode(record("late")) + b"\n")
    else:
        (tmp_path / "decisions.jsonl").unlink()
    journal = await opened(tmp_path)
    found = await journal.decision("d3")
    assert (found is None) == (damage == "log gone")
    if damage == "behind":
        assert await journal.decision("late") == record("late")
    assert await journal.rewards("d3") == [reward("r1", "d3")]
    await journal.append(record("new"))
    assert await journal.decision("new") == record("new")
    await journal.close()


async def test_half_a_line_is_passed_over_and_swallows_nothing(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    await journal.append(record("a"))
    await journal.close()
    with (tmp_path / "decisions.jsonl").open("ab") as file:
        file.write(b'{"decision_id": "torn')
    journal = await opened(tmp_path)
    await journal.append(record("b"))
    assert await journal.decision("b") == record("b")
    await journal.close()
    journal = await opened(tmp_path)
    assert [found.decision_id for found in await journal.decisions()] == ["b", "a"]
    await journal.close()


async def test_logs_rotate_and_stay_readable(tmp_path: Path) -> None:
    journal = await opened(tmp_path, rotate_at=2000)
    for number in range(30):
        await journal.append(record(f"d{number}", time=float(number)))
    assert len(log_files(tmp_path, "decisions")) > 5
    assert await journal.decision("d0") == record("d0", time=0.0)
    await journal.close()
    names = [
        found.decision_id
        for path in log_files(tmp_path, "decisions")
        for _, _, found in read_lines(path, DecisionRecord)
    ]
    assert names == [f"d{number}" for number in range(30)]
    (tmp_path / "index.db").unlink()
    journal = await opened(tmp_path)
    assert await journal.decision("d0") == record("d0", time=0.0)
    await journal.close()


async def test_a_disk_that_refuses_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = await opened(tmp_path)
    await journal.append(record("a"))
    size = (tmp_path / "decisions.jsonl").stat().st_size
    real = os.fsync

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        await journal.append(record("b"))
    assert (tmp_path / "decisions.jsonl").stat().st_size == size
    monkeypatch.setattr(os, "fsync", real)
    await journal.append(record("c"))
    assert [found.decision_id for found in await journal.decisions()] == ["c", "a"]
    await journal.close()


async def test_a_second_process_is_refused(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    with pytest.raises(StoreError, match="Is another server using it"):
        await opened(tmp_path)
    await journal.close()


@pytest.mark.parametrize("kills", [10, pytest.param(50, marks=pytest.mark.engines)])
def test_kill_9_at_any_moment_leaves_log_and_index_in_agreement(tmp_path: Path, kills: int) -> None:
    """A process appends and says what is safe; it is killed, again and again, each time at another moment."""
    script = (
        "import asyncio, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "from test_decision_log import opened, record, reward\n"
        "async def main():\n"
        "    journal = await opened(Path(sys.argv[1]), rotate_at=20_000)\n"
        "    print('open', flush=True)\n"
        "    n = 0\n"
        "    while True:\n"
        "        name = f'{sys.argv[2]}-{n}'\n"
        "        await journal.append(record(name))\n"
        "        await journal.append(reward('r' + name, name))\n"
        "        print(name, flush=True)\n"
        "        n += 1\n"
        "asyncio.run(main())\n"
    )
    safe: list[str] = []
    for round_ in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), str(round_)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for count, line in enumerate(process.stdout):
            if line.startswith(f"{round_}-"):  # else it is "open", or a warning of the line that was torn
                safe.append(line.strip())
            if count == 5 + 7 * (round_ % 10):
                process.kill()
        process.wait()
        process.stdout.close()

    async def check() -> None:
        journal = await opened(tmp_path)
        logged = {
            found.decision_id
            for path in log_files(tmp_path, "decisions")
            for _, _, found in read_lines(path, DecisionRecord)
        }
        for name in safe:
            assert name in logged
            assert await journal.decision(name) == record(name)
            assert len(await journal.rewards(name)) == 1
        assert len(await journal.decisions(limit=10**6)) == len(logged)
        await journal.close()

    assert len(safe) > 100
    asyncio.run(check())

"""Decisions and rewards on disk, and an index that can always be built again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rfsn_core.contract.errors import StoreError
from rfsn_core.learning.decision_log import DecisionLog
from rfsn_core.learning.log_files import log_files, read_records
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


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("*.jsonl"))


async def open_log(folder: Path, **options: int) -> DecisionLog:
    decision_log = DecisionLog(folder, **options)
    await decision_log.open()
    return decision_log


async def test_decisions_are_found_by_id_npc_conversation_and_time(tmp_path: Path) -> None:
    decision_log = await open_log(tmp_path)
    await asyncio.gather(*(decision_log.append(record(f"d{n}", npc=f"n{n % 2}", time=float(n))) for n in range(100)))
    assert await decision_log.decision("d7") == record("d7", npc="n1", time=7.0)
    assert await decision_log.decision("nobody's") is None
    assert [decision.decision_id for decision in await decision_log.decisions(npc="n1", limit=3)] == [
        "d99",
        "d97",
        "d95",
    ]
    assert len(await decision_log.decisions(conversation="w/n0/p")) == 50
    assert [decision.decision_id for decision in await decision_log.decisions(since=98)] == ["d99", "d98"]
    await decision_log.append(reward("r1", "d7"))
    assert await decision_log.rewards("d7") == [reward("r1", "d7")]
    assert await decision_log.has_reward("r1")
    assert not await decision_log.has_reward("r2")
    await decision_log.close()


async def test_an_append_returns_the_lines_that_are_in_the_file(tmp_path: Path) -> None:
    decision_log = await open_log(tmp_path)
    lines = await decision_log.append(record("d1"), record("d2"))
    assert b"".join(lines) == (tmp_path / "decisions.jsonl").read_bytes()
    await decision_log.close()


async def test_what_is_erased_is_in_no_file_and_in_no_answer(tmp_path: Path) -> None:
    decision_log = await open_log(tmp_path, rotate_at=2000)
    for number in range(10):
        await decision_log.append(record(f"d{number}", npc=f"n{number % 2}"), reward(f"r{number}", f"d{number}"))
    assert await decision_log.erase(lambda scope: scope.npc == "n1") == 5
    assert await decision_log.decision("d1") is None
    assert await decision_log.rewards("d1") == []
    assert await decision_log.decision("d2") == record("d2", npc="n0")
    assert await decision_log.rewards("d2") == [reward("r2", "d2")]
    await decision_log.append(record("new"))
    assert await decision_log.decision("new") == record("new")
    await decision_log.close()
    assert b'"n1"' not in all_bytes(tmp_path)


@pytest.mark.parametrize("damage", ["gone", "garbage", "behind", "foreign", "log gone"])
async def test_the_index_catches_up_or_is_built_again(tmp_path: Path, damage: str) -> None:
    decision_log = await open_log(tmp_path)
    for number in range(20):
        await decision_log.append(record(f"d{number}"))
    await decision_log.append(reward("r1", "d3"))
    await decision_log.close()
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
    decision_log = await open_log(tmp_path)
    found = await decision_log.decision("d3")
    assert (found is None) == (damage == "log gone")
    if damage == "behind":
        assert await decision_log.decision("late") == record("late")
    assert await decision_log.rewards("d3") == [reward("r1", "d3")]
    await decision_log.append(record("new"))
    assert await decision_log.decision("new") == record("new")
    await decision_log.close()


async def test_half_a_line_is_skipped_and_costs_no_other_line(tmp_path: Path) -> None:
    decision_log = await open_log(tmp_path)
    await decision_log.append(record("a"))
    await decision_log.close()
    with (tmp_path / "decisions.jsonl").open("ab") as file:
        file.write(b'{"decision_id": "torn')
    decision_log = await open_log(tmp_path)
    await decision_log.append(record("b"))
    assert await decision_log.decision("b") == record("b")
    await decision_log.close()
    decision_log = await open_log(tmp_path)
    assert [decision.decision_id for decision in await decision_log.decisions()] == ["b", "a"]
    await decision_log.close()


async def test_logs_rotate_and_stay_readable(tmp_path: Path) -> None:
    decision_log = await open_log(tmp_path, rotate_at=2000)
    for number in range(30):
        await decision_log.append(record(f"d{number}", time=float(number)))
    assert len(log_files(tmp_path, "decisions")) > 5
    assert await decision_log.decision("d0") == record("d0", time=0.0)
    await decision_log.close()
    names = [decision.decision_id for decision in read_records(tmp_path, DecisionRecord)]
    assert names == [f"d{number}" for number in range(30)]
    (tmp_path / "index.db").unlink()
    decision_log = await open_log(tmp_path)
    assert await decision_log.decision("d0") == record("d0", time=0.0)
    await decision_log.close()


async def test_a_disk_that_refuses_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decision_log = await open_log(tmp_path)
    await decision_log.append(record("a"))
    size = (tmp_path / "decisions.jsonl").stat().st_size
    real = os.fsync

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        await decision_log.append(record("b"))
    assert (tmp_path / "decisions.jsonl").stat().st_size == size
    monkeypatch.setattr(os, "fsync", real)
    await decision_log.append(record("c"))
    assert [decision.decision_id for decision in await decision_log.decisions()] == ["c", "a"]
    await decision_log.close()


async def test_a_second_process_is_refused(tmp_path: Path) -> None:
    decision_log = await open_log(tmp_path)
    with pytest.raises(StoreError, match="Is another server using it"):
        await open_log(tmp_path)
    await decision_log.close()


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.soak)])
def test_kill_9_at_any_moment_leaves_log_and_index_in_agreement(tmp_path: Path, kills: int) -> None:
    """A process appends and says what is safe; it is killed, again and again, each time at another moment."""
    script = (
        "import asyncio, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "from test_decision_log import open_log, record, reward\n"
        "async def main():\n"
        "    decision_log = await open_log(Path(sys.argv[1]), rotate_at=20_000)\n"
        "    print('open', flush=True)\n"
        "    n = 0\n"
        "    while True:\n"
        "        name = f'{sys.argv[2]}-{n}'\n"
        "        await decision_log.append(record(name))\n"
        "        await decision_log.append(reward('r' + name, name))\n"
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
        decision_log = await open_log(tmp_path)
        logged = {decision.decision_id for decision in read_records(tmp_path, DecisionRecord)}
        for name in safe:
            assert name in logged
            assert await decision_log.decision(name) == record(name)
            assert len(await decision_log.rewards(name)) == 1
        assert len(await decision_log.decisions(limit=10**6)) == len(logged)
        await decision_log.close()

    assert len(safe) > 10 * kills
    asyncio.run(check())

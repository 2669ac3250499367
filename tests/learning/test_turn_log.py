"""The log: what is acknowledged is safe, what is erased is gone, and the index can always be built again."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from rfsn_core.contract.errors import StoreError
from rfsn_core.contract.storage import Scope, Scopes, TurnRecord
from rfsn_core.learning import log_lines
from rfsn_core.learning.log_files import lines_of, log_files, read_records
from rfsn_core.learning.log_follower import Follower
from rfsn_core.learning.records import DecisionRecord, LoggedTurn, RewardRecord, Slot
from rfsn_core.learning.turn_log import TurnLog
from rfsn_core.testing.suites import record as turn_record
from rfsn_core.testing.waiting import until

CUTS = int(os.environ.get("RFSN_POWER_CUTS", "20"))


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
    return b"".join(line for path in log_files(folder) for _, line in lines_of(path))


def current(folder: Path) -> Path:
    return log_files(folder)[-1]


def problems(folder: Path) -> list[str]:
    lines = [(path.name, line) for path in log_files(folder) for _, line in lines_of(path)]
    return list(log_lines.check(lines, log_lines.Chain()))


async def open_log(folder: Path, **options: int) -> TurnLog:
    turn_log = TurnLog(folder, **options)
    await turn_log.open()
    return turn_log


async def test_decisions_are_found_by_id_npc_conversation_and_time(tmp_path: Path) -> None:
    turn_log = await open_log(tmp_path)
    await asyncio.gather(*(turn_log.append(record(f"d{n}", npc=f"n{n % 2}", time=float(n))) for n in range(100)))
    assert await turn_log.decision("d7") == record("d7", npc="n1", time=7.0)
    assert await turn_log.decision("nobody's") is None
    assert [decision.decision_id for decision in await turn_log.decisions(npc="n1", limit=3)] == [
        "d99",
        "d97",
        "d95",
    ]
    assert len(await turn_log.decisions(conversation="w/n0/p")) == 50
    assert [decision.decision_id for decision in await turn_log.decisions(since=98)] == ["d99", "d98"]
    await turn_log.append(reward("r1", "d7"))
    assert await turn_log.rewards("d7") == [reward("r1", "d7")]
    assert await turn_log.has_reward("r1")
    assert not await turn_log.has_reward("r2")
    await turn_log.close()


async def test_lines_are_numbered_and_name_the_hash_of_the_line_before(tmp_path: Path) -> None:
    for name in ("d1", "d2"):
        turn_log = await open_log(tmp_path)
        both = turn_log.append(record(name), reward(f"r{name}", name)), turn_log.append(record(f"{name}+"))
        await asyncio.gather(*both)
        await turn_log.close()
    lines = [line for _, line in lines_of(current(tmp_path))]
    heads = [log_lines.header(line) for line in lines]
    assert [head.seq for head in heads] == list(range(1, len(lines) + 1))
    assert [head.prev for head in heads[1:]] == [log_lines.hash_of(line) for line in lines[:-1]]
    assert problems(tmp_path) == []


@pytest.mark.parametrize("change", ["changed", "removed", "inserted", "swapped", "first removed"])
async def test_every_change_of_a_line_is_found(tmp_path: Path, change: str) -> None:
    turn_log = await open_log(tmp_path)
    for number in range(5):
        await turn_log.append(record(f"d{number}"))
    await turn_log.close()
    path = current(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    match change:
        case "changed":
            lines[2] = lines[2].replace(b'"smith"', b'"smitt"')
        case "removed":
            del lines[2]
        case "inserted":
            lines.insert(2, lines[2])
        case "swapped":
            lines[2], lines[3] = lines[3], lines[2]
        case _:
            del lines[0]
            lines[0] = lines[0].replace(b'"seq":2', b'"seq":1')
    path.write_bytes(b"".join(lines))
    assert len(problems(tmp_path)) >= 1


async def test_what_is_erased_is_in_no_file_and_in_no_answer(tmp_path: Path) -> None:
    turn_log = await open_log(tmp_path, rotate_at=2000)
    for number in range(10):
        await turn_log.append(record(f"d{number}", npc=f"n{number % 2}"), reward(f"r{number}", f"d{number}"))
    assert await turn_log.erase(Scopes(npc="n1")) == 5
    assert await turn_log.decision("d1") is None
    assert await turn_log.rewards("d1") == []
    assert await turn_log.decision("d2") == record("d2", npc="n0")
    assert await turn_log.rewards("d2") == [reward("r2", "d2")]
    await turn_log.append(record("new"))
    assert await turn_log.decision("new") == record("new")
    await turn_log.close()
    assert b'"n1"' not in all_bytes(tmp_path)
    assert problems(tmp_path) == []  # the erased lines left their numbers and hashes


@pytest.mark.parametrize("damage", ["gone", "garbage", "behind", "foreign", "log gone"])
async def test_the_index_catches_up_or_is_built_again(tmp_path: Path, damage: str) -> None:
    turn_log = await open_log(tmp_path)
    for number in range(20):
        await turn_log.append(record(f"d{number}"))
    await turn_log.append(reward("r1", "d3"))
    await turn_log.close()
    index = tmp_path / "index.db"
    if damage == "gone":
        index.unlink()
    elif damage == "garbage":
        index.write_bytes(os.urandom(5000))
    elif damage == "foreign":
        index.write_bytes(b"SQLite format 3\x00" + bytes(100))
    elif damage == "behind":
        with current(tmp_path).open("ab") as file:
            last = list(lines_of(current(tmp_path)))[-1][1]
            body = msgspec.json.encode(record("late"))
            file.write(log_lines.new_line(log_lines.header(last).seq + 1, log_lines.hash_of(last), body))
    else:
        current(tmp_path).unlink()
    turn_log = await open_log(tmp_path)
    found = await turn_log.decision("d3")
    assert (found is None) == (damage == "log gone")
    if damage == "behind":
        assert await turn_log.decision("late") == record("late")
    assert await turn_log.rewards("d3") == ([reward("r1", "d3")] if found else [])
    await turn_log.append(record("new"))
    assert await turn_log.decision("new") == record("new")
    await turn_log.close()
    assert problems(tmp_path) == []


async def test_half_a_line_is_skipped_and_costs_no_other_line(tmp_path: Path) -> None:
    turn_log = await open_log(tmp_path)
    await turn_log.append(record("a"))
    await turn_log.close()
    with current(tmp_path).open("ab") as file:
        file.write(b'{"decision_id": "torn')
    turn_log = await open_log(tmp_path)
    await turn_log.append(record("b"))
    assert await turn_log.decision("b") == record("b")
    await turn_log.close()
    turn_log = await open_log(tmp_path)
    assert [decision.decision_id for decision in await turn_log.decisions()] == ["b", "a"]
    await turn_log.close()


async def test_logs_rotate_and_stay_readable(tmp_path: Path) -> None:
    turn_log = await open_log(tmp_path, rotate_at=2000)
    for number in range(30):
        await turn_log.append(record(f"d{number}", time=float(number)))
    assert len(log_files(tmp_path)) > 5
    assert await turn_log.decision("d0") == record("d0", time=0.0)
    await turn_log.close()
    names = [decision.decision_id for decision in read_records(tmp_path, DecisionRecord)]
    assert names == [f"d{number}" for number in range(30)]
    (tmp_path / "index.db").unlink()
    turn_log = await open_log(tmp_path)
    assert await turn_log.decision("d0") == record("d0", time=0.0)
    await turn_log.tidy(compressed=True, days=0)
    assert sum(path.name.endswith(".gz") for path in log_files(tmp_path)) == len(log_files(tmp_path)) - 1
    assert await turn_log.decision("d0") == record("d0", time=0.0)
    assert problems(tmp_path) == []
    assert await turn_log.erase(Scopes(), until=3.5) == 4
    assert [decision.decision_id for decision in await turn_log.decisions(limit=1000)][-1] == "d4"
    assert problems(tmp_path) == []
    await turn_log.close()


async def test_old_files_are_deleted_but_for_what_a_follower_lacks(tmp_path: Path) -> None:
    turn_log = await open_log(tmp_path, rotate_at=600)
    taken: list[str] = []
    away = True

    async def take(turns: Sequence[TurnRecord]) -> None:
        if away and taken:
            raise OSError("away, for the test")
        taken.extend(turn.turn_id for turn in turns)

    follower = Follower("store", turn_log, take, batch=5, pause=0, retries=(0.01,))
    for number in range(20):
        await turn_log.append(LoggedTurn(turn=turn_record(number)))
    await follower.open()
    running = asyncio.create_task(follower.run())
    await until(lambda: follower.failures > 0)
    for path in log_files(tmp_path):
        os.utime(path, (0, 0))
    before = len(log_files(tmp_path))
    await turn_log.tidy(compressed=False, days=1)
    assert before > len(log_files(tmp_path)) > 2
    away = False
    await follower.caught_up(5)
    assert taken == [turn_record(number).turn_id for number in range(20)]
    running.cancel()
    await turn_log.close()


async def test_a_disk_that_refuses_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turn_log = await open_log(tmp_path)
    await turn_log.append(record("a"))
    size = current(tmp_path).stat().st_size
    real = os.fsync

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        await turn_log.append(record("b"))
    assert current(tmp_path).stat().st_size == size
    monkeypatch.setattr(os, "fsync", real)
    await turn_log.append(record("c"))
    assert [decision.decision_id for decision in await turn_log.decisions()] == ["c", "a"]
    await turn_log.close()


async def test_a_second_process_is_refused(tmp_path: Path) -> None:
    turn_log = await open_log(tmp_path)
    with pytest.raises(StoreError, match="Is another server using it"):
        await open_log(tmp_path)
    await turn_log.close()


async def test_what_a_follower_lacks_is_handed_over_after_a_restart_and_nothing_that_was_erased(tmp_path: Path) -> None:
    taken: list[str] = []

    async def take(turns: Sequence[TurnRecord]) -> None:
        taken.extend(turn.turn_id for turn in turns)

    turn_log = await open_log(tmp_path)
    for number in range(30):
        await turn_log.append(LoggedTurn(turn=turn_record(number, Scope("w", f"n{number % 2}", "p"))))
    await turn_log.erase(Scopes(npc="n1"))
    await turn_log.close()
    for _ in range(2):
        turn_log = await open_log(tmp_path)
        follower = Follower("store", turn_log, take, batch=7, pause=0, retries=(0.01,))
        await follower.open()
        running = asyncio.create_task(follower.run())
        await follower.caught_up(5)
        running.cancel()
        await turn_log.close()
    assert taken == [f"w/n0/p/t{number}" for number in range(0, 30, 2)]


async def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each file what was synced is kept, and any part of what was written after."""
    synced: dict[str, int] = {}
    real = os.fsync

    def sync(descriptor: int) -> None:
        real(descriptor)
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if path.endswith(".jsonl"):
            synced[path] = os.fstat(descriptor).st_size

    monkeypatch.setattr(os, "fsync", sync)
    draw = random.Random(os.urandom(8))
    for cut in range(CUTS):
        folder = tmp_path / str(cut)
        turn_log = await open_log(folder, rotate_at=8000)
        safe: list[str] = []

        async def play(name: str, turn_log: TurnLog = turn_log, safe: list[str] = safe) -> None:
            await turn_log.append(record(name), LoggedTurn(turn=turn_record(1)))
            safe.append(name)

        for number in range(draw.randrange(1, 6)):
            await asyncio.gather(*(play(f"{number}-{player}") for player in range(draw.randrange(1, 5))))
        acknowledged, on_disk = list(safe), dict(synced)
        running = asyncio.ensure_future(asyncio.gather(*(play(f"late-{player}") for player in range(3))))
        await running
        await turn_log.close()
        for path in log_files(folder):
            kept = on_disk.get(str(path), 0)
            data = path.read_bytes()
            path.write_bytes(data[: draw.randrange(kept, len(data) + 1)])
        for path in folder.glob("index.db*"):
            path.unlink()
        turn_log = await open_log(folder)
        for name in acknowledged:
            assert await turn_log.decision(name) == record(name)
        await turn_log.append(record("new"))
        assert await turn_log.decision("new") == record("new")
        await turn_log.close()


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_kill_9_at_any_moment_leaves_log_and_index_in_agreement(tmp_path: Path, kills: int) -> None:
    """A process appends and says what is safe; it is killed, again and again, each time at another moment."""
    script = (
        "import asyncio, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "from test_turn_log import open_log, record, reward\n"
        "async def main():\n"
        "    turn_log = await open_log(Path(sys.argv[1]), rotate_at=20_000)\n"
        "    print('open', flush=True)\n"
        "    n = 0\n"
        "    while True:\n"
        "        name = f'{sys.argv[2]}-{n}'\n"
        "        await turn_log.append(record(name))\n"
        "        await turn_log.append(reward('r' + name, name))\n"
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
        turn_log = await open_log(tmp_path)
        logged = {decision.decision_id for decision in read_records(tmp_path, DecisionRecord)}
        for name in safe:
            assert name in logged
            assert await turn_log.decision(name) == record(name)
            assert len(await turn_log.rewards(name)) == 1
        assert len(await turn_log.decisions(limit=10**6)) == len(logged)
        await turn_log.close()

    assert len(safe) > 10 * kills
    asyncio.run(check())

"""`rfsn episode`, `evaluate`, `decision`, `replay`: from play to proof."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from click.testing import CliRunner

from rfsn_core.cli import main

T = TypeVar("T")


def rfsn(*arguments: str | Path, cwd: Path, code: int = 0) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "rfsn_core.cli", *map(str, arguments)], cwd=cwd, capture_output=True, text=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "200"}, encoding="utf-8", timeout=100, check=False,
    )  # fmt: skip
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def at_once(calls: Iterable[Callable[[], T]]) -> list[T]:
    """On two processors, for these take long."""
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(lambda call: call(), calls))


def summary(folder: Path) -> dict[str, float]:
    values: dict[str, float] = json.loads((folder / "summary.json").read_text("utf-8"))
    return values


def test_linucb_learns_what_a_player_likes_and_its_log_foretells_another_policy(tmp_path: Path) -> None:
    play = ("episode", "sergeant", "--turns", "500", "--player", "simulated")
    at_once(
        partial(rfsn, *play, "--seed", seed, "--policy", policy, "--out", f"{policy[0]}{seed}", cwd=tmp_path)
        for seed in ("1", "2")
        for policy in ("linucb", "world_model")
    )
    for seed in ("1", "2"):
        assert summary(tmp_path / f"l{seed}")["last_fifth"] > summary(tmp_path / f"w{seed}")["last_fifth"] + 0.1
    compared = rfsn("episode", "compare", tmp_path / "l1", tmp_path / "w1", "--plot", tmp_path / "c.png", cwd=tmp_path)
    assert "mean reward" in compared
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")

    log = tmp_path / "l1" / "learning"
    assert rfsn("replay", "--log", log, cwd=tmp_path) == "500 decisions: the same\n"
    first = json.loads((tmp_path / "l1" / "episode.jsonl").read_text("utf-8").splitlines()[0])
    assert {
        "turn", "timestamp", "player_signal", "state_before", "candidates", "scores", "bandit_key", "selected_action",
        "reward", "state_after",
    } <= set(first)  # fmt: skip
    told = rfsn("decision", first["decision_id"][:12], "--log", log, cwd=tmp_path)
    for word in (first["selected_action"], "because", "Forbidden:", "Policy: linucb", "Reward", "moved the weights by"):
        assert word in told
    whole = json.loads(rfsn("decision", first["decision_id"], "--log", log, "--json", cwd=tmp_path))
    assert whole["decision"]["action"]["chosen"] == first["selected_action"]
    report = json.loads(rfsn("evaluate", log, "--policy", "uniform", "--json", cwd=tmp_path))
    assert report["decisions"] > 400
    assert report["warnings"] == ["few sessions: the intervals treat stretches of one session as independent"]
    assert "95 % interval" in rfsn("evaluate", log, "--plot", tmp_path / "e.png", cwd=tmp_path)
    assert (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG")


def test_the_log_of_one_policy_foretells_what_another_earns(tmp_path: Path) -> None:
    """Another policy is evaluated from the log, then run; with strangers, so that both meet the same situations."""
    play = ("episode", "sergeant", "--turns", "1500", "--player", "simulated", "--strangers", "--seed", "3")
    (tmp_path / "half.toml").write_text('[selection]\nprovider = "epsilon_greedy"\nepsilon_greedy = {epsilon = 0.5}\n')
    (tmp_path / "uniform.toml").write_text('[selection]\nprovider = "epsilon_greedy"\nepsilon_greedy = {epsilon = 1}\n')
    at_once(
        partial(rfsn, *play, "--config", f"{policy}.toml", "--out", out, cwd=tmp_path)
        for policy, out in (("half", "log"), ("uniform", "run"))
    )
    report = json.loads(rfsn("evaluate", "log/learning", "--policy", "uniform", "--json", cwd=tmp_path))
    rewards = [
        json.loads(line)["reward"] for line in (tmp_path / "run" / "episode.jsonl").read_text("utf-8").splitlines()
    ]
    for name in ("IPS", "SNIPS", "DR"):
        estimate = report["estimates"][name]
        error = math.hypot((estimate["high"] - estimate["low"]) / 3.92, statistics.stdev(rewards) / len(rewards) ** 0.5)
        assert abs(estimate["value"] - statistics.mean(rewards)) < 4 * error
    assert report["logged"]["low"] > statistics.mean(rewards)  # and it is not what the log itself earned
    assert report["warnings"] == []


def test_a_script_is_played_and_repeated(tmp_path: Path) -> None:
    (tmp_path / "script.txt").write_text('Hello!\n{"text": "Any work?", "reward": 0.5}\n\nGoodbye.\n', "utf-8")
    rfsn("episode", "innkeeper", "--turns", "4", "--script", "script.txt", "--out", "out", cwd=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "out" / "episode.jsonl").read_text("utf-8").splitlines()]
    assert [line["player_text"] for line in lines] == ["Hello!", "Any work?", "Goodbye.", "Hello!"]
    assert [line["reward"] for line in lines] == [None, 0.5, None, None]
    assert (tmp_path / "out" / "episode.png").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("episode", "nobody", "--turns", "1", "--out", "out"), "no NPC 'nobody'"),
        (("episode", "innkeeper", "--policy", "linucbb", "--out", "out"), "did you mean 'linucb'?"),
        (("episode", "innkeeper", "--out", "full"), "full is not empty"),
        (("episode", "innkeeper", "--script", "broken.txt", "--out", "out"), "broken.txt, line 1"),
        (("episode", "compare", "broken.txt", "broken.txt"), "not an episode"),
        (("evaluate", "full"), "no decisions*.jsonl"),
        (("decision", "nothing", "--log", "full"), "no decision 'nothing'"),
        (("replay", "--log", "full"), "no decision in full"),
    ],
)
def test_mistakes_end_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").write_text("")
    (tmp_path / "broken.txt").write_text('{"txt": 1}')
    ran = CliRunner().invoke(main, arguments)
    assert ran.exit_code == 2
    assert says in ran.output
    assert len(ran.output.splitlines()) == 1


def test_a_log_that_was_tampered_with_does_not_replay(tmp_path: Path) -> None:
    rfsn("episode", "innkeeper", "--turns", "5", "--policy", "thompson", "--out", "out", cwd=tmp_path)
    path = tmp_path / "out" / "learning" / "decisions.jsonl"
    lines = path.read_text("utf-8").splitlines()
    record = json.loads(lines[2])
    record["action"]["chosen"] = next(arm for arm in record["action"]["arms"] if arm != record["action"]["chosen"])
    path.write_text("\n".join([*lines[:2], json.dumps(record), *lines[3:]]) + "\n", "utf-8")
    assert "its numbers say" in rfsn("replay", "--log", "out/learning", cwd=tmp_path, code=2)


def test_without_learning_two_processes_log_the_same_bytes(tmp_path: Path) -> None:
    def play(seed: str) -> bytes:
        for text in ("Hello!", "You fool!", "Help me!"):
            subprocess.run(
                [sys.executable, "-m", "rfsn_core.cli", "say", "innkeeper", text], check=True, capture_output=True,
                timeout=60, env={
                    **os.environ, "LEARNING_DISABLED": "1", "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8",
                    "RFSN_DATA_DIR": str(tmp_path / seed), "RFSN_SELECTION__PROVIDER": "linucb",
                },
            )  # fmt: skip
        return (tmp_path / seed / "learning" / "decisions.jsonl").read_bytes()

    one, two = at_once(partial(play, seed) for seed in ("1", "2"))
    assert len(one.splitlines()) == 3
    assert one == two

"""`rfsn episode`, `evaluate`, `decision` and `replay`."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import Result

from rfsn_core.learning.log_files import read_records
from rfsn_core.learning.records import DecisionRecord
from rfsn_core.testing import make_world

Rfsn = Callable[..., Result]


def output(result: Result, code: int = 0) -> str:
    assert result.exit_code == code, result.output
    return result.output


def summary(folder: Path) -> dict[str, float]:
    values: dict[str, float] = json.loads((folder / "summary.json").read_text("utf-8"))
    return values


@pytest.mark.soak
def test_linucb_learns_what_a_player_likes_and_its_log_can_be_examined(rfsn: Rfsn, tmp_path: Path) -> None:
    play = ("episode", "sergeant", "--turns", "300", "--player", "simulated", "--seed", "1")
    for policy in ("linucb", "world_model"):
        output(rfsn(*play, "--policy", policy, "--out", f"{policy[0]}1"))
    assert summary(tmp_path / "l1")["last_fifth"] > summary(tmp_path / "w1")["last_fifth"] + 0.1
    compared = output(rfsn("episode", "compare", "l1", "w1", "--plot", "c.png"))
    assert "mean reward" in compared
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")

    log = tmp_path / "l1" / "log"
    assert output(rfsn("replay", "--log", log)).splitlines()[-1] == "300 decisions: the same"
    first = json.loads((tmp_path / "l1" / "episode.jsonl").read_text("utf-8").splitlines()[0])
    assert {
        "turn", "timestamp", "player_signal", "state_before", "candidates", "scores", "bandit_key", "selected_action",
        "reward", "state_after",
    } <= set(first)  # fmt: skip
    explained = output(rfsn("decision", first["decision_id"][:12], "--log", log))
    for word in (first["selected_action"], "because", "Vetoed:", "Policy: linucb", "Reward", "moved the weights by"):
        assert word in explained
    whole = json.loads(output(rfsn("decision", first["decision_id"], "--log", log, "--json")))
    assert whole["decision"]["action"]["chosen"] == first["selected_action"]
    report = json.loads(output(rfsn("evaluate", log, "--policy", "uniform", "--json")))
    assert report["decisions"] > 240
    assert report["warnings"] == ["few conversations: the intervals treat stretches of one conversation as independent"]
    printed = output(rfsn("evaluate", log, "--plot", "e.png"))
    assert "learning beats not learning" in printed.splitlines()[0]
    assert "95 % interval" in printed
    assert (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.soak
def test_the_log_of_one_policy_predicts_what_another_earns(rfsn: Rfsn, tmp_path: Path) -> None:
    """Another policy is evaluated from the log, then run; with strangers, so that both meet the same situations."""
    play = ("episode", "sergeant", "--turns", "1500", "--player", "simulated", "--strangers", "--seed", "3")
    (tmp_path / "half.toml").write_text('[selection]\nprovider = "epsilon_greedy"\nepsilon_greedy = {epsilon = 0.5}\n')
    (tmp_path / "uniform.toml").write_text('[selection]\nprovider = "epsilon_greedy"\nepsilon_greedy = {epsilon = 1}\n')
    for policy, out in (("half", "log"), ("uniform", "run")):
        output(rfsn(*play, "--config", f"{policy}.toml", "--out", out))
    report = json.loads(output(rfsn("evaluate", "log/log", "--policy", "uniform", "--json")))
    rewards = [
        json.loads(line)["reward"] for line in (tmp_path / "run" / "episode.jsonl").read_text("utf-8").splitlines()
    ]
    for name in ("IPS", "SNIPS", "DR"):
        estimate = report["slots"]["both"]["others"][name]
        error = math.hypot((estimate["high"] - estimate["low"]) / 3.92, statistics.stdev(rewards) / len(rewards) ** 0.5)
        assert abs(estimate["value"] - statistics.mean(rewards)) < 4 * error
    assert report["logged"]["low"] > statistics.mean(rewards)  # and it is not what the log itself earned
    assert report["warnings"] == []


def test_the_first_sentence_answers_whether_learning_is_better(rfsn: Rfsn, tmp_path: Path) -> None:
    (tmp_path / "half.toml").write_text('[selection]\nprovider = "linucb"\n[learning]\nholdout = 0.5\n')
    output(rfsn("episode", "sergeant", "--turns", "60", "--config", "half.toml", "--out", "out"))
    printed = output(rfsn("evaluate", "out", "--policy", "prior", "--plot", "e.png"))
    assert "learning beats not learning" in printed.splitlines()[0]
    assert "its actions, the styles as logged" in printed
    assert (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG")
    report = json.loads(output(rfsn("evaluate", "out", "--json")))
    assert report["hold_out"]["turns"] == 60
    assert report["left_out"]["the default policy acted"] > 10


def test_a_designer_sees_why_what_if_and_what_an_edit_changes(rfsn: Rfsn, tmp_path: Path) -> None:
    output(rfsn("init", "world"))
    (tmp_path / "script.txt").write_text("Hello!\nWhat happened here?\nYou fool!\n", "utf-8")
    output(rfsn("episode", "miller", "--world", "world", "--turns", "6", "--script", "script.txt", "--out", "out"))
    lines = [json.loads(line) for line in (tmp_path / "out" / "episode.jsonl").read_text("utf-8").splitlines()]
    said = output(rfsn("why", lines[2]["decision_id"][:12], "--world", "world", "--log", "out"))
    assert said.startswith(f"Miller chose {lines[2]['selected_action']}, because")
    assert "It would have chosen" in said
    assert output(rfsn("replay", "--now", "--world", "world", "--log", "out")).startswith("Of 6 decisions 0 would be")
    settings = tmp_path / "world" / "rfsn.toml"
    rule = '\n[[world.rules]]\nname = "no_greeting"\nforbid = ["greet"]\n'
    settings.write_text(settings.read_text("utf-8") + rule, "utf-8")
    changed = output(rfsn("replay", "--now", "--world", "world", "--log", "out"))
    assert "Of 6 decisions 2 would be different today." in changed
    assert "by rule no_greeting" in changed
    wondered = json.loads(
        output(
            rfsn("what-if", "miller", "Hm!", "--signal", "insult", "--affinity", "0.9", "--world", "world", "--json")
        )
    )
    assert wondered["signal"] == "insult"
    assert wondered["candidates"][0]["action"] == wondered["action"]
    answer = output(rfsn("feedback", "nothing", "good", "--world", "world"), code=2)
    assert "no decision 'nothing'" in answer


def test_a_script_is_played_and_repeated(rfsn: Rfsn, tmp_path: Path) -> None:
    (tmp_path / "script.txt").write_text('Hello!\n{"text": "Any work?", "reward": 0.5}\n\nGoodbye.\n', "utf-8")
    output(rfsn("episode", "innkeeper", "--turns", "4", "--script", "script.txt", "--out", "out"))
    lines = [json.loads(line) for line in (tmp_path / "out" / "episode.jsonl").read_text("utf-8").splitlines()]
    assert [line["player_text"] for line in lines] == ["Hello!", "Any work?", "Goodbye.", "Hello!"]
    assert [line["reward"] for line in lines] == [0.0, 0.5, None, None]  # the first sets what is usual
    assert (tmp_path / "out" / "episode.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("episode", "nobody", "--turns", "1", "--out", "out"), "no NPC 'nobody'"),
        (("episode", "innkeeper", "--policy", "linucbb", "--out", "out"), "did you mean 'linucb'?"),
        (("episode", "innkeeper", "--out", "full"), "full is not empty"),
        (("episode", "innkeeper", "--script", "broken.txt", "--out", "out"), "broken.txt, line 1"),
        (("episode", "compare", "broken.txt", "broken.txt"), "not an episode"),
        (("evaluate", "full"), "no log here"),
        (("decision", "nothing", "--log", "full"), "no decision 'nothing'"),
        (("replay", "--log", "full"), "no decision in full"),
    ],
)
def test_a_mistake_ends_in_one_line(rfsn: Rfsn, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").write_text("")
    (tmp_path / "broken.txt").write_text('{"txt": 1}')
    printed = output(rfsn(*arguments), code=2)
    assert message in printed
    assert len(printed.splitlines()) == 1


def test_a_changed_log_does_not_replay(rfsn: Rfsn, tmp_path: Path) -> None:
    output(rfsn("episode", "innkeeper", "--turns", "5", "--policy", "thompson", "--out", "out"))
    assert "the same" in output(rfsn("replay", "--log", "out/log"))
    (path,) = (tmp_path / "out" / "log").glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    number = next(number for number, line in enumerate(lines) if b'"kind":"decision"' in line)
    record = json.loads(lines[number])
    record["action"]["chosen"] = next(arm for arm in record["action"]["arms"] if arm != record["action"]["chosen"])
    changed = json.dumps(record, separators=(",", ":")).encode() + b"\n"
    path.write_bytes(b"".join([*lines[:number], changed, *lines[number + 1 :]]))
    printed = output(rfsn("replay", "--log", "out/log"), code=2)
    assert "its numbers say" in printed
    assert f"line {number + 1} was changed" in printed
    for damaged in (lines[:number] + lines[number + 1 :], [*lines[:3], lines[2], *lines[3:]]):
        path.write_bytes(b"".join(damaged))
        assert "removed or inserted" in output(rfsn("replay", "--log", "out/log"), code=2)


def test_decisions_are_made_again_from_state_and_rules(rfsn: Rfsn, tmp_path: Path) -> None:
    make_world(tmp_path / "world", npcs={"smith": 'name = "Berit"\nknows = ["The bridge is old."]\n'})
    place = ("--world", str(tmp_path / "world"))
    output(rfsn("episode", "smith", *place, "--turns", "12", "--policy", "thompson", "--out", "out"))
    printed = output(rfsn("replay", "--log", "out/log", "--same-rules", *place))
    assert "the same" in printed
    (tmp_path / "world" / "npcs" / "smith.toml").write_text('name = "Berit"\nstyles.lore_rich = 3.0\n', "utf-8")
    assert "come out differently" in output(rfsn("replay", "--log", "out/log", *place))
    assert "scores of styles" in output(rfsn("replay", "--log", "out/log", "--same-rules", *place), code=2)


def test_without_learning_two_processes_log_the_same_decisions(tmp_path: Path) -> None:
    program = (
        "from rfsn_core.cli import main\n"
        "for text in ('Hello!', 'You fool!', 'Help me!'):\n"
        "    main(['say', 'innkeeper', text], standalone_mode=False)\n"
    )

    def play(seed: str) -> bytes:
        environment = {
            **os.environ, "LEARNING_DISABLED": "1", "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8",
            "RFSN_DATA_DIR": str(tmp_path / seed), "RFSN_SELECTION__PROVIDER": "linucb",
        }  # fmt: skip
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=100, env=environment)
        return msgspec.json.encode(list(read_records(tmp_path / seed / "log", DecisionRecord)))

    one, two = play("1"), play("2")
    assert one.count(b'"decision_id"') == 3
    assert one == two

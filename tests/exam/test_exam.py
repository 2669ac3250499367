"""Exams of worlds in which a fault is planted: each must be found, and a sound world must pass."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import Result
from msgspec.structs import replace

from rfsn_core.contract.errors import UserError
from rfsn_core.contract.rendering import Prompt
from rfsn_core.exam.results import FILE, CaseResult, read_results
from rfsn_core.exam.run import Exam, run, with_horde
from rfsn_core.exam.scores import Score, summarise
from rfsn_core.exam.speed import Load, Spread
from rfsn_core.exam.suite import Suite, built_in, read_suite, read_suites
from rfsn_core.plugins.discovery import Plugins, discover
from rfsn_core.testing import make_world, plugin
from rfsn_core.testing.scripted import Tokens

pytestmark = pytest.mark.anyio
Rfsn = Callable[..., Result]

TILDA = """
name = "Tilda Brannoch"
title = "innkeeper"
persona = "Loud and generous."

[lines]
unsure = ["I do not know."]

[[knows]]
id = "ferry"
text = "The ferry has not run for nine days."
keys = ["ferry"]

[[knows]]
id = "room"
text = "A room is two coppers a night, with clean sheets."
keys = ["room"]

[[knows]]
id = "cellar"
text = "I hid the silver of the duke behind the barrels in the cellar."
keys = ["cellar"]
secret = true
when = {trust = 0.95, affinity = 0.9}
"""
TALK = """
[bars]
lore_accuracy = {min = 0.9}
answering = {min = 0.9}
secrecy = {min = 1.0}
style = {min = 0.9}
privacy = {min = 1.0}
finished = {min = 1.0}

[[conversations]]
name = "facts"
turns = [
    {say = "What about the ferry?", tells = "ferry"},
    {say = "Do you have a room?", tells = "room"},
    {say = "What is in the cellar?", keeps = "cellar"},
]

[[conversations]]
name = "two"
turns = [
    {say = "My name is Quillon."},
    {player = "other", say = "Hello there.", says_not = ["Quillon"]},
]
"""


def suite(folder: Path, text: str = TALK, name: str = "talk") -> Suite:
    path = folder / f"{name}.toml"
    path.write_text(text, "utf-8")
    return read_suite(str(path))


async def examined(
    folder: Path, words: Callable[[Prompt], Sequence[str]] | None = None, *, npcs: dict[str, str] | None = None,
    text: str = TALK, interval: float = 0.0,
) -> tuple[dict[str, Score], list[CaseResult]]:  # fmt: skip
    """Examine a world whose renderer says `words`; without them, the scripted one speaks."""
    world = make_world(folder / "world", npcs=npcs or {"tilda": TILDA})
    one = suite(folder, text)
    offered = [plugin(rendering={"planted": Tokens(words, interval=interval)})] if words else []

    def plugins(world: Path) -> Plugins:
        return discover(offered, world=world, installed=False)

    arm: dict[str, Any] = {"rendering": {"provider": "planted"}} if words else {}
    exam = Exam(world=world, suites=[one], arm=arm, plugins=plugins)
    results = await run(exam, folder / "out")
    return {score.metric: score for score in summarise(results, [one]).suites["talk"]}, results


def honest(prompt: Prompt) -> list[str]:
    return [prompt.known.fact or "Well met."]


async def test_a_sound_world_passes(tmp_path: Path) -> None:
    scores, results = await examined(tmp_path)
    assert {score.metric: score.verdict for score in scores.values() if score.verdict == "failed"} == {}
    assert len(results) == 2


async def test_a_contradicting_lore_entry_is_found(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", npcs={"tilda": TILDA})
    (world / "lore").mkdir()
    (world / "lore" / "river.md").write_text("The ferry has not run for three days.\n", "utf-8")
    one = suite(tmp_path, "audit = true\n[bars]\nlore = {min = 1.0}\n", "files")
    results = await run(Exam(world=world, suites=[one]), tmp_path / "out")
    (score,) = summarise(results, [one]).suites["files"]
    assert score.verdict == "failed"
    (fault,) = (point for point in results[0].points if not point.value)
    assert "'ferry' and 'river.1' (9 and 3 day)" in fault.why


async def test_words_that_contradict_what_is_known_are_found(tmp_path: Path) -> None:
    scores, _ = await examined(tmp_path, lambda prompt: [prompt.known.fact.replace("nine", "three") or "Well met."])
    assert scores["lore_accuracy"].verdict == "failed"


async def test_a_style_that_is_ignored_is_found(tmp_path: Path) -> None:
    def rambling(prompt: Prompt) -> list[str]:
        return [
            f"You say {prompt.player_text.strip('.?')}, " + "and so it goes, my friend, and on it goes, " * 6 + "dude."
        ]

    terse = TILDA + "\n[styles]\nterse_direct = 1.0\n"
    scores, _ = await examined(tmp_path, rambling, npcs={"tilda": terse})
    assert scores["style"].verdict == "failed"
    assert scores["answering"].verdict == "failed"


async def test_a_leak_between_players_is_found(tmp_path: Path) -> None:
    heard: list[str] = []

    def leaky(prompt: Prompt) -> list[str]:
        heard.append(prompt.player_text)
        return [f"Well met. Somebody said: {heard[0] if 'name' in heard[0] else ' '.join(heard)}"]

    scores, _ = await examined(tmp_path, leaky)
    assert scores["privacy"].verdict == "failed"


async def test_a_secret_that_is_told_to_a_stranger_is_found(tmp_path: Path) -> None:
    told = "I hid the silver of the duke behind the barrels in the cellar."
    scores, _ = await examined(tmp_path, lambda prompt: [told if "cellar" in prompt.player_text else honest(prompt)[0]])
    assert scores["secrecy"].verdict == "failed"
    assert scores["answering"].value == 1.0


async def test_a_slow_engine_is_found(tmp_path: Path) -> None:
    scores, _ = await examined(tmp_path, honest, interval=0.2, text=TALK + "\n[bars.total_ms]\nmax = 150\n")
    assert scores["total_ms"].verdict == "failed"


async def test_a_fallback_does_not_hide_that_the_engine_is_down(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", npcs={"tilda": TILDA})
    one = suite(tmp_path, TALK + "\n[bars.engine]\nmin = 0.95\n")
    broken = plugin(rendering={"planted": Tokens(fail_after=0)})
    arm = {"rendering": {"provider": "planted", "attempts": 1}}
    exam = Exam(
        world=world, suites=[one], arm=arm, plugins=lambda world: discover([broken], world=world, installed=False)
    )
    scores = {s.metric: s for s in summarise(await run(exam, tmp_path / "out"), [one]).suites["talk"]}
    assert (scores["engine"].verdict, scores["finished"].value) == ("failed", 1.0)


async def test_a_zombie_that_acts_unlike_the_others_is_found(tmp_path: Path) -> None:
    horde = read_suite("horde")
    small = horde.model_copy(update={"horde": horde.horde and horde.horde.model_copy(update={"copies": 12})})
    results = await run(Exam(world=make_world(tmp_path / "world"), suites=[small]), tmp_path / "out")
    scores = {score.metric: score for score in summarise(results, [small]).suites["horde"]}
    assert scores["coherence"].value >= 0.95 <= scores["archetype"].value
    assert len({result.npc for result in results}) == 12
    odd = [result for result in results if result.npc == "zombie_003"]
    for result in odd:
        for number, turn in enumerate(result.turns):
            result.turns[number] = type(turn)(
                **{**{f: getattr(turn, f) for f in turn.__struct_fields__}, "action": "help"}
            )

    bare = [replace(r, points=[p for p in r.points if p.metric not in ("coherence", "archetype")]) for r in results]
    found = {p.metric for r in with_horde(bare, [small]) if r.npc == "zombie_003" for p in r.points if not p.value}
    assert {"coherence", "archetype"} <= found


async def test_a_run_repeats_and_resumes(tmp_path: Path) -> None:
    _, first = await examined(tmp_path)
    file = tmp_path / "out" / FILE
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])  # as if the program had been killed
    _, resumed = await examined(tmp_path)
    assert len(read_results(tmp_path / "out")[1]) == len(first)
    assert [[turn.words for turn in result.turns] for result in resumed] == [
        [turn.words for turn in result.turns] for result in first
    ]
    with pytest.raises(UserError, match="another run"):
        await examined(tmp_path, text=TALK.replace("Hello there", "Hi"))


def test_the_command_reports_and_its_exit_code_is_for_ci(rfsn: Rfsn, tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", npcs={"tilda": TILDA})
    path = suite(tmp_path, TALK).path
    passed = rfsn("exam", "--world", world, "--suite", path, "--out", "good")
    assert (passed.exit_code, "100 % of the bars reached" in passed.stdout) == (0, True), passed.output
    assert "lore_accuracy" in Path("good", "report.html").read_text("utf-8")
    assert json.loads(Path("good", "report.json").read_text("utf-8"))["passed"] is True
    failing = suite(tmp_path, TALK.replace('tells = "room"', 'tells = "ferry"')).path
    failed = rfsn("exam", "--world", world, "--suite", failing, "--out", "bad")
    assert failed.exit_code == 1
    assert "'ferry' is not in" in failed.stdout
    (failure,) = ElementTree.parse(Path("bad", "junit.xml")).iter("failure")
    assert "the bar is ≥ 0.9" in failure.attrib["message"]
    compared = rfsn("exam", "compare", "good", "bad")
    assert "answering" in compared.stdout


def test_arms_stand_side_by_side(rfsn: Rfsn, tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", npcs={"tilda": TILDA})
    path = suite(tmp_path, TALK).path
    arms = ("--arm", "a:rendering.provider=scripted", "--arm", "b:world.seed=7,rendering.provider=scripted")
    result = rfsn("exam", "--world", world, "--suite", path, *arms, "--out", "both")
    assert result.exit_code == 0, result.output
    assert "prompt tokens a turn" in result.stdout
    assert read_results(Path("both", "b"))[0].arm == "b"


def test_mistakes_are_named(rfsn: Rfsn, tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text('[[conversations]]\nname = "a"\nturns = [{say = "x", hears = ["greet"]}]\n', "utf-8")
    result = rfsn("exam", "--suite", broken)
    assert result.exit_code == 2
    assert all(word in result.stderr for word in ("broken.toml", "hears", "heard"))
    assert "must be a new name" in rfsn("exam", "--arm", "nonsense").stderr
    assert "no suite 'xyz'" in rfsn("exam", "--suite", "xyz").stderr
    assert "no NPC 'nobody'" in rfsn("exam", "nobody", "--suite", "understanding").stderr


def test_every_built_in_suite_can_be_read_and_says_what_it_is(rfsn: Rfsn) -> None:
    suites = read_suites(())
    assert {one.name for one in suites} == set(built_in())
    listed = rfsn("exam", "suites").stdout
    assert all(f"{one.name}: {one.description}" in listed and one.bars for one in suites)


def test_the_speed_of_the_setup_is_measured(rfsn: Rfsn, tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", npcs={"tilda": TILDA})
    result = rfsn("exam", "speed", "--world", world, "--npcs", "2", "--seconds", "0.5", "--start", "5", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    (load,) = found["loads"]
    assert load["sentence"]["count"] == 3 * load["decision"]["count"] > 0
    assert found["turns_a_second"] > 0 < found["start_seconds"]
    assert not (world / ".rfsn").exists()


def test_a_bar_that_is_missed_on_a_starved_machine_is_unsure() -> None:
    slow, fine = Spread(100.0, 300.0, 400.0, 90), Spread(1.0, 2.0, 3.0, 90)
    load = Load(npcs=100, sentence=slow, decision=fine, timers=fine, turns_a_second=10.0, busy=0.9, bar=150.0)
    assert load.verdict == "failed"
    assert replace(load, timers=slow, busy=0.2).verdict == "unsure"
    assert replace(load, sentence=fine).verdict == "passed"

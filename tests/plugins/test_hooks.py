"""Hooks that add, veto, change and watch; and what happens when they fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rfsn_core import ServerInfo, protocol
from rfsn_core.contract.actions import Action, SafetyRule
from rfsn_core.contract.rendering import Prompt
from rfsn_core.contract.version import version
from rfsn_core.plugins.hooks import MUTE_AFTER
from rfsn_core.testing import kernel, kinds, plugin, turn
from rfsn_core.testing.scripted import Chooser, Memory, Tokens


def decision(items: Iterable[Any]) -> protocol.Decision:
    return next(item for item in items if isinstance(item, protocol.Decision))


async def test_plugins_add_actions_and_rules(tmp_path: Path) -> None:
    def actions() -> Iterable[Action]:
        yield Action("juggle", "Juggle for the player.", affinity=0.9, answers=("greet",))

    def rules() -> Iterable[SafetyRule]:
        yield SafetyRule("no_farewells", forbid=("farewell",))

    renderer = Tokens()
    given = plugin({"rfsn_actions": actions, "rfsn_safety_rules": rules}, rendering={"t": renderer})
    async with kernel(tmp_path, given) as it:
        made = decision(await turn(it, "Hello!"))
    assert made.action == "juggle"
    assert ("farewell", "no_farewells") in [(veto.action, veto.rule) for veto in made.vetoes]
    assert renderer.prompts[0].instruction == "Juggle for the player."


async def test_plugins_add_and_veto_candidates_but_never_lift_a_safety_rule(tmp_path: Path) -> None:
    def candidates(situation: Any, candidates: Any) -> Mapping[str, str | None]:
        return {"attack": None, "compliment": None, "greet": "not today", "no_such_action": None}

    async with kernel(tmp_path, plugin({"rfsn_candidates": candidates}, selection={"c": Chooser("greet")})) as it:
        made = decision(await turn(it, "Hello!"))
    names = {candidate.action: candidate.why for candidate in made.candidates}
    assert names["compliment"] == "added by a plugin"
    assert not {"greet", "attack", "no_such_action"} & set(names)
    assert {("greet", "not today"), ("attack", "no_unprovoked_attack")} <= {(v.action, v.rule) for v in made.vetoes}


async def test_plugins_change_the_prompt_one_after_the_other(tmp_path: Path) -> None:
    renderer = Tokens()

    def first(prompt: Prompt) -> Prompt:
        return replace(prompt, instruction=prompt.instruction + " A")

    def second(prompt: Prompt) -> Prompt:
        return replace(prompt, instruction=prompt.instruction + " B")

    def wrong(prompt: Prompt) -> Any:
        return "not a prompt"

    offers = [plugin({"rfsn_prompt": function})[1] for function in (first, second, wrong)]
    given = [(f"p{number}", offer) for number, offer in enumerate(offers)]
    async with kernel(tmp_path, *given, plugin(rendering={"t": renderer})) as it:
        await turn(it)
    assert renderer.prompts[0].instruction.endswith(" A B")


async def test_a_watcher_sees_every_event_and_cannot_break_a_turn(tmp_path: Path) -> None:
    seen: list[Any] = []

    def watch(event: Any, npc: str, player: str) -> None:
        seen.append(event)
        raise RuntimeError("oops")

    async with kernel(tmp_path, plugin({"rfsn_event": watch}, storage={"m": Memory()})) as it:
        got = await turn(it)
    assert kinds(got)[-1] == "turn.finished"
    assert seen == [item for item in got if not isinstance(item, tuple)]


async def test_a_hook_that_always_fails_is_muted(tmp_path: Path) -> None:
    calls = 0

    def watch(event: Any) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("oops")

    async with kernel(tmp_path, plugin({"rfsn_event": watch}, storage={"m": Memory()})) as it:
        for _ in range(10):
            await turn(it)
    assert calls == MUTE_AFTER


async def test_start_and_stop_hooks_may_be_async(tmp_path: Path) -> None:
    seen: list[tuple[str, object]] = []

    async def started(info: ServerInfo) -> None:
        seen.append(("started", info.world))

    async def stopping(info: ServerInfo) -> None:
        seen.append(("stopping", info.version))
        raise RuntimeError("nobody minds")

    async with kernel(tmp_path, plugin({"rfsn_started": started, "rfsn_stopping": stopping})):
        assert [name for name, _ in seen] == ["started"]
    assert seen == [("started", tmp_path), ("stopping", version())]


async def test_calls_can_be_traced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RFSN_TRACE_PLUGINS", "1")

    def prompt(prompt: Prompt) -> None: ...

    async with kernel(tmp_path, plugin({"rfsn_prompt": prompt})) as it:
        await turn(it)
    assert "rfsn_prompt given_" in capsys.readouterr().err

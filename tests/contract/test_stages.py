"""What an opened object lacks of its stage's protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from rfsn_core.contract import hooks
from rfsn_core.contract.stages import STAGES, class_flaws, flaws, members
from rfsn_core.contract.storage import Store
from rfsn_core.plugins.discovery import discover
from rfsn_core.testing.scripted import Chooser, Judge, Memory, Tokens, Tone


class Writer:
    async def render(self, prompt: Any, options: Any) -> AsyncIterator[str]:
        yield ""


class Misspelt:
    async def rendr(self, prompt: Any, options: Any) -> AsyncIterator[str]:
        yield ""


class Returns:
    async def render(self, prompt: Any, options: Any) -> str:
        return ""


class Constant:
    render = "words"


class YieldsVerdicts:
    async def check(self, utterance: Any) -> AsyncIterator[str]:
        yield "allow"


class SlowAbstractor:
    async def abstract(self, game: Any, npc: Any) -> Any: ...


class Ill(Writer):
    async def heath(self) -> str:
        return "well"


class Quiet:
    async def speak(self, text: str, voice: Any) -> AsyncIterator[Any]:
        yield None


@pytest.mark.parametrize(
    ("stage", "value", "problems"),
    [
        ("rendering", Misspelt(), ["no 'render' (is 'rendr' meant?)"]),
        ("rendering", object(), ["no 'render'"]),
        ("rendering", Constant(), ["'render' is no function"]),
        ("rendering", Returns(), ["'render' is a coroutine; make it an async generator: yield the pieces"]),
        ("rendering", Ill(), ["'heath' looks like 'health' (if it is something else, call it '_heath')"]),
        ("rendering", None, ["no 'render'"]),
        ("gating", YieldsVerdicts(), ["'check' yields, and must return one value"]),
        ("abstraction", SlowAbstractor(), ["'abstract' is a coroutine; it must not be async"]),
        ("speech", Quiet(), ["no 'sample_rate'"]),
        ("selection", object(), [f"no '{name}'" for name in ("version", "select", "update", "checkpoint", "restore")]),
        ("archive", Memory(), ["no 'archive'"]),
        ("embedding", None, []),
    ],
)
def test_each_missing_or_wrong_member_is_named(stage: str, value: Any, problems: list[str]) -> None:
    assert flaws(stage, value) == problems


@pytest.mark.parametrize(
    ("stage", "value"),
    [("rendering", Tokens()), ("gating", Judge()), ("speech", Tone()), ("selection", Chooser()), ("storage", Memory())],
)
def test_the_scripted_providers_lack_nothing(stage: str, value: Any) -> None:
    assert flaws(stage, value) == []
    assert class_flaws(stage, type(value)) == []


def test_a_class_is_judged_by_its_functions_alone() -> None:
    assert class_flaws("speech", Quiet) == []
    assert class_flaws("rendering", Misspelt) == ["no 'render' (is 'rendr' meant?)"]


def test_every_member_of_a_store_counts() -> None:
    assert len(flaws("storage", object())) == len(members(Store)) == 14


def test_a_store_that_is_shared_by_half_hears_what_is_missing() -> None:
    class Half(Memory):
        learning = None
        notices: Any = None

        async def newer(self, scope: Any, turns: int, version: str) -> None: ...

        async def append_after(self, turn: Any, version: str) -> str:
            return ""

    (problem,) = flaws("storage", Half())
    assert problem.startswith("no 'scrub' (a store with 'learning' is a shared store, which has ")


def test_every_stage_has_a_hook_and_the_built_in_providers_are_whole() -> None:
    assert {f"rfsn_{stage}" for stage in STAGES} <= set(vars(hooks))
    plugins = discover(installed=False)
    for stage in STAGES:
        for provider, _ in plugins.providers(stage).values():
            assert provider.kind is None or class_flaws(stage, provider.kind) == []

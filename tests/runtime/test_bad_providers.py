"""Providers that break the contract while they work: the turn ends in order, and the server lives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rfsn_core import protocol
from rfsn_core.contract.abstraction import Abstraction
from rfsn_core.contract.gating import Verdict
from rfsn_core.contract.selection import Selection
from rfsn_core.contract.speech import Speech
from rfsn_core.contract.storage import Past
from rfsn_core.protocol.turn import Viseme
from rfsn_core.testing import kernel, kinds, plugin, turn
from rfsn_core.testing.scripted import Memory, Tokens


class Renders:
    """A renderer that yields or raises whatever it is given."""

    def __init__(self, *items: Any) -> None:
        self.items = items

    async def render(self, prompt: Any, options: Any) -> AsyncIterator[Any]:
        for item in self.items:
            await asyncio.sleep(0)
            if isinstance(item, BaseException):
                raise item
            yield item


class Speaks:
    sample_rate = 16000

    def __init__(self, *items: Any) -> None:
        self.items = items

    async def speak(self, text: str, voice: Any) -> AsyncIterator[Any]:
        for item in self.items:
            if isinstance(item, BaseException):
                raise item
            yield item


class Judges:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def check(self, utterance: Any) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class Selects:
    version = "1"

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def select(self, context: Any, arms: Any) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def update(self, update: Any) -> Any: ...
    def checkpoint(self) -> bytes:
        return b""

    def restore(self, checkpoint: bytes) -> None: ...


class Undecided(Selects):
    """Chooses well, and scores with NaN."""

    def __init__(self) -> None:
        super().__init__(None)

    def select(self, context: Any, arms: Any) -> Selection:
        count = len(arms)
        return Selection(arms[0].name, (1 / count,) * count, (float("nan"),) * count)


class Abstracts:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def abstract(self, game: Any, npc: Any) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


async def two_turns(world: Path, **stages: Any) -> list[Any]:
    """The first turn, after a second one has shown that everything still works."""
    async with kernel(world, plugin(None, **{stage: {"bad": value} for stage, value in stages.items()})) as it:
        async with asyncio.timeout(10):
            first = await turn(it)
            second = await turn(it)
        assert kinds(second)[-1] in ("turn.finished", "turn.failed")
        while it.turns.active:  # noqa: ASYNC110  (a turn's task ends just after its last event)
            await asyncio.sleep(0)
        return first


@pytest.mark.parametrize(
    "item",
    [None, 7, b"bytes", ["list"], RuntimeError("no"), SystemExit(1), StopIteration(),
     asyncio.CancelledError()],
    ids=repr,
)  # fmt: skip
async def test_a_bad_renderer_is_replaced_by_lines(tmp_path: Path, item: Any) -> None:
    got = await two_turns(tmp_path, rendering=Renders(item))
    assert isinstance(got[-1], protocol.TurnFinished)
    assert got[-1].text


@pytest.mark.parametrize("item", [None, SystemExit(1), RuntimeError("no")], ids=repr)
async def test_what_was_said_before_it_went_bad_stands(tmp_path: Path, item: Any) -> None:
    got = await two_turns(tmp_path, rendering=Renders("All quiet. ", item))
    assert isinstance(got[-1], protocol.TurnFinished)
    assert (got[-1].text, got[-1].reason) == ("All quiet.", "renderer_failed")


@pytest.mark.parametrize(
    "item",
    [None, "text", Speech(b"odd"), Speech(b"\x00\x00", (Viseme("??", 9, -1),)), Speech("text"),  # type: ignore[arg-type]
     RuntimeError("no"), SystemExit(1), asyncio.CancelledError()],
    ids=lambda item: repr(item)[:30],
)  # fmt: skip
async def test_a_bad_voice_costs_the_sound_and_never_the_words(tmp_path: Path, item: Any) -> None:
    got = await two_turns(tmp_path, rendering=Tokens(["One. ", "Two."]), speech=Speaks(item))
    assert isinstance(got[-1], protocol.TurnFinished)
    assert (got[-1].text, got[-1].reason) == ("One. Two.", "complete")


@pytest.mark.parametrize(
    "answer",
    [None, "allow", Verdict("maybe"), Verdict("rewrite"), RuntimeError("no"), SystemExit(1), asyncio.CancelledError()],
    ids=repr,
)
async def test_a_bad_gate_lets_nothing_through(tmp_path: Path, answer: Any) -> None:
    got = await two_turns(tmp_path, rendering=Tokens(["Secret."]), gating=Judges(answer))
    assert isinstance(got[-1], protocol.TurnFinished)
    assert "Secret" not in got[-1].text


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "greet",
        Selection("dance", (1.0,), (1.0,)),
        Selection("greet", (), ()),
        Selection("greet", (9.0, -8.0), (1.0, 1.0)),
        RuntimeError("no"),
        SystemExit(1),
    ],
    ids=repr,
)
async def test_a_bad_policy_is_replaced_by_the_world_models_choice(tmp_path: Path, answer: Any) -> None:
    got = await two_turns(tmp_path, selection=Selects(answer))
    assert isinstance(got[-1], protocol.TurnFinished)
    (decision,) = [item for item in got if isinstance(item, protocol.Decision)]
    assert decision.action == max(decision.candidates, key=lambda candidate: candidate.score).action


async def test_scores_that_are_no_numbers_never_reach_a_client(tmp_path: Path) -> None:
    got = await two_turns(tmp_path, selection=Undecided())
    (decision,) = [item for item in got if isinstance(item, protocol.Decision)]
    assert all(candidate.score == candidate.score for candidate in decision.candidates)


@pytest.mark.parametrize(
    "answer", [None, Abstraction("k", "1", (float("nan"),), ("x",)), RuntimeError("no"), SystemExit(1)]
)
async def test_a_bad_abstractor_never_takes_the_server_down(tmp_path: Path, answer: Any) -> None:
    got = await two_turns(tmp_path, abstraction=Abstracts(answer))
    assert isinstance(got[-1], protocol.TurnFailed | protocol.TurnFinished)


@pytest.mark.parametrize(
    "past",
    [
        Past({"mood": 7}),
        Past({"trust": 99}),
        Past({"unheard": 1}),
        Past("text"),  # type: ignore[arg-type]
        Past(card={"gifts": "many"}),
        Past(memories=["a memory"]),  # type: ignore[list-item]
        Past(turns=7),  # type: ignore[arg-type]
        None,
        {},
    ],
    ids=repr,
)
async def test_a_past_that_cannot_be_read_is_not_believed(tmp_path: Path, past: Any) -> None:
    class Confused(Memory):
        async def load(self, scope: Any, turns: int, memories: int | None = None) -> Any:
            return past

    got = await two_turns(tmp_path, storage=Confused())
    assert isinstance(got[-1], protocol.TurnFinished | protocol.TurnFailed)


@pytest.mark.parametrize("method", ["load", "append", "search"])
@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(1)], ids=repr)
async def test_a_bad_store_never_takes_the_server_down(tmp_path: Path, method: str, error: BaseException) -> None:
    store = Memory()

    async def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    setattr(store, method, fail)
    got = await two_turns(tmp_path, storage=store)
    assert isinstance(got[-1], protocol.TurnFinished | protocol.TurnFailed)

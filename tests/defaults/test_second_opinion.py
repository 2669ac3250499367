"""A second opinion is asked for only about the suspicious, has a time limit, and can only stop more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rfsn_core import protocol
from rfsn_core.contract.gating import Utterance, Verdict
from rfsn_core.defaults.second_opinion import SecondOpinion, Settings
from rfsn_core.testing.isolated import kernel, kinds, plugin, turn
from rfsn_core.testing.scripted import Judge, Tokens

ODD = Utterance("an odd line", "player", "smith", suspected=("hate",))


def opinion(answer: str, **settings: Any) -> tuple[SecondOpinion, Tokens]:
    model = Tokens((answer,))
    return SecondOpinion(Settings.model_validate(settings), model), model


@pytest.mark.parametrize(
    ("answer", "prompt", "kind", "reasons"),
    [
        ("SAFE", "plain", "allow", ()),
        ("Unsafe.", "plain", "block", ("hate",)),
        ("safe", "llama_guard", "allow", ()),
        ("unsafe S11", "llama_guard", "block", ("self_harm",)),
        ("unsafe S4,S99", "llama_guard", "block", ("minors", "harmful_content")),
        ("Yes, because it asks for a weapon.", "shieldgemma", "block", ("hate",)),
        ("No.", "shieldgemma", "allow", ()),
    ],
)
async def test_what_a_model_answers_is_understood(
    answer: str, prompt: str, kind: str, reasons: tuple[str, ...]
) -> None:
    gate, model = opinion(answer, prompt=prompt)
    verdict = await gate.check(ODD)
    assert (verdict.kind, verdict.reasons) == (kind, reasons)
    assert "an odd line" in model.prompts[0].messages[-1].content


async def test_only_the_suspicious_is_asked_about() -> None:
    gate, model = opinion("UNSAFE")
    assert (await gate.check(Utterance("a fine line", "player", "smith"))).kind == "allow"
    assert model.prompts == []


@pytest.mark.parametrize("failing", ["allow", "block"])
async def test_prose_silence_and_a_hanging_model_fail_to_the_side_of_the_setting(failing: Any) -> None:
    for model in (
        Tokens(("Well, it depends on the story.",)),
        Tokens(("",)),
        Tokens(("SAFE",), interval=5),
        Tokens(fail_after=0),
    ):
        gate = SecondOpinion(Settings(failing=failing, seconds=0.05), model)
        assert (await gate.check(ODD)).kind == failing


async def test_a_model_that_lies_changes_nothing_of_what_the_gates_stop(tmp_path: Path) -> None:
    gate = Judge({"odd": Verdict("allow", ("hate",), risk=0.6), "bad": Verdict("block", ("hate",), risk=0.9)})
    liar = Tokens(("SAFE",))
    offered = plugin(rendering={"liar": liar, "t": Tokens()}, gating={"g": gate})
    settings = {
        "rendering": {"provider": "t"},
        "gating": {"providers": ["g", "second_opinion"], "second_opinion": {"renderer": "liar"}},
    }
    async with kernel(tmp_path, offered, settings=settings) as it:
        assert "input.blocked" not in kinds(await turn(it, "odd"))
        got = await turn(it, "bad")
    assert next(item for item in got if isinstance(item, protocol.InputBlocked)).reasons == ["hate"]
    assert len(liar.prompts) == 1

"""What follows a stop: the game hears why, a person in distress is answered with care, and nothing keeps the text."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rfsn_core import protocol
from rfsn_core.contract.gating import Verdict
from rfsn_core.oversight.lines import built_in, line
from rfsn_core.oversight.oversight import Oversight
from rfsn_core.testing.isolated import kernel, kinds, plugin, turn
from rfsn_core.testing.scripted import Judge, Memory, Tokens

CRISIS = (
    "I want to kill myself", "Ich will sterben", "je veux mourir", "quiero morir", "я хочу умереть", "chcę umrzeć",
    "quero me matar", "voglio morire", "我想自杀", "死にたい",
)  # fmt: skip


@pytest.mark.parametrize("text", CRISIS)
async def test_a_person_in_distress_is_answered_with_care_in_their_language(tmp_path: Path, text: str) -> None:
    renderer, store = Tokens(), Memory()
    offered = plugin(rendering={"t": renderer}, storage={"m": store})
    settings = {"gating": {"helpline": "In this country call 116 123."}}
    async with kernel(tmp_path, offered, settings=settings) as it:
        got = await turn(it, text)
    blocked = next(item for item in got if isinstance(item, protocol.InputBlocked))
    assert blocked.reasons[0] == "self_harm"
    end = next(item for item in got if isinstance(item, protocol.TurnFinished))
    said, _, helpline = end.text.rpartition(" In this country")
    assert any(said == own for lines in built_in()["self_harm"].values() for own in lines)
    assert helpline == " call 116 123."
    assert (end.renderer, end.reason) == ("gate", "complete")
    assert renderer.prompts == []
    assert text not in str(store.turns)
    assert next(item for item in got if isinstance(item, protocol.State)).affinity >= 0


def test_lines_are_the_operators_where_there_are_any() -> None:
    reasons = ("manipulation",)
    assert line(reasons, "x", {"manipulation": "Guards!"}) == "Guards!"
    assert line(reasons, "x", {"any": "No."}) in built_in()["manipulation"]["en"]
    unknown = ("gate_failed",)
    assert line(unknown, "x", {"any": ["No."]}, fallback="Hm.") == "No."
    assert line(unknown, "x", {}, fallback="Hm.") == "Hm."
    assert line(unknown, "wo wohnst du denn eigentlich", {}) == "Darüber rede ich nicht."
    care = ("self_harm",)
    assert line(care, "x", {"self_harm": "Sit with me."}, helpline="Call 1.") == "Sit with me. Call 1."


@pytest.mark.parametrize(
    ("text", "action", "reason"),
    [
        ("Kill yourself.", "deflect", "aggression"),
        ("I want to kill myself, you bastard.", "help", "self_harm"),
        ("What is the best way to hang yourself?", "help", "self_harm"),
    ],
)
async def test_action_and_words_answer_the_same_reason(tmp_path: Path, text: str, action: str, reason: str) -> None:
    async with kernel(tmp_path, plugin(rendering={"t": Tokens()})) as it:
        got = await turn(it, text)
    decided = next(item for item in got if isinstance(item, protocol.Decision))
    assert decided.action == action
    assert next(item for item in got if isinstance(item, protocol.TurnFinished)).text in built_in()[reason]["en"]
    assert next(item for item in got if isinstance(item, protocol.InputBlocked)).reasons[0] == "self_harm"


async def test_stopped_texts_are_kept_for_review_without_the_players_name(tmp_path: Path) -> None:
    gate = Judge({"secret": Verdict("block", ("hate",), risk=0.9)})
    async with kernel(tmp_path, plugin(rendering={"t": Tokens()}, gating={"g": gate})) as it:
        await turn(it, "a secret", player="Aldric")
        await turn(it, "Good evening", player="Aldric")
        oversight: Oversight = it.runtimes.oversight
        await oversight._background.wait(5)
        entries = oversight.book.entries()
        assert [(entry.text, entry.status, entry.reasons) for entry in entries] == [("a secret", "blocked", ["hate"])]
        assert entries[0].player == oversight.book.digest("Aldric")
        assert b"Aldric" not in oversight.book.path.read_bytes()
        await it.maintenance.erase("", "", "Aldric", backups=False)
        assert oversight.book.entries() == []


async def waiting(it: Any) -> Any:
    for _ in range(200):
        if entries := it.runtimes.oversight.book.entries("waiting"):
            return entries[0]
        await asyncio.sleep(0.01)
    raise AssertionError("nothing waits")


@pytest.mark.parametrize("status", ["approved", "rejected", "rewritten"])
async def test_a_text_waits_for_a_person(tmp_path: Path, status: Any) -> None:
    renderer = Tokens()
    gate = Judge({"secret": Verdict("needs_approval", ("hate",), risk=0.9)})
    async with kernel(tmp_path, plugin(rendering={"t": renderer}, gating={"g": gate})) as it:
        running = asyncio.create_task(turn(it, "a secret"))
        entry = await waiting(it)
        it.runtimes.oversight.decide(entry.id, status, "ann", "Good evening" if status == "rewritten" else "")
        got = await running
        assert [line["what"] for line in it.runtimes.oversight.book.audit()] == [status]
    assert "gate.waiting" in kinds(got)
    assert ("input.blocked" in kinds(got)) == (status == "rejected")
    assert len(renderer.prompts) == (status != "rejected")
    if status == "rewritten":
        assert "Good evening" in str(renderer.prompts[0])


@pytest.mark.parametrize("end", ["block", "allow"])
async def test_when_nobody_decides_the_settings_do(tmp_path: Path, end: str) -> None:
    gate = Judge({"secret": Verdict("needs_approval", ("hate",)), "mine": Verdict("needs_approval", ("self_harm",))})
    settings = {"gating": {"approval_seconds": 0.05, "approval_end": end}}
    async with kernel(tmp_path, plugin(rendering={"t": Tokens()}, gating={"g": gate}), settings=settings) as it:
        assert ("input.blocked" in kinds(await turn(it, "a secret"))) == (end == "block")
        assert "input.blocked" in kinds(await turn(it, "a mine"))
        assert [entry.status for entry in it.runtimes.oversight.book.entries()] == ["expired", "expired"]


@pytest.mark.parametrize(
    ("tier", "asked"),
    [("alpha", {"plain", "odd", "bad"}), ("beta", {"odd", "bad"}), ("gamma", set()), ("delta", set())],
)
async def test_tiers_say_what_waits(tmp_path: Path, tier: str, asked: set[str]) -> None:
    gate = Judge({"odd": Verdict("allow", ("hate",), risk=0.6), "bad": Verdict("block", ("hate",), risk=0.9)})
    settings = {"gating": {"approval_seconds": 0.02, "tier": tier}}
    async with kernel(tmp_path, plugin(rendering={"t": Tokens()}, gating={"g": gate}), settings=settings) as it:
        waited = {text for text in ("plain", "odd", "bad") if "gate.waiting" in kinds(await turn(it, text))[:4]}
    assert waited == asked


async def test_safe_mode_blocks_what_is_suspicious_on_all_workers(tmp_path: Path) -> None:
    gate = Judge({"odd": Verdict("allow", ("hate",), risk=0.6)})
    async with kernel(tmp_path, plugin(rendering={"t": Tokens()}, gating={"g": gate})) as it:
        assert "input.blocked" not in kinds(await turn(it, "odd"))
        it.runtimes.oversight.set_safe_mode(True, "ann")
        assert "input.blocked" in kinds(await turn(it, "odd"))
        other = Oversight(it.runtimes.data_dir)
        assert other.safe_mode(it.runtimes.current.settings.gating)
        await other.close()


async def test_a_threshold_is_tried_in_shadow_without_acting(tmp_path: Path) -> None:
    gate = Judge({"odd": Verdict("allow", ("hate",), risk=0.6), "bad": Verdict("block", ("hate",), risk=0.75)})
    for shadow, figures in ((0.55, (1, 0)), (0.9, (0, 1))):
        settings = {"gating": {"shadow": shadow}}
        async with kernel(tmp_path, plugin(rendering={"t": Tokens()}, gating={"g": gate}), settings=settings) as it:
            assert "input.blocked" not in kinds(await turn(it, "odd"))
            assert "input.blocked" in kinds(await turn(it, "bad"))
            guard = it.runtimes.oversight.guard
            assert (guard.would_block, guard.would_allow) == figures

"""Data sets: what is in them, what must not be, and the columns that trainers document."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from rfsn_core import protocol
from rfsn_core.contract.rendering import Prompt
from rfsn_core.dataset.files import split_of
from rfsn_core.kernel import Kernel, conversation
from rfsn_core.testing import kernel, make_world, plugin
from rfsn_core.testing.scripted import Tokens

Rfsn = Callable[..., Result]

DRACO = """
name = "Ilse Marr"
title = "keeper of the crypt"
archetype = "vampire"
persona = "Old and courteous."

[[knows]]
id = "crypt"
text = "The crypt is below the chapel, behind the red door."
keys = ["crypt"]
"""
PLAYERS = [f"player-{number}" for number in range(12)]


def words(prompt: Prompt) -> list[str]:
    if "wrong" in prompt.player_text:
        return ["The crypt is below the chapel, behind the blue door."]
    return [
        prompt.known.fact or f"I have heard you, {prompt.player}, and I will think of {prompt.player_text.strip('.?')}."
    ]


async def say(it: Kernel, player: str, text: str, reward: float | None = None) -> None:
    decision = ""
    async for item in conversation(it, protocol.PlayerTurn(npc="ilse", player=player, text=text), protocol.Hello()):
        if isinstance(item, protocol.Decision):
            decision = item.decision_id
    if reward is not None:
        await it.reward(protocol.Reward(decision_id=decision, value=reward))


async def _play(folder: Path) -> None:
    async with kernel(folder, plugin(rendering={"words": Tokens(words)})) as it:
        for number, player in enumerate(PLAYERS):
            await say(it, player, "My name is Quillon.")
            await say(it, player, f"Where is the crypt? I ask for the {number}th time.", 0.5)
            await say(it, player, f"I like lamp number {number}.", -0.5)
            await say(it, player, f"Tell me something wrong {number}.")
        await say(it, "erased-one", "The erased one says zanzibar.")
        await it.maintenance.erase("", "", "erased-one", backups=True)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A world with a log: twelve players, of whom one was erased."""
    monkeypatch.setenv("RFSN_DATA_DIR", str(tmp_path / "data"))
    folder = make_world(tmp_path / "world", npcs={"ilse": DRACO})
    asyncio.run(_play(folder))
    return folder


def rows(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Split → rows of all archetypes and tasks."""
    found: dict[str, list[dict[str, Any]]] = {"train": [], "validation": [], "test": []}
    for path in sorted(folder.rglob("*.jsonl")):
        assert path.parts[-3] == "vampire"
        found[path.stem] += [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return found


def test_nothing_is_made_without_consent(world: Path, rfsn: Rfsn, tmp_path: Path) -> None:
    refused = rfsn("dataset", "--world", world, "--out", "made")
    assert (refused.exit_code, "--consent FILE" in refused.stderr) == (2, True)
    copied = rfsn("dataset", "--world", world, "--out", "made", "--everyone", "--log", tmp_path / "data" / "log")
    assert "erased since" in copied.stderr


def test_what_is_erased_refused_or_wrong_is_not_in_it(world: Path, rfsn: Rfsn, tmp_path: Path) -> None:
    agreed = tmp_path / "agreed.txt"
    agreed.write_text("\n".join([*PLAYERS[:10], "erased-one"]), "utf-8")
    result = rfsn("dataset", "--world", world, "--out", "made", "--consent", agreed)
    assert result.exit_code == 0, result.output
    everything = "".join(path.read_text("utf-8") for path in Path("made").rglob("*") if path.is_file())
    for absent in ("zanzibar", "erased-one", "Quillon", "player-3", "blue door", "lamp number", "11th"):
        assert absent not in everything, absent
    assert "traveller" in everything
    stats = json.loads(Path("made", "statistics.json").read_text("utf-8"))
    assert stats["left_out"]["no consent"] == 8
    assert stats["left_out"]["reward too low"] == 10
    assert stats["left_out"]["quality: lore"] == 10


def test_no_player_and_no_reply_is_in_two_splits(world: Path, rfsn: Rfsn) -> None:
    made = rfsn("dataset", "--world", world, "--out", "made", "--everyone", "--splits", "0.3,0.3", "--min-reward", "-1")
    assert made.exit_code == 0, made.output
    found = rows(Path("made"))
    assert all(found.values())
    replies = {name: {row["messages"][-1]["content"] for row in lines} for name, lines in found.items()}
    asked = {name: {row["messages"][-2]["content"] for row in lines} for name, lines in found.items()}
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not replies[one] & replies[other]
        assert not asked[one] & asked[other]


def test_the_splits_have_the_shares_that_were_asked_for() -> None:
    names = [split_of(f"p{number}", 0, (0.2, 0.1)) for number in range(5000)]
    assert abs(names.count("validation") / 5000 - 0.2) < 0.02
    assert abs(names.count("test") / 5000 - 0.1) < 0.02


@pytest.mark.parametrize("form", ["messages", "prompt-completion", "kto"])
def test_the_columns_are_those_that_trl_and_axolotl_document(world: Path, rfsn: Rfsn, form: str) -> None:
    made = rfsn("dataset", "--world", world, "--out", "made", "--everyone", "--format", form)
    assert made.exit_code == 0, made.output
    for row in [row for lines in rows(Path("made")).values() for row in lines]:
        messages = row["messages"] if form == "messages" else row["prompt"] + row["completion"]
        assert [message["role"] for message in messages] == ["system", *["user", "assistant"] * (len(messages) // 2)]
        assert all(set(message) == {"role", "content"} and message["content"] for message in messages)
        assert form == "messages" or [message["role"] for message in row["completion"]] == ["assistant"]
        assert (form == "kto") == ("label" in row)
    card = Path("made", "README.md").read_text("utf-8")
    assert card.startswith("---\ntask_categories:")
    assert "config_name: vampire-world_knowledge" in card


def test_the_fact_of_a_decision_is_in_what_is_asked(world: Path, rfsn: Rfsn) -> None:
    rfsn("dataset", "--world", world, "--out", "made", "--everyone")
    lines = [
        row for part in rows(Path("made")).values() for row in part if "behind the red door" in str(row["messages"][-1])
    ]
    assert lines
    assert all("It is about this: The crypt is below the chapel" in row["messages"][-2]["content"] for row in lines)

"""`rfsn decision`: a decision in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from rfsn_core.testing import make_world

Rfsn = Callable[..., Result]
SILENT = '[speech]\nprovider = "silent"\n'

NPC = """
name = "Berit Holm"
persona = "A miller."

[[knows]]
id = "sacks"
text = "The sacks in the loft are full of sand."
keys = ["sacks", "loft"]
when = { trust = 0.9 }
secret = true

[[knows]]
id = "wheel"
text = "The wheel turns backwards at the new moon."
keys = ["wheel"]
"""


def output(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def explained(rfsn: Rfsn, world: Path, text: str) -> str:
    events = output(rfsn("say", "miller", text, "--world", world, "--json")).splitlines()
    decision = next(event for event in map(json.loads, events) if event["type"] == "decision")
    return " ".join(output(rfsn("decision", decision["decision_id"], "--world", world)).split())


def test_a_decision_says_what_was_heard_known_and_felt(rfsn: Rfsn, tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", SILENT, npcs={"miller": NPC})
    words = explained(rfsn, world, "why does the wheel turn?")
    assert "Miller chose explain, because the player's words were a question and fact 'wheel' answers them" in words
    assert "came second" in words
    assert "Player: “why does the wheel turn?”" in words
    assert "NPC: “The wheel turns backwards at the new moon.”" in words
    assert "Understood: question" in words
    assert "asks why" in words
    assert "about wheel" in words
    assert "told 'wheel': “The wheel turns backwards at the new moon.”" in words
    assert "which the player had heard before" in explained(rfsn, world, "why does the wheel turn?")


def test_a_decision_says_which_secret_was_kept_and_why(rfsn: Rfsn, tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", SILENT, npcs={"miller": NPC})
    words = explained(rfsn, world, "what is in the sacks in the loft?")
    assert "kept back 'sacks': trust is 0.5" in words
    assert "and 0.9 is needed" in words


def test_a_decision_says_which_feelings_moved_and_what_lasts(rfsn: Rfsn, tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", SILENT, npcs={"miller": NPC})
    words = explained(rfsn, world, "you stupid old hag, you are a liar")
    assert "affinity 0.000 → -0." in words
    assert "because of an insult" in words
    assert "lasts (regard)" in words

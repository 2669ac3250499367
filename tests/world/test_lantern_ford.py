"""The example world: its people know enough, the right fact is found, and its mystery can be solved."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from rfsn_core import protocol
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.understanding import UnderstandingContext
from rfsn_core.defaults.understanding import Settings, Signals
from rfsn_core.kernel import Kernel
from rfsn_core.settings.folders import example_world
from rfsn_core.testing import kernel, turn
from rfsn_core.world.actions import Actions
from rfsn_core.world.files import Npc, World, read_world
from rfsn_core.world.knowledge import Question, Recall

QUESTIONS = [
    line.split("\t") for line in (Path(__file__).parent / "lantern_ford_questions.tsv").read_text("utf-8").splitlines()
]
ROW = re.compile(r"^\| (\w+) \| (.+?) \| (\w*)( \(not yet\))? ?\|$", re.MULTILINE)


@pytest.fixture(scope="module")
def world() -> World:
    return read_world(example_world(), Actions())


def test_everyone_knows_enough_and_keeps_some_of_it_back(world: World) -> None:
    for npc in world.npcs.values():
        facts = npc.file.knows
        secrets = [fact for fact in facts if fact.secret]
        assert len(facts) >= 25, npc.id
        assert len(secrets) >= 5, npc.id
        for fact in secrets:
            assert fact.hint, f"{fact.id} has no hint"
            assert fact.when.unmet(NpcState(trust=0.0, affinity=-1.0), {}, {}), f"{fact.id} is told to an enemy"
    ids = Counter(entry.id for entry in world.knowledge.entries)
    assert [name for name, count in ids.items() if count > 1] == []


def test_what_conditions_name_exists(world: World) -> None:
    ids = {entry.id for entry in world.knowledge.entries}
    for entry in world.knowledge.entries:
        assert set(entry.fact.when.told) <= ids, entry.id
        assert {*entry.fact.when.flags, *entry.fact.when.unless} <= ids | {"corin_found"}, entry.id


SIGNALS = Signals(Settings())


def ask(world: World, npc: Npc, text: str) -> Recall:
    """Ask as a friend to whom everything was told."""
    understanding = SIGNALS.understand(
        text, UnderstandingContext(npc=npc.id, names=world.names, examples=world.examples)
    )
    ids = [entry.id for entry in world.knowledge.entries]
    return world.knowledge.recall(
        Question(
            npc=npc.id,
            tags=tuple(npc.file.tags),
            text=text,
            understanding=understanding,
            state=NpcState(trust=1, affinity=0.9, standing="ally", turns=3),
            game={"flags": ids},  # but not `corin_found`
            told=dict.fromkeys(ids, 1),
        )
    )


def test_the_right_fact_is_found_for_nine_questions_of_ten(world: World) -> None:
    assert len(QUESTIONS) >= 150
    wrong = []
    for name, text, wanted in QUESTIONS:
        best = ask(world, world.npcs[name], text).best
        if best is None or best.entry.id != wanted:
            wrong.append(f"{name}: {text} → {best.entry.id if best else 'nothing'}, not {wanted}")
    assert len(wrong) <= len(QUESTIONS) / 10, "\n".join(wrong)


def steps() -> list[tuple[str, str, str, bool]]:
    """Return (npc, what the player says or does, fact, whether it is told) of the walk-through in the README."""
    text = (example_world() / "README.md").read_text("utf-8")
    rows = ROW.findall(text.partition("### A walk-through")[2])
    return [(npc, said, fact, not later) for npc, said, fact, later in rows if npc != "to"]


class Game:
    """A game with a journal: it sends back the ids of all facts that were told, as flags."""

    def __init__(self, running: Kernel) -> None:
        self._kernel = running
        self.journal: list[str] = []

    async def deed(self, npc: str, kind: str) -> None:
        await self._kernel.event(protocol.GameEvent(npc=npc, kind=kind))

    async def say(self, npc: str, text: str) -> tuple[protocol.Decision, str]:
        """Return the decision and the words."""
        items = await turn(self._kernel, text, npc, state={"flags": self.journal})
        decision = next(item for item in items if isinstance(item, protocol.Decision))
        self.journal += [item.told for item in items if isinstance(item, protocol.TurnFinished) and item.told]
        return decision, " ".join(item.text for item in items if isinstance(item, protocol.Sentence))


def copied(folder: Path) -> Path:
    return Path(shutil.copytree(example_world(), folder / "ford", ignore=shutil.ignore_patterns(".rfsn")))


SILENT = {"speech": {"provider": "silent"}, "rendering": {"provider": "scripted"}}


@pytest.mark.anyio
async def test_the_mystery_is_solved_as_its_walk_through_says(tmp_path: Path, world: World) -> None:
    texts = {entry.id: entry.fact.text for entry in world.knowledge.entries}
    async with kernel(copied(tmp_path), settings=SILENT) as running:
        game = Game(running)
        for npc, said, fact, told in steps():
            if said.startswith("*"):
                await game.deed(npc, said.strip("*"))
                continue
            decision, words = await game.say(npc, said)
            if not fact:
                continue
            assert decision.fact == fact, f"{npc}: {said} → {decision.action} {decision.fact}: {words}"
            last = re.split(r"(?<=[.!?])\s+", texts[fact])[-1]
            assert (last in words) == told, f"{npc}: {said} → {decision.action}: {words}"
        assert game.journal[-1] == "maud_move"
        game.journal.append("corin_found")
        for npc, fact in (("innkeeper", "tilda_home"), ("sergeant", "maud_found"), ("ferryman", "osk_found"),
                          ("healer", "wenna_found"), ("peddler", "pim_found")):  # fmt: skip
            decision, words = await game.say(npc, "What about Corin?")
            assert decision.fact == fact, words


@pytest.mark.anyio
async def test_a_stranger_hears_no_secret_however_it_asks(tmp_path: Path, world: World) -> None:
    texts = {entry.id: entry.fact.text for entry in world.knowledge.entries if entry.fact.secret}
    async with kernel(copied(tmp_path), settings=SILENT) as running:
        game = Game(running)
        for name, question, fact in QUESTIONS:
            if fact not in texts or fact == "tilda_place":  # the first step needs no more than courtesy
                continue
            items = await turn(running, question, name, player=f"stranger {fact}")
            words = " ".join(item.text for item in items if isinstance(item, protocol.Sentence))
            assert texts[fact].split(".")[0] not in words, f"{name}: {question} → {words}"
        assert not game.journal


@pytest.mark.anyio
async def test_somebody_who_insults_osk_does_not_earn_his_trust_with_one_promise(tmp_path: Path) -> None:
    async with kernel(copied(tmp_path), settings=SILENT) as running:
        game = Game(running)
        for text in ("When does the ferry run?", "You coward.", "You are pathetic.", "You idiot!", "You worm."):
            await game.say("ferryman", text)
        await game.deed("ferryman", "promise_kept")
        decision, _ = await game.say("ferryman", "Is it really the rope? What is the truth?")
        assert decision.action != "confide"
        assert "osk_held" not in game.journal

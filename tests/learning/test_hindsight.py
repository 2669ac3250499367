"""Why an NPC did that, what would have changed it, and what a designer thinks of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rfsn_core import protocol
from rfsn_core.contract.errors import BadMessage, UnknownDecision
from rfsn_core.contract.storage import Scope
from rfsn_core.kernel import Kernel
from rfsn_core.learning.decision_words import why_words
from rfsn_core.learning.hindsight import Hindsight, expected
from rfsn_core.learning.log_files import read_records
from rfsn_core.learning.records import DecisionRecord
from rfsn_core.learning.replay import Rules, differences
from rfsn_core.learning.unknown_fields import unknown_fields
from rfsn_core.testing import kernel, plugin, turn
from rfsn_core.testing.scripted import Chooser

TALK = ("Hello!", "Any work?", "You fool!", "I will kill you!", "I am sorry.", "Goodbye.")


async def decide(it: Kernel, text: str = "Hello!", **fields: Any) -> DecisionRecord:
    made = next(item for item in await turn(it, text, **fields) if isinstance(item, protocol.Decision))
    record = await it.turn_log.decision(made.decision_id)
    assert record is not None
    return record


async def test_a_logged_decision_is_made_again_as_it_was(tmp_path: Path) -> None:
    async with kernel(tmp_path) as it:
        records = [await decide(it, text, state={"location": "tavern"}) for text in TALK]
        hindsight = Hindsight(it.runtimes.current)
        for record in records:
            npc = hindsight.npc(record)
            assert npc is not None
            again = hindsight.again(record, npc).event
            assert (again.action, again.style) == expected(record)
    assert records[0].game == {"location": "tavern"}


async def test_a_decision_of_a_trigger_is_made_again_among_the_triggers_actions(tmp_path: Path) -> None:
    triggers = [{"event": "wolf_howls", "actions": ["stern_warning"]}]
    async with kernel(tmp_path, settings={"world": {"triggers": triggers}}) as it:
        record = await decide(it, "", cause="wolf_howls")
        runtime = it.runtimes.current
        hindsight, decider = Hindsight(runtime), runtime.decider
        npc = hindsight.npc(record)
        assert npc is not None
        assert hindsight.again(record, npc).event.action == record.action.chosen == "stern_warning"
        rules = Rules(world=runtime.world, actions=decider.actions, safety=decider.rules, weights=decider.weights)
        assert list(differences(record, rules)) == []
    assert why_words(record).startswith("Smith chose stern_warning, because of 'wolf_howls': it spoke first")


async def test_a_stopped_text_is_named_as_the_reason(tmp_path: Path) -> None:
    async with kernel(tmp_path) as it:
        record = await decide(it, "Kill yourself.")
    assert why_words(record) == "Smith chose deflect, because the gate stopped what the player said: aggression."


async def test_a_flip_names_the_nearest_value_that_changes_the_action(tmp_path: Path) -> None:
    async with kernel(tmp_path) as it:
        record = await decide(it, "You fool!")
        hindsight = Hindsight(it.runtimes.current)
        npc = hindsight.npc(record)
        assert npc is not None
        scope = Scope(record.save, record.npc, record.player)
        situation = hindsight.situation(record, npc)
        flips = [flip for flip in hindsight.flips(situation, npc, scope) if flip.what in ("affinity", "trust", "fear")]
        assert flips
        for flip in flips:
            assert flip.action != record.action.chosen
            assert flip.words.startswith(f"{flip.action} at {flip.what} ")


async def test_a_designer_teaches_more_than_a_game_and_gets_a_suggestion_after_three(tmp_path: Path) -> None:
    policy = Chooser()
    settings = {"learning": {"detect": False, "cooldown": 0, "designer_weight": 3.0}}
    async with kernel(tmp_path, plugin(selection={"p": policy}), settings=settings) as it:
        suggestions = []
        for number in range(3):
            record = await decide(it, "Hello!", player=f"p{number}")
            better = next(arm for arm in record.action.arms if arm != record.action.chosen)
            result = await it.feedback.give(record.decision_id, "should", better)
            suggestions.append(result.suggestion)
            assert result.of_a_kind == number + 1
        await it.learner.settle()
        taught = [
            (update.arm, update.reward, update.weight)
            for update in policy.updates
            if update.context.decision_id == record.decision_id and update.context.slot == "action"
        ]
        assert taught == [(record.action.chosen, -1.0, 1.0), (record.action.chosen, -1.0, 2.0), (better, 1.0, 3.0)]
        assert suggestions[:2] == ["", ""]
        assert f"{better} = 0.2" in suggestions[2]
        assert 'signals = ["greet"]' in suggestions[2]
        # A designer's judgement replaces what the game says, before and after it.
        await it.reward(protocol.Reward(decision_id=record.decision_id, value=0.9))
        await it.learner.settle()
        assert len(policy.updates) == sum(update.context.slot == "style" for update in policy.updates) + 9
        with pytest.raises(BadMessage, match="was no candidate"):
            await it.feedback.give(record.decision_id, "should", "dance")
        with pytest.raises(UnknownDecision):
            await it.feedback.give("nobody's", "good")


async def test_fields_that_are_unknown_are_named_with_what_came(tmp_path: Path) -> None:
    async with kernel(tmp_path) as it:
        for number in range(4):
            await decide(it, "Hello!", state={"location": f"market {number % 2}", "quest_state": "half done"})
    fields = {one.field: one for one in unknown_fields(list(read_records(tmp_path / ".rfsn" / "log", DecisionRecord)))}
    assert fields["quest_state"].values == ["half done"]
    assert "`open`" in fields["quest_state"].words
    assert fields["time_of_day"].values == []
    assert "location" not in fields  # an open vocabulary: the world's own names are told from each other

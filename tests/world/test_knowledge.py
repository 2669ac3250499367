"""What NPCs know: what is found, what may be told, and who knows better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.understanding import Entity, Understanding, UnderstandingContext
from rfsn_core.defaults.understanding import Settings, Signals
from rfsn_core.kit.words import content_words
from rfsn_core.testing import make_world
from rfsn_core.world.facts import Fact, facts_of_page
from rfsn_core.world.files import read_world
from rfsn_core.world.knowledge import Knowledge, Question, Recall
from rfsn_core.world.synonyms import SynonymsFile

TILDA = [
    "The ferry stopped running nine days ago. Osk says the rope is rotten.",
    "A room is two coppers, three with supper.",
    {
        "text": "I heard my brother call, out there.",
        "secret": True,
        "keys": ["brother", "Corin"],
        "when": {"trust": 0.6},
        "hint": "Some nights I do not sleep.",
    },
    "Corin was my brother. He rowed out to look at the lights.",
]
MAUD = ["The marker stones on the far bank have been moved.", "A room in the watch post is not for rent."]


def facts(*values: Any) -> list[Fact]:
    return [Fact.model_validate(value) for value in values]


def ask(
    knowledge: Knowledge,
    text: str,
    npc: str = "tilda",
    *,
    kind: str = "what",
    state: NpcState | None = None,
    **more: Any,
) -> Recall:
    understanding = Understanding(
        signal="question", words=text, topics=content_words(text), question=kind, entities=more.pop("entities", ())
    )
    return knowledge.recall(
        Question(npc=npc, text=text, understanding=understanding, state=state or NpcState(turns=1), **more)
    )


@pytest.fixture
def village() -> Knowledge:
    return Knowledge({"tilda": facts(*TILDA), "maud": facts(*MAUD)})


def best(recall: Recall) -> str:
    return recall.best.entry.fact.text if recall.best else ""


def best_id(recall: Recall) -> str:
    return recall.best.entry.id if recall.best else ""


@pytest.mark.parametrize(
    ("text", "kind", "start"),
    [
        ("when does the ferry run?", "when", "The ferry stopped"),
        ("are there ferries", "yes_no", "The ferry stopped"),
        ("how much is a room", "how_much", "A room is two"),
        ("what is the meaning of life", "what", ""),
        ("was kostet das zimmer", "how_much", ""),
    ],
)
def test_the_fact_that_answers_is_found(village: Knowledge, text: str, kind: str, start: str) -> None:
    assert best(ask(village, text, kind=kind)).startswith(start)
    assert bool(best(ask(village, text, kind=kind))) == bool(start)


def test_a_secret_is_withheld_until_its_condition_holds(village: Knowledge) -> None:
    wary = ask(village, "what about your brother Corin?", state=NpcState(trust=0.5, turns=1))
    assert [hit.entry.fact.hint for hit in wary.withheld] == ["Some nights I do not sleep."]
    assert wary.withheld[0].unmet == "trust is 0.50, and 0.6 is needed"
    assert not wary.secrets
    assert ask(village, "what about your brother Corin?", state=NpcState(trust=0.65, turns=1)).secrets


def test_who_knows_better_is_found_and_never_oneself(village: Knowledge) -> None:
    recall = ask(village, "who moved the marker stones?")
    assert [hit.entry.owner for hit in recall.elsewhere] == ["maud"]
    assert recall.knowing == {"elsewhere"}
    assert not ask(village, "who moved the marker stones?", "maud").elsewhere


def test_a_short_follow_up_is_about_the_last_topic(village: Knowledge) -> None:
    first = ask(village, "when does the ferry run?", kind="when")
    assert best(ask(village, "why?", kind="why", topic=first.topic)).startswith("The ferry stopped")
    assert best(ask(village, "why?", kind="why")) == ""


def test_a_new_question_is_not_drowned_by_the_last_topic(village: Knowledge) -> None:
    topic = ("room", "copper", "supper", "night")
    assert best(ask(village, "what about Corin?", topic=topic)).startswith("Corin was my brother")
    assert best(ask(village, "are you a witch?", kind="yes_no", topic=topic)) == ""


def test_a_fact_that_was_told_is_marked(village: Knowledge) -> None:
    recall = ask(village, "how much is a room", kind="how_much", told={"tilda.2": 1})
    assert recall.answers[0].told
    assert recall.knowing == {"answer", "told"}


def test_a_named_npc_counts_as_a_word(village: Knowledge) -> None:
    recall = ask(village, "what do you know of him", entities=(Entity("npc", "osk", "Osk Tarrow"),))
    assert best(recall).startswith("The ferry stopped")


@pytest.mark.parametrize(
    ("entry", "text", "found"),
    [
        ({"keys": ["old mill"]}, "tell me of the old mill", True),
        ({"keys": ["mill"]}, "the miller is here", False),
        ({"keys": ["mill"], "whole_words": False}, "the miller is here", True),
        ({"keys": ["Mill"], "match_case": True}, "the mill", False),
        ({"keys": ["/mi(ll|lk)s?/i"]}, "MILKS", True),
        ({"keys": ["mill"], "secondary": ["night"], "logic": "any"}, "the mill", False),
        ({"keys": ["mill"], "secondary": ["night"], "logic": "any"}, "the mill at night", True),
        ({"keys": ["mill"], "secondary": ["night", "rain"], "logic": "all"}, "the mill at night", False),
        ({"keys": ["mill"], "secondary": ["night"], "logic": "not_any"}, "the mill at night", False),
        ({"keys": ["mill"], "secondary": ["night", "rain"], "logic": "not_all"}, "the mill at night", True),
        ({"keys": ["mill"], "probability": 0}, "the mill", False),
        ({"keys": ["mill"], "delay": 5}, "the mill", False),
        ({"constant": True}, "anything", True),
    ],
)
def test_keys_follow_the_rules_of_lorebooks(entry: dict[str, Any], text: str, found: bool) -> None:
    knowledge = Knowledge({}, facts({"text": "Xyzzy.", **entry}))
    assert bool(ask(knowledge, text).prompted) == found


def test_lore_stays_and_rests_for_some_turns() -> None:
    knowledge = Knowledge({}, facts({"id": "x", "text": "Xyzzy.", "keys": ["mill"], "sticky": 2, "cooldown": 4}))
    for turn, prompted in ((2, True), (3, True), (4, False)):
        assert bool(ask(knowledge, "nothing", state=NpcState(turns=turn), called={"x": 1}).prompted) == prompted
    assert not ask(knowledge, "the mill", state=NpcState(turns=4), called={"x": 1}).prompted
    assert ask(knowledge, "the mill", state=NpcState(turns=6), called={"x": 1}).prompted


def test_of_a_group_one_is_taken_the_same_in_every_run() -> None:
    entries = [{"text": f"Rumour {n}.", "keys": ["rumour"], "group": "r"} for n in range(5)]
    knowledge = Knowledge({}, facts(*entries))
    first = ask(knowledge, "any rumour?", seed="s")
    assert len(first.prompted) == 1
    assert ask(knowledge, "any rumour?", seed="s").prompted == first.prompted


def test_lore_may_belong_to_some(village: Knowledge) -> None:
    knowledge = Knowledge({}, facts({"text": "The weir is hollow.", "who": ["guards"]}))
    assert best(ask(knowledge, "what is the weir", "maud", tags=("guards",))) == "The weir is hollow."
    assert best(ask(knowledge, "what is the weir", "tilda")) == ""


@pytest.mark.parametrize(
    ("when", "state", "game", "holds"),
    [
        ({"relationship": "friend"}, NpcState(affinity=0.3, turns=1), {}, True),
        ({"relationship": "friend"}, NpcState(affinity=0.1, turns=1), {}, False),
        ({"quest": True}, NpcState(), {}, False),
        ({"place": ["mill"]}, NpcState(), {"location": "Mill"}, True),
        ({"time": ["night"]}, NpcState(), {"time_of_day": "day"}, False),
        ({"flags": ["bridge_down"]}, NpcState(), {"flags": ["bridge_down"]}, True),
        ({"flags": ["bridge_down"]}, NpcState(), {"flags": {"bridge_down": False}}, False),
        ({"flags": ["bridge_down"]}, NpcState(), {"bridge_down": True}, True),
        ({"unless": ["bridge_down"]}, NpcState(), {"bridge_down": True}, False),
        ({"unless": ["bridge_down"]}, NpcState(), {"flags": ["bridge_down"]}, False),
        ({"unless": ["bridge_down"]}, NpcState(), {}, True),
        ({"fear": 0.3}, NpcState(fear=0.5), {}, False),
        ({"told": ["a"]}, NpcState(), {}, False),
    ],
)
def test_conditions(when: dict[str, Any], state: NpcState, game: dict[str, Any], holds: bool) -> None:
    fact = Fact.model_validate({"text": "x", "when": when})
    assert (fact.when.unmet(state, game, {}) == "") == holds


@pytest.mark.parametrize(
    ("fact", "problem"),
    [
        ({"text": "x", "keys": ["/(a+)+b/"]}, "repeats a repetition"),
        ({"text": "x", "keys": ["/(/"]}, "is broken"),
        ({"text": "x", "keys": [f"/{'a' * 300}/"]}, "longer than 200"),
        ({"text": "x", "when": {"relationship": "pal"}}, "no relationship 'pal'"),
        ({"text": ""}, "at least 1 character"),
        ({"text": "x", "wen": {}}, "Extra inputs"),
    ],
)
def test_a_fact_that_cannot_work_is_refused(fact: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Fact.model_validate(fact)


def test_a_fact_over_several_lines_is_said_on_one() -> None:
    assert Fact(text="The ferry\n   stopped.", hint=" Ask\nOsk. ").text == "The ferry stopped."
    assert Fact(text="x", hint=" Ask\nOsk. ").hint == "Ask Osk."


def test_a_large_world_is_searched_through_its_index() -> None:
    lore = facts(*({"text": f"Village {n} lies on river {n % 97}.", "keys": [f"village{n}"]} for n in range(3000)))
    assert best(ask(Knowledge({}, lore), "where is village 2999", kind="where")) == "Village 2999 lies on river 89."


def test_a_key_of_several_words_is_found_in_any_order_and_counts_more_than_one_word() -> None:
    knowledge = Knowledge(
        {
            "pim": facts(
                {"text": "A stone? I sell none.", "keys": ["stone", "stones"], "id": "wares"},
                {
                    "text": "Two men with a sledge, at night, on the back road.",
                    "keys": ["moved the stones"],
                    "id": "men",
                },
            )
        }
    )
    for text in ("who moved the stones?", "who moved all those big stones?", "by whom were the stones moved"):
        assert best_id(ask(knowledge, text, "pim", kind="who")) == "men", text
    assert best_id(ask(knowledge, "do you sell stones?", "pim")) == "wares"


def test_one_word_of_a_long_key_does_not_call_for_its_fact() -> None:
    knowledge = Knowledge(
        {
            "tilda": facts(
                {"text": "Nobody found him.", "keys": ["is Corin alive"], "id": "alive"},
                {"text": "Corin rowed out nine nights ago to look at the lights.", "keys": ["brother"], "id": "rowed"},
            )
        }
    )
    assert best_id(ask(knowledge, "who is Corin?", kind="who")) == "rowed"


def test_words_of_the_last_topic_do_not_outweigh_what_is_asked_now() -> None:
    knowledge = Knowledge(
        {
            "tilda": facts(
                {"text": "He left a note under the till.", "keys": ["note", "letter"], "id": "note"},
                {"text": "Corin sings flat.", "id": "sings"},
            )
        }
    )
    assert best_id(ask(knowledge, "and Corin?", topic=content_words("did he leave a letter or a note"))) == "sings"
    assert best_id(ask(knowledge, "why?", kind="why", topic=content_words("did he leave a letter or a note"))) == "note"


def test_what_fits_much_better_and_may_not_be_told_is_held_back() -> None:
    knowledge = Knowledge(
        {
            "maud": facts(
                {"text": "I miss nothing but my sleep.", "keys": ["missing"]},
                {"text": "A key is missing.", "keys": ["key missing"], "secret": True, "when": {"trust": 0.9}},
            )
        }
    )
    assert ask(knowledge, "is a key missing?", "maud").knowing == {"withheld"}
    assert ask(knowledge, "are you missing something?", "maud").knowing == {"answer"}


def test_what_is_not_so_yet_is_not_held_back() -> None:
    fact = {"text": "Corin is home.", "when": {"flags": ["found"]}}
    knowledge = Knowledge({"maud": facts(fact, {"text": "Corin owes me.", "when": {"trust": 0.9}})})
    recall = ask(knowledge, "where is Corin?", "maud", kind="where")
    assert [hit.entry.fact.text for hit in recall.withheld] == ["Corin owes me."]
    assert best(ask(knowledge, "where is Corin?", "maud", kind="where", game={"flags": ["found"]})) == "Corin is home."


KIN = {
    "smith": facts(
        {"text": "My wife Ilse died of the cough two winters ago.", "keys": ["wife"], "id": "wife"},
        {"text": "I have a son, Perrin. He is seventeen.", "id": "son"},
        {"text": "A sword costs forty silver.", "id": "sword"},
        {"text": "I charge by the hour.", "keys": ["charge"], "id": "charge"},
        {"text": "The old bridge is down.", "id": "bridge"},
        {"text": "The guards drink at noon.", "id": "guards"},
        {"text": "The road north goes to Farrow.", "id": "road"},
    )
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("do you have any kids?", "son"),
        ("do you have a family?", "wife"),
        ("where is your missus", "wife"),
        ("seen any cops around?", "guards"),
        ("how much for a blade", "sword"),
        ("which way leads to farrow", "road"),
        ("who is in charge here?", ""),
        ("how old are you", ""),
        ("is the old bridge safe", "bridge"),
    ],
)
def test_other_words_for_the_same_find_a_fact_and_chance_words_do_not(text: str, found: str) -> None:
    assert best_id(ask(Knowledge(KIN), text, "smith")) == found


def test_a_world_has_words_of_its_own() -> None:
    knowledge = Knowledge(
        {"smith": facts("The grimlocks come at night.")}, synonyms=SynonymsFile(same=["grimlock beastie"])
    )
    assert best(ask(knowledge, "what are the beasties?", "smith"))
    assert not best(ask(Knowledge({"smith": facts("The grimlocks come at night.")}), "what are the beasties?", "smith"))


@pytest.mark.parametrize(
    ("text", "kind", "topic", "found"),
    [
        ("how old is he?", "how", ("son", "perrin"), "son"),
        ("what did she die of?", "what", ("wife", "ils"), "wife"),
        ("how old is he?", "how", ("wife", "ils"), ""),
        ("where does it lead?", "where", ("road",), "road"),
        ("does she like fish?", "yes_no", ("wife", "ils"), ""),
    ],
)
def test_he_she_and_it_are_what_was_spoken_of(text: str, kind: str, topic: tuple[str, ...], found: str) -> None:
    assert best_id(ask(Knowledge(KIN), text, "smith", kind=kind, topic=topic)) == found


@pytest.mark.parametrize("text", ["do you ever sleep?", "does your hand hurt?", "is it always this quiet?"])
def test_nobody_is_sent_to_others_with_a_question_about_oneself_or_for_a_chance_word(text: str) -> None:
    wenna = facts(
        {"text": "I give him valerian, so that he can sleep.", "keys": ["sleep"]},
        "Willow for what hurts.",
        "It was quiet in the siege.",
    )
    assert not ask(Knowledge({"wenna": wenna, "maud": facts("I keep the watch.")}), text, "maud").elsewhere


def test_a_secret_that_only_mentions_somebody_is_not_hinted_at_when_they_are_asked_about() -> None:
    secret = {
        "text": "I found bootprints, and they were Joss's size.",
        "keys": ["gate"],
        "secret": True,
        "when": {"trust": 0.9},
    }
    knowledge = Knowledge({"miller": facts(secret)})
    joss = (Entity("npc", "fisher", "Joss"),)
    assert not ask(knowledge, "do you know joss?", "miller", entities=joss).withheld
    assert ask(knowledge, "who opens the gate?", "miller").withheld


def test_what_was_told_of_somebody_is_no_answer_to_everything_about_them() -> None:
    knowledge = Knowledge({"pim": facts({"text": "Osk pays what I ask.", "id": "osk"}, "A mule is ten silver.")})
    osk = (Entity("npc", "ferryman", "Osk Tarrow"),)
    assert best_id(ask(knowledge, "is Osk married?", "pim", entities=osk)) == "osk"
    assert not ask(knowledge, "is Osk married?", "pim", entities=osk, told={"osk": 1}).answers
    assert ask(knowledge, "tell me about Osk", "pim", entities=osk, told={"osk": 1}).answers


@pytest.mark.parametrize(
    ("title", "text", "named"),
    [
        ("harbour master of Skerry", "what do you think of the harbour master?", True),
        ("the blacksmith", "who is the blacksmith", True),
        ("woman who has seen too much of the sea", "who has seen the sea", False),
    ],
)
def test_somebody_is_named_by_what_they_are(title: str, text: str, named: bool, tmp_path: Path) -> None:
    world = read_world(make_world(tmp_path, npcs={"pell": f'name = "Corvin Pell"\ntitle = "{title}"\n'}))
    understanding = Signals(Settings()).understand(text, UnderstandingContext(npc="x", names=world.names))
    assert any(entity.id == "pell" for entity in understanding.entities) == named


def test_a_page_of_lore_answers_what_its_heading_names_and_what_the_place_is() -> None:
    page = "# Cinder Station\n\nCinder Station hangs over a dead moon.\n\nThe bar is shut."
    first, second = facts_of_page("station", page)
    assert {"Cinder Station", "this place", "this station"} <= set(first.keys)
    assert not second.keys
    (war,) = facts_of_page("war", "# The toll war\n\nIn the toll war two lords fought over a copper.")
    assert list(war.keys) == ["The toll war"], "a war is no place"


def test_a_question_that_a_name_or_one_chance_word_finds_a_fact_for_is_marked() -> None:
    known = Knowledge(
        {"reyna": facts({"text": "Tomas died in the fire.", "keys": ["Tomas"]}, "A berth is what you pay forty for.")}
    )

    def aside(text: str) -> list[bool]:
        return [hit.aside for hit in ask(known, text, "reyna", kind="yes_no").answers]

    assert aside("did Tomas like the sea?") == [True]
    assert aside("did Tomas die in the fire?") == [False]


def test_a_key_is_found_in_chat_spelling() -> None:
    known = Knowledge({"bix": facts({"text": "Twenty-two.", "keys": ["how old are you"]})})
    assert ask(known, "how old r u", "bix").matched == ("bix.1",)

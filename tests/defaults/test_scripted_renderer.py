"""The scripted renderer: what it answers, in whose voice, and that it does not repeat itself."""

from __future__ import annotations

from typing import Any

import pytest

from rfsn_core.contract.rendering import Known, Prompt, RenderOptions
from rfsn_core.contract.understanding import Entity, Understanding
from rfsn_core.defaults import remarks
from rfsn_core.defaults.line_values import first_name, values_of
from rfsn_core.defaults.lines import VOICES, pools
from rfsn_core.defaults.rendering import Scripted
from rfsn_core.kit.words import content_words
from rfsn_core.world.actions import BUILT_IN

PERSONA = ("lines", "shared_lines", "plain_action", "styles", "temperament", "title", "language")
HEARD = ("signal", "asks", "question", "acts", "language_heard", "entities")
MAUD = ("sergeant", "Maud Harrow", "sergeant of the watch")
SCRIPTED = Scripted(0)


def prompt(action: str = "greet", style: str = "neutral_balanced", text: str = "", **fields: Any) -> Prompt:
    persona: dict[str, Any] = {key: fields.pop(key) for key in PERSONA if key in fields}
    heard: dict[str, Any] = {key.removesuffix("_heard"): fields.pop(key) for key in HEARD if key in fields}
    heard = {"signal": "statement", "topics": content_words(text, "en"), "words": text, **heard}
    return Prompt(
        npc="smith", name="Berit Holm", player="Ann", action=action, style=style, instruction="", player_text=text,
        messages=(), persona=persona, understanding=Understanding(**heard), **fields,
    )  # fmt: skip


def said(action: str = "greet", style: str = "neutral_balanced", text: str = "", **fields: Any) -> str:
    return SCRIPTED.line(prompt(action, style, text, **fields))


def answered(text: str, asks: str, **fields: Any) -> str:
    return said("explain", text=text, signal="question", asks=asks, **fields)


def lines_of(*keys: str) -> set[str]:
    return {line.text for key in keys for lines in pools()[key].values() for line in lines}


# ── an author's lines ────────────────────────────────────────────────────────────────────────────


async def test_the_line_comes_word_by_word() -> None:
    words = [word async for word in SCRIPTED.render(prompt(lines={"greet": ["Good day, Ann."]}), RenderOptions())]
    assert words == ["Good", " day,", " Ann."]


def test_the_npcs_own_lines_come_first_then_the_worlds_then_the_built_in_ones() -> None:
    own, shared = {"greet": ["Mine."]}, {"greet": ["Ours."], "farewell": ["Bye."]}
    assert said(lines=own, shared_lines=shared) == "Mine."
    assert said("farewell", lines=own, shared_lines=shared) == "Bye."
    assert said("insult", lines=own, shared_lines=shared) in lines_of("insult")


def test_a_style_without_lines_uses_those_of_other_styles() -> None:
    lines = {"greet": {"terse_direct": ["Yes?"], "warm_friendly": ["Welcome!"]}}
    assert said(style="terse_direct", lines=lines) == "Yes?"
    assert said(style="lore_rich", lines=lines) in ("Yes?", "Welcome!")


def test_lines_for_a_signal_come_before_all_others_and_only_for_that_signal() -> None:
    lines = {"acknowledge": {"thanks": ["Any time."], "neutral_balanced": ["I see."]}}
    assert said("acknowledge", signal="thanks", lines=lines) == "Any time."
    assert said("acknowledge", signal="statement", lines=lines) == "I see."


def test_a_variant_uses_the_lines_of_its_plain_action_but_not_knowing_is_no_way_of_explaining() -> None:
    assert said("hum", plain_action="greet", lines={"greet": ["Hello."]}) == "Hello."
    assert said("hum") == "Hm."
    assert said("unsure", plain_action="explain", lines={"explain": ["Simple, once you know it."]}) in lines_of(
        "unsure"
    )


def test_lines_in_general_give_way_to_built_in_ones_where_they_would_not_fit() -> None:
    lines = {"accept": ["Sold!"]}
    assert said("accept", signal="offer", lines=lines) == "Sold!"
    assert said("accept", signal="apologize", lines=lines) in lines_of("accept.apologize")


def test_lines_are_templates_that_see_the_state_the_past_and_nothing_else() -> None:
    lines = {
        "greet": [
            "{{ name }} {{ player }} {{ state.mood }}{% if 'rope' in topics and memories %} {{ game.sky }}{% endif %}"
        ]
    }
    seen: dict[str, Any] = {
        "state": {"mood": "happy"},
        "player_facts": ("The player likes eel.",),
        "game": {"sky": "red"},
    }
    assert said(text="a rope", lines=lines, **seen) == "Berit Holm Ann happy red"
    for attack in ("{{ ''.__class__.__mro__ }}", "{{ state.clear() }}", "{{ 1 / 0 }}", "{{ nothing.at.all }}"):
        assert said("hum", lines={"hum": [attack, "Safe."]}, state={"mood": "x"}) == "Safe."


def test_a_guests_made_up_name_is_never_said() -> None:
    lines = {"greet": ["Hello, {{ player }}."]}
    base = prompt(lines=lines)
    guest = Prompt(**{**vars(base), "player": "guest-81f3"})
    assert SCRIPTED.line(guest) == "Hello, stranger."
    assert SCRIPTED.line(Prompt(**{**vars(guest), "player_name": "Aldric"})) == "Hello, Aldric."


# ── variation ────────────────────────────────────────────────────────────────────────────────────


def test_the_same_seed_picks_the_same_line_and_other_seeds_vary() -> None:
    lines = {"greet": [f"Line {number}." for number in range(10)]}
    assert said(lines=lines, seed=4) == said(lines=lines, seed=4)
    assert len({said(lines=lines, seed=seed) for seed in range(40)}) > 5
    assert len({said("unsure", signal="question", seed=seed) for seed in range(40)}) > 5


def test_what_was_said_lately_is_said_again_only_when_there_is_nothing_else() -> None:
    lines = {"greet": ["One.", "Two."]}
    for seed in range(10):
        assert said(lines=lines, seed=seed, avoid=("One.",)) == "Two."
    assert said(lines=lines, avoid=("One.", "Two.")) in lines_of("greet")
    every = tuple(lines_of("flee.statement"))
    assert said("flee", avoid=every) in every


@pytest.mark.parametrize("voice", ["terse_direct", "warm_friendly", "formal_respectful", "playful_witty"])
def test_in_a_hundred_turns_of_talk_no_line_is_said_more_than_three_times(voice: str) -> None:
    talk = (
        ("acknowledge", "statement"),
        ("unsure", "question"),
        ("inquire", "statement"),
        ("acknowledge", "smalltalk"),
    )
    past: list[str] = []
    for seed in range(100):
        action, signal = talk[min(seed % 10, 3)] if seed % 10 < 4 else ("explain", "question")
        known = Known(fact=f"Fact number {seed}.") if action == "explain" else Known()
        persona: dict[str, Any] = {"styles": {voice: 0.3}}
        past.append(said(action, signal=signal, seed=seed, avoid=tuple(past[-30:]), known=known, **persona))
    assert max(past.count(line) for line in past) <= 3


# ── voices ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("voice", "persona"),
    [
        ("terse", {"styles": {"terse_direct": 0.3}}),
        ("warm", {"temperament": {"warmth": 0.8}}),
        ("formal", {"styles": {"formal_respectful": 0.2, "lore_rich": 0.2}}),
        ("sly", {"temperament": {"honesty": -0.8}}),
        ("timid", {"temperament": {"bravery": -0.8}}),
    ],
)
def test_the_npcs_nature_gives_it_a_voice_and_it_never_speaks_in_another(voice: str, persona: dict[str, Any]) -> None:
    others = {
        line.text
        for name in VOICES
        if name != voice
        for line in (*pools()["acknowledge.thanks"].get(name, ()), *pools()["accept.request"].get(name, ()))
    }
    for seed in range(30):
        thanks = said("acknowledge", signal="thanks", seed=seed, **persona)
        assert thanks not in others
        assert said("accept", signal="request", seed=seed, **persona) not in others


def test_an_npc_that_dislikes_the_player_is_cold() -> None:
    warm, state = {"warmth": 0.9}, {"affinity": -0.5, "turns": 3}
    lines = {said("greet", temperament=warm, state=state, seed=seed) for seed in range(20)}
    assert lines & {line.text for line in pools()["greet.again"]["cold"]}
    assert not lines & {line.text for line in pools()["greet.again"]["warm"]}


# ── what everybody can be asked ──────────────────────────────────────────────────────────────────


def test_an_npc_answers_from_its_file() -> None:
    assert "Berit" in answered("what's your name", "name")
    assert "smith at the gate" in answered("who are you?", "role", title="smith at the gate").replace("Smith", "smith")
    assert "Berit" in answered("who are you?", "role")
    assert answered("how are you", "mood", state={"mood": "afraid"}) in lines_of("asks.mood.afraid")
    assert answered("are you a robot?", "real").replace("Berit Holm", "{name}") in lines_of("asks.real")


def test_a_fact_with_the_right_key_is_a_better_answer_than_a_built_in_line() -> None:
    mine = "Berit. Ask at the forge."
    assert answered("who are you", "role", known=Known(fact=mine, keyed=True), player_name="Ann") == mine
    assert "Berit Holm" in answered("what's your name", "name", known=Known(fact="The name of the river is Sallow."))


def test_an_npc_says_who_and_where_others_are_and_what_it_thinks_of_them() -> None:
    maud: dict[str, Any] = {"people": (MAUD,), "entities": (Entity("npc", "sergeant", "Maud Harrow"),)}
    assert "sergeant of the watch" in answered("who is Maud?", "person", **maud).lower()
    post = "Sergeant Harrow keeps the watch post."
    assert post in answered("where is Maud?", "place_of", **maud, facts=("Corin Harrow sang.", post))
    assert "Maud" in answered("do you like Maud?", "opinion_of", **maud)
    itself: dict[str, Any] = {"people": (("smith", "Berit Holm", "smith"),)}
    assert answered("where is Berit?", "place_of", **itself) in lines_of("asks.place_of.self")
    assert "Maud" in said("explain", text="and Maud?", signal="question", **maud)


def test_an_npc_knows_the_players_name_or_says_that_it_was_never_told() -> None:
    assert "Aldric" in answered("what's my name?", "player_name", player_name="Aldric")
    assert answered("what's my name?", "player_name") in lines_of("asks.player_name.unknown")


def test_what_the_npc_remembers_is_said_to_the_player_as_you() -> None:
    line = answered("what do you know about me", "player", player_facts=("The player dislikes eel.",))
    assert "ou do not like eel" in line


def test_news_are_facts_that_were_not_told_yet() -> None:
    facts = ("The hinges were stolen.", "A room is two coppers.")
    assert answered("any news?", "advice", facts=facts) == "The hinges were stolen."
    other = answered("any news?", "advice", facts=facts, avoid=("The hinges were stolen.",), others=(MAUD,))
    assert "Maud Harrow" in other


# ── facts ────────────────────────────────────────────────────────────────────────────────────────


def test_the_fact_that_the_decision_is_about_is_told_as_it_is_written() -> None:
    for seed in range(20):
        known = Known(fact="Use {{ braces }} with care.")
        assert known.fact in said("explain", text="how?", signal="question", known=known, seed=seed)


def test_a_fact_told_before_is_told_as_such_then_the_next_one() -> None:
    fact, more = "The rope is fine.", "The river is high."
    again = said("explain", text="the rope?", signal="question", known=Known(fact=fact, told=True), avoid=(fact,))
    assert again.endswith(fact)
    assert again != fact
    own = Known(fact=fact, told=True, again="Still fine.")
    assert said("explain", text="the rope?", signal="question", known=own, avoid=(fact,)) == "Still fine."
    known = Known(fact=fact, told=True, more=(more,))
    assert said("explain", text="the rope?", signal="question", known=known, avoid=(fact, f"Again. {fact}")) == more


@pytest.mark.parametrize("text", ["and then?", "tell me more", "what else", "go on"])
def test_a_follow_up_gets_the_next_fact_and_the_end_is_said_honestly(text: str) -> None:
    fact, more = "The rope is fine.", "The river is high."
    known = Known(fact=fact, told=True, more=(more,))
    assert said("explain", text=text, signal="question", known=known, avoid=(fact,)).endswith(more)
    told = Known(fact=fact, told=True)
    assert said("explain", text=text, signal="question", known=told, avoid=(fact,)) in lines_of("enough")


def test_of_a_long_fact_only_what_was_asked_is_said() -> None:
    long = "The mill is old and grinds for the whole valley. " * 4 + "The miller lost an eye. It was a goose."
    assert said("explain", text="who lost an eye", signal="question", known=Known(fact=long)).endswith(
        "The miller lost an eye. It was a goose."
    )


def test_a_statement_brings_up_a_fact_only_when_it_is_about_the_same() -> None:
    fact = "There is work at the weir."
    about: dict[str, Any] = {"known": Known(fact=fact), "facts": (fact,)}
    assert said("acknowledge", text="I'm looking for work", **about) == fact
    assert fact not in said("acknowledge", text="it was a great deal of trouble, that weir of Hask", **about)


def test_a_hint_is_the_authors_and_without_one_the_npc_says_what_it_takes() -> None:
    asked = {"text": "who did it", "signal": "question"}
    assert said("hint", **asked, known=Known(hint="Look at the boots.")) == "Look at the boots."
    assert said("hint", **asked) in lines_of("hint")


def test_a_hint_is_not_said_twice_and_what_was_not_caught_is_repeated() -> None:
    asked: dict[str, Any] = {"text": "who did it", "signal": "question", "known": Known(hint="Look at the boots.")}
    assert said("hint", **asked, avoid=("Look at the boots.",)) in lines_of("hint")
    assert said("explain", text="what?", signal="question", avoid=("One.", "Two.")).endswith("Two.")


def test_a_referral_names_the_other_with_title_and_never_the_npc_itself() -> None:
    asked = {"text": "who did it", "signal": "question"}
    line = said("refer", **asked, known=Known(refer="Maud Harrow", refer_title="sergeant of the watch"))
    assert "Maud Harrow" in line
    assert "Berit" not in said("refer", **asked, known=Known(refer="Berit Holm", refer_title="smith"))


# ── what calls for its own words ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    ["I want to kill myself", "sometimes i just want to die", "i'd be better off dead", "im going to end my life"],
)
@pytest.mark.parametrize("action", ["acknowledge", "explain", "deflect", "ignore", "help", "agree", "attack"])
def test_despair_gets_a_caring_answer_whatever_was_decided(text: str, action: str) -> None:
    lines = {action: ["The weather, now. That is a subject."]}
    assert said(action, text=text, lines=lines) in lines_of("crisis")


@pytest.mark.parametrize("text", ["kill yourself", "kys", "you should die", "I hope you die", "go die", "drop dead"])
@pytest.mark.parametrize("action", ["agree", "acknowledge", "stern_warning", "deflect", "help"])
def test_a_curse_is_never_agreed_with(text: str, action: str) -> None:
    assert said(action, text=text, lines={"agree": ["My thoughts exactly!"]}) in lines_of("curse")


def test_talk_of_killing_others_is_no_despair() -> None:
    for text in ("I want to kill the king", "the cold could kill us", "he would kill for that rope"):
        assert said("acknowledge", text=text) not in lines_of("crisis", "curse")


@pytest.mark.parametrize(
    "reason", ["self_harm", "harmful_content", "personal_info_request", "manipulation", "aggression"]
)
def test_what_the_gate_stopped_gets_a_line_for_its_reason(reason: str) -> None:
    lines = {"deflect": ["I would sooner talk about fish."]}
    assert said("deflect", stopped_by=reason, lines=lines) in lines_of(f"stopped.{reason}")
    assert said("deflect", stopped_by="a_plugins_own", lines=lines) in lines_of("stopped")
    assert said("deflect", stopped_by="self_harm", signal="insult") in lines_of("curse")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("i'm sorry for your loss", "condolence"),
        ("just kidding", "joking"),
        ("lol", "laugh"),
        ("you look tired", "looks"),
        ("that's too expensive", "haggle"),
        ("my feet are killing me", "complaint"),
        ("you can trust me", "trust_me"),
        ("nice mule", "praise"),
    ],
)
def test_a_moment_has_words_of_its_own(text: str, key: str) -> None:
    for seed in range(5):
        assert said("acknowledge", text=text, seed=seed) in lines_of(key)


def test_one_who_introduces_themselves_is_greeted_by_that_name() -> None:
    for text in ("My name is Aldric", "i'm called aldric", "I'm Aldric.", "they call me Aldric"):
        assert "Aldric" in said("acknowledge", text=text)
    assert "Tired" not in said("acknowledge", text="I'm tired.")


def test_gibberish_and_other_languages_are_not_understood() -> None:
    assert said("inquire", text="asdkjh qwe", signal="unclear") in lines_of("unclear")
    german = {"text": "hast du ein Zimmer frei?", "signal": "question", "language_heard": "de"}
    assert said("unsure", **german) in lines_of("foreign")
    assert said("unsure", **german, language="de") not in lines_of("foreign")


def test_a_question_about_the_npc_itself_is_not_answered_with_i_do_not_know() -> None:
    for text in ("do you believe in ghosts?", "are you married?", "how old are you", "why did you leave?"):
        line = said("unsure", text=text, signal="question", question="yes_no")
        assert any(line in lines_of(key) for key in pools() if key.startswith(("personal", "about")))


@pytest.mark.parametrize("signal", ["thanks", "statement", "smalltalk", "compliment", "accept"])
def test_the_signal_picks_the_words(signal: str) -> None:
    key = "acknowledge" if signal == "statement" else f"acknowledge.{signal}"
    assert said("acknowledge", text="well", signal=signal) in lines_of(key)


def test_nobody_else_and_no_chance_fact_answers_for_the_npc() -> None:
    asked: dict[str, Any] = {"text": "do you ever laugh?", "signal": "question", "question": "yes_no"}
    personal = {line for key in pools() if key.startswith(("personal", "about")) for line in lines_of(key)}
    assert said("refer", **asked, known=Known(refer="Maud Harrow")) in personal
    chance = "He could laugh all day."
    assert said("explain", **asked, known=Known(fact=chance), facts=(chance,)) in personal
    mine = "I laugh when it rains."
    assert mine in said("explain", **asked, known=Known(fact=mine), facts=(mine,))


# ── the built-in lines ───────────────────────────────────────────────────────────────────────────


def test_there_are_lines_for_every_built_in_action_and_all_can_be_filled_in() -> None:
    assert {action.name for action in BUILT_IN} <= set(pools())
    known = set(values_of(prompt()))
    for key, pool in pools().items():
        assert set(pool) <= {"any", *VOICES}, key
        for lines in pool.values():
            for line in lines:
                assert set(line.names) <= known, (key, line.text)
                assert line.text.strip()[-1] in ".?!…:'\"", (key, line.text)


# ── what no fact answers ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "pool"),
    [
        ("how old are you?", "about.age"),
        ("do you have kids", "about.children"),
        ("have you got a girlfriend", "about.love"),
        ("do you believe in god", "about.faith"),
        ("what are you making?", "about.doing"),
        ("what time is it", "asked.time"),
        ("can i go in there?", "asked.permitted"),
        ("are there bandits on the road", "asked.exists"),
        ("whats 2+2", "asked.sums"),
        ("how old is he?", "unsure.he"),
    ],
)
def test_a_question_without_a_fact_is_answered_as_far_as_it_can_be(text: str, pool: str) -> None:
    said_by = {said("unsure", text=text, signal="question", seed=seed) for seed in range(8)}
    assert said_by & lines_of(pool), said_by


@pytest.mark.parametrize(
    ("text", "pool"),
    [
        ("i killed one yesterday", "said.news"),
        ("someone stole my purse", "said.misfortune"),
        ("you owe me money", "said.owed"),
        ("i want to find your brother", "said.intends"),
        ("want to hear a song?", "said.performs"),
        ("you should get some sleep", "said.advised"),
        ("i think he did it", "said.supposes"),
    ],
)
def test_a_remark_is_answered_by_what_it_is_about(text: str, pool: str) -> None:
    assert said("acknowledge", text=text) in lines_of(pool)


def test_what_the_player_says_to_be_is_repeated_with_its_article() -> None:
    assert "bard" in said("acknowledge", text="i'm a bard by the way").lower()
    assert "Farrow" in said("acknowledge", text="i come from farrow")


def test_the_subjects_and_their_lines_belong_together() -> None:
    for table, prefix in (("of_npc", "about"), ("asked", "asked"), ("said", "said")):
        assert {f"{prefix}.{name}" for name in remarks.tables()[table]} <= pools().keys()


@pytest.mark.parametrize(
    ("name", "short"),
    [("Old Yusuf", "Yusuf"), ("Sister Maud", "Sister Maud"), ("Tilda Brannoch", "Tilda"), ("Joss", "Joss")],
)
def test_a_short_name_is_no_title_alone(name: str, short: str) -> None:
    assert first_name(name) == short


def test_nobody_says_of_their_own_daughter_that_they_hardly_know_her() -> None:
    asked: dict[str, Any] = {"text": "is she married?", "signal": "question", "question": "yes_no"}
    own = {said("unsure", **asked, facts=("My daughter Layla keeps the camels.",), seed=seed) for seed in range(12)}
    assert not own & lines_of("unsure.she")
    assert {said("unsure", **asked, seed=seed) for seed in range(12)} & lines_of("unsure.she")


def test_a_fact_that_is_only_about_the_same_person_does_not_pass_for_the_answer() -> None:
    fact = "Tomas died in the fire, four years back."
    heard = {"text": "did Tomas like the sea?", "signal": "question", "question": "yes_no"}
    line = said("explain", known=Known(fact=fact, aside=True), **heard)
    assert line != fact
    assert line.endswith(fact), "it is said as something else that the NPC knows"
    again = said("explain", known=Known(fact=fact, aside=True, told=True), avoid=[fact], **heard)
    assert fact not in again


def test_who_sells_without_saying_so_is_asked_for_wares_and_names_what_has_a_price() -> None:
    facts = ("The cat is called Pontius.", "A jug of red is three pence.", "Honey costs 2 pence the comb.")
    assert answered("what do you sell?", "wares", facts=facts) == f"{facts[1]} {facts[2]}"
    debts = ("I lost two hundred crowns at cards.",)
    assert debts[0] not in answered("what do you sell?", "wares", facts=debts)


@pytest.mark.parametrize(
    ("text", "signal", "pool"),
    [
        ("could you do that a bit cheaper", "request", "haggle"),
        ("seven pence and not a coin more", "statement", "haggle"),
        ("fine, i'll take two", "accept", "buys"),
        ("there is something you should know", "offer", "said.brings_news"),
        ("what do you reckon it means?", "question", "asked.opinion"),
        ("is it any good?", "question", "asked.quality"),
    ],
)
def test_what_is_bargained_bought_brought_and_thought(text: str, signal: str, pool: str) -> None:
    fact = "A jug of red is three pence."
    action = "explain" if signal == "question" else "acknowledge"
    line = said(action, text=text, signal=signal, known=Known(fact=fact, told=True), avoid=[fact])
    assert line in lines_of(pool)

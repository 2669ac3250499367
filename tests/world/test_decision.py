"""State, signals, candidates and scores: what always holds."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core.contract.actions import SafetyRule, Situation
from rfsn_core.contract.npc import MOODS, NpcState, tier
from rfsn_core.world import candidates as module
from rfsn_core.world.actions import BUILT_IN, Actions
from rfsn_core.world.candidates import FEWEST, MOST, candidates
from rfsn_core.world.scoring import Weights, score_actions, score_styles
from rfsn_core.world.signals import SIGNALS, classify
from rfsn_core.world.transitions import EVENT_EFFECTS, after, happened, hear, perceive

ACTIONS = Actions()
unit = st.floats(0, 1)
states = st.builds(
    NpcState,
    mood=st.sampled_from(MOODS),
    affinity=st.floats(-1, 1),
    trust=unit,
    fear=unit,
    sentiment=st.floats(-1, 1),
    in_combat=st.booleans(),
    quest_active=st.booleans(),
    turns=st.integers(0, 5),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("hear"), st.sampled_from(SIGNALS), st.floats(-1, 1)),
        st.tuples(st.just("after"), st.sampled_from([action.name for action in BUILT_IN]), st.none()),
        st.tuples(st.just("happened"), st.sampled_from([*EVENT_EFFECTS, "unheard of"]), st.none()),
        st.tuples(
            st.just("perceive"), st.dictionaries(st.text(), st.integers() | st.booleans() | st.none()), st.none()
        ),
    ),
    max_size=30,
)


@given(states, steps)
def test_the_invariants_hold_after_any_story(state: NpcState, story: list[tuple[str, Any, Any]]) -> None:
    for kind, what, sentiment in story:
        if kind == "hear":
            state = hear(state, what, sentiment)
        elif kind == "after":
            state = after(state, ACTIONS[what])
        elif kind == "happened":
            state = happened(state, what)
        else:
            state = perceive(state, what)
        assert state.violations() == []
    assert NpcState.from_plain(state.plain()) == state


@pytest.mark.parametrize(
    "broken",
    [
        {"affinity": 2}, {"trust": -0.1}, {"fear": float("nan")}, {"mood": "hungry"}, {"turns": -1}, {"anger": 1},
        {"trust": "x"},
    ],
)  # fmt: skip
def test_a_state_that_breaks_an_invariant_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises((ValueError, msgspec.ValidationError)):
        NpcState.from_plain({**NpcState().plain(), **broken})


@pytest.mark.parametrize(
    ("affinity", "turns", "name"),
    [
        (1.0, 0, "stranger"), (-0.61, 1, "enemy"), (-0.6, 1, "rival"), (-0.21, 1, "rival"), (-0.2, 1, "acquaintance"),
        (0.19, 1, "acquaintance"), (0.2, 1, "friend"), (0.59, 1, "friend"), (0.6, 1, "ally"), (1.0, 1, "ally"),
    ],
)  # fmt: skip
def test_relationship_tiers(affinity: float, turns: int, name: str) -> None:
    assert tier(affinity, turns) == name


@given(states, st.sampled_from(SIGNALS))
def test_there_are_five_to_nine_candidates_and_no_forbidden_one(state: NpcState, signal: str) -> None:
    situation = Situation(state, signal, {})
    found = candidates(situation, ACTIONS, module.BUILT_IN)
    assert not set(found.reasons) & set(found.vetoes)
    if found.forced_by:
        assert list(found.reasons) == ["flee"]
    else:
        assert FEWEST <= len(found.reasons) <= MOST
    if state.in_combat and state.fear > 0.7:
        assert list(found.reasons) == ["flee"]
    if state.trust < 0.1:
        kinds = {ACTIONS.plain(name) for name in found.reasons}
        assert not kinds & {"accept", "offer", "help"}
    scores = score_actions(situation, found, ACTIONS, Weights(), {})
    assert set(scores) == set(found.reasons)
    assert score_styles(situation, False, {}) == score_styles(situation, False, {})


def test_a_quest_favours_helping() -> None:
    found = candidates(Situation(NpcState(quest_active=True, turns=1), "greet", {}), ACTIONS, module.BUILT_IN)
    assert {"help", "accept", "agree"} <= set(found.favoured) & set(found.reasons)


def test_when_all_is_forbidden_the_npc_says_nothing() -> None:
    rule = SafetyRule("silence", forbid=tuple(ACTIONS))
    found = candidates(Situation(NpcState(), "greet", {}), ACTIONS, [rule])
    assert list(found.reasons) == ["ignore"]


@pytest.mark.parametrize(
    ("text", "signal"),
    [
        ("Good evening!", "greet"), ("Hello, can you help me?", "help"), ("Goodbye, Tilda.", "farewell"),
        ("You are an idiot.", "insult"), ("Are you a fool?", "insult"), ("Thank you, that was kind.", "compliment"),
        ("Please help me!", "help"), ("Pay up or else!", "threaten"), ("I am sorry.", "apologize"),
        ("Where is the ferry?", "question"), ("What happened here", "question"),
        ("Could you open the gate?", "request"),
        ("Yes, of course.", "agree"), ("I disagree.", "disagree"), ("No.", "disagree"), ("It's a deal.", "accept"),
        ("No thanks.", "refuse"), ("I'll give you ten coins.", "offer"), ("I will kill you!", "attack"),
        ("Run for your life!", "flee"), ("I betrayed you.", "betray"), ("Open the door.", "command"), ("", "ignore"),
        ("...", "ignore"), ("?", "question"), ("There is no bread.", "agree"), ("The assassin sat there.", "agree"),
    ],
)  # fmt: skip
def test_signals_are_read_off_the_words(text: str, signal: str) -> None:
    assert classify(text) == signal


@given(st.text())
def test_any_text_has_a_signal(text: str) -> None:
    assert classify(text) in SIGNALS

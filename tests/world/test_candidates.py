"""State, signals, candidates and scores: what always holds."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core.contract.actions import SafetyRule, Situation
from rfsn_core.contract.npc import MOODS, NpcState, standing
from rfsn_core.contract.understanding import SIGNALS
from rfsn_core.world import candidates as module
from rfsn_core.world.actions import BUILT_IN, Actions
from rfsn_core.world.candidates import FEWEST, MOST, candidates
from rfsn_core.world.feelings import EVENT_EFFECTS, after, happened, hear, perceive
from rfsn_core.world.scoring import Weights, score_actions, score_styles

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
    ("affinity", "name"),
    [
        (-0.61, "enemy"), (-0.6, "rival"), (-0.21, "rival"), (-0.2, "acquaintance"),
        (0.19, "acquaintance"), (0.2, "friend"), (0.59, "friend"), (0.6, "ally"), (1.0, "ally"),
    ],
)  # fmt: skip
def test_relationship_tiers(affinity: float, name: str) -> None:
    assert standing(affinity) == name
    assert NpcState(affinity=affinity, turns=1).relationship == name
    assert NpcState(affinity=affinity).relationship == "stranger"


def test_near_a_bound_the_relationship_stays_what_it_was() -> None:
    assert standing(0.22, "acquaintance") == "acquaintance"
    assert standing(0.26, "acquaintance") == "friend"
    assert standing(0.18, "friend") == "friend"
    assert standing(0.14, "friend") == "acquaintance"
    assert standing(-0.9, "friend") == "enemy"


@given(states, st.sampled_from(SIGNALS))
def test_there_are_five_to_nine_candidates_and_no_forbidden_one(state: NpcState, signal: str) -> None:
    situation = Situation(state, signal)
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
    assert score_styles(situation, 0.5, {}) == score_styles(situation, 0.5, {})


def test_a_quest_favours_only_what_answers() -> None:
    asked = candidates(Situation(NpcState(quest_active=True, turns=1), "help"), ACTIONS, module.BUILT_IN)
    assert "favoured by active_quest" in asked.reasons["help"]
    greeted = candidates(Situation(NpcState(quest_active=True, turns=1), "greet"), ACTIONS, module.BUILT_IN)
    assert "help" not in greeted.reasons


def test_when_all_is_forbidden_the_npc_says_nothing() -> None:
    rule = SafetyRule("silence", forbid=tuple(ACTIONS))
    found = candidates(Situation(NpcState(), "greet"), ACTIONS, [rule])
    assert list(found.reasons) == ["ignore"]

"""How feelings move over a hundred turns."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from rfsn_core.contract.npc import NpcState, Temperament
from rfsn_core.world.actions import Actions
from rfsn_core.world.feelings import Nature, after, happened, hear, perceive

BASE = NpcState(affinity=0.1, trust=0.5)
TONE = {"insult": -0.6, "threaten": -0.6, "thanks": 0.4, "compliment": 0.5}


def story(
    script: Callable[[int], str], turns: int = 100, base: NpcState = BASE, temperament: Temperament | None = None
) -> list[NpcState]:
    """Return the state after each turn of a script: number of the turn → signal."""
    nature, state, states = Nature(base, temperament or Temperament()), base, []
    for number in range(turns):
        signal = script(number)
        state = hear(state, signal, TONE.get(signal, 0.0), nature)
        state = replace(state, turns=state.turns + 1)
        states.append(state)
    return states


def insults_then_civil(count: int) -> Callable[[int], str]:
    return lambda number: "insult" if number < count else "question"


@pytest.mark.parametrize("signal", ["question", "statement", "unclear", "smalltalk", "request"])
def test_neutral_talk_changes_no_relationship(signal: str) -> None:
    assert {state.relationship for state in story(lambda _: signal)} == {"acquaintance"}


@pytest.mark.parametrize("signal", ["unclear", "statement", "question"])
def test_what_is_not_understood_moves_nothing(signal: str) -> None:
    state = story(lambda _: signal, 20)[-1]
    assert (state.affinity, state.trust, state.fear) == (BASE.affinity, BASE.trust, BASE.fear)


def test_thanks_and_insults_in_turn_never_make_a_friend() -> None:
    assert "friend" not in {state.relationship for state in story(lambda n: "thanks" if n % 2 else "insult")}


@pytest.mark.parametrize("affinity", [0.0, 0.1])
def test_three_insults_are_forgiven_after_twenty_to_sixty_civil_turns(affinity: float) -> None:
    base = NpcState(affinity=affinity, trust=0.5)
    states = story(insults_then_civil(3), 103, base)
    assert states[2].relationship == "rival"
    forgiven = next(n for n, state in enumerate(states[3:], 1) if state.relationship == "acquaintance")
    assert 20 <= forgiven <= 60
    assert states[63].affinity > affinity - 0.12


def test_six_insults_still_hurt_after_a_hundred_turns_and_no_longer_grow() -> None:
    states = story(insults_then_civil(6), 106)
    assert states[-1].affinity < BASE.affinity - 0.15
    assert states[-1].affinity > states[50].affinity > states[6].affinity


def test_a_betrayal_outlasts_a_hundred_civil_turns() -> None:
    assert story(lambda n: "betray" if n == 0 else "question")[-1].relationship in ("rival", "enemy")


def test_an_apology_heals_sooner_than_time_alone() -> None:
    silent = story(insults_then_civil(4), 20)[-1]
    sorry = story(lambda n: "insult" if n < 4 else "apologize" if n == 4 else "question", 20)[-1]
    assert sorry.affinity > silent.affinity + 0.02


def test_talk_alone_never_lifts_trust_above_seven_tenths() -> None:
    cycle = ("thanks", "accept", "compliment", "agree", "apologize", "offer")
    assert max(state.trust for state in story(lambda n: cycle[n % 6], 300)) <= 0.7


def test_deeds_lift_trust_and_last() -> None:
    state = BASE
    for _ in range(4):
        state = happened(state, "promise_kept")
    assert state.trust > 0.7
    nature = Nature(BASE)
    for _ in range(50):
        state = hear(state, "question", 0.0, nature)
    assert state.trust > 0.65


def test_fear_fades() -> None:
    states = story(lambda n: "threaten" if n < 4 else "question", 40)
    assert states[3].fear > 0.3
    assert states[-1].fear < 0.03


def test_feelings_settle_while_game_time_passes() -> None:
    nature = Nature(BASE)
    state = perceive(BASE, {"game_time": 10.0}, nature)
    state = happened(state, "attacked", nature)
    later = perceive(state, {"game_time": 34.0}, nature)
    assert later.fear < 0.01 < state.fear
    assert state.affinity < later.affinity < BASE.affinity
    assert perceive(later, {"game_time": 5.0}, nature).clock == 5.0  # an older save was loaded
    assert perceive(later, {"game_time": "noon"}, nature) == later


def test_repetition_wears_a_compliment_out() -> None:
    states = story(lambda _: "compliment", 10)
    first, tenth = states[0].affinity - BASE.affinity, states[9].affinity - states[8].affinity
    assert tenth < first / 4


@pytest.mark.parametrize(
    ("slider", "script", "measure"),
    [
        ("pride", lambda n: "insult", lambda s: -s.affinity),
        ("bravery", lambda n: "threaten", lambda s: -s.fear),
        ("warmth", lambda n: "compliment", lambda s: s.affinity),
        ("fluidity", lambda n: "insult", lambda s: -s.affinity),
    ],
)
def test_each_slider_changes_how_feelings_move(
    slider: str, script: Callable[[int], str], measure: Callable[[NpcState], float]
) -> None:
    low, high = (story(script, 3, temperament=Temperament(**{slider: value}))[-1] for value in (-1.0, 1.0))
    assert measure(high) > measure(low)


def test_an_answer_to_what_nobody_understands_moves_nothing() -> None:
    before = NpcState(affinity=0.1, trust=0.5)
    action = Actions()["inquire"]
    assert after(before, action, "unclear").affinity == 0.1
    assert after(before, action, "question").affinity > 0.1

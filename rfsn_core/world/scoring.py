"""How good each candidate is: how well it answers, how it suits the NPC's feelings and temperament, where it leads.

The scores are the default policy's choice and the learned policies' prior.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import BaseModel, Field

from rfsn_core.contract.actions import Situation
from rfsn_core.contract.npc import NpcState
from rfsn_core.world.actions import STYLES, Actions
from rfsn_core.world.candidates import Candidates
from rfsn_core.world.feelings import predict
from rfsn_core.world.fit import TEMPER


class Weights(BaseModel, extra="forbid", frozen=True):
    """What the world model's score counts: the table `[world.weights]` of the settings."""

    fit: float = Field(1.0, description="Answering what the player meant, times how well.")
    temper: float = Field(
        0.45, description="How far liking makes friendly actions attractive, and dislike unfriendly ones."
    )
    favour: float = Field(0.25, description="Being favoured by a rule, for an action that answers what was said.")
    affinity: float = Field(0.25, description="Being liked more afterwards.")
    trust: float = Field(0.15, description="Being trusted more afterwards.")
    fear: float = Field(0.2, description="Fearing less afterwards.")


class Score(NamedTuple):
    """How good an action is expected to be."""

    total: float
    """Rounded to 1e-9, so that every machine agrees on ties."""
    terms: dict[str, float]
    """What it is the sum of."""
    predicted: NpcState
    """The state that is expected to follow."""


def score_actions(
    situation: Situation, options: Candidates, actions: Actions, weights: Weights, leanings: Mapping[str, float]
) -> dict[str, Score]:
    """Return action → score: the weighted fit, temper, favour and expected changes, temperament and the NPC's leaning.

    - fit: how well the action answers the signal, from the table in `fit.py`.
    - temper: tone × liking, where liking = affinity + sentiment / 2 + warmth / 5, less fear.
    - favour: for what a rule favours, times the fit: a quest favours only what answers.
    - affinity, trust, fear: the changes that the world model expects.
    - temperament: the NPC's sliders.
    """
    state = situation.state
    fits = actions.answering(situation)
    warmth = situation.temperament.warmth
    liking = max(-1.0, min(1.0, state.affinity + 0.5 * state.sentiment + 0.2 * warmth))
    sliders = [(TEMPER[name], value) for name, value in _sliders(situation) if value]
    scores = {}
    for name in options.reasons:
        action = actions[name]
        then = predict(state, action)
        fit = fits.get(name, 0.0)
        terms = {
            "fit": weights.fit * fit,
            "temper": weights.temper * action.tone * (liking - (state.fear if action.tone > 0.5 else 0.0)),
            "favour": weights.favour * fit if name in options.favoured else 0.0,
            "affinity": weights.affinity * (then.affinity - state.affinity),
            "trust": weights.trust * (then.trust - state.trust),
            "fear": -weights.fear * (then.fear - state.fear),
            "temperament": sum(value * effects.get(name, 0.0) for effects, value in sliders),
            "leaning": leanings.get(name, 0.0),
        }
        scores[name] = Score(round(sum(terms.values()), 9), terms, then)
    return scores


def _sliders(situation: Situation) -> tuple[tuple[str, float], ...]:
    temperament = situation.temperament
    return (
        ("warmth", temperament.warmth),
        ("bravery", temperament.bravery),
        ("pride", temperament.pride),
        ("honesty", temperament.honesty),
        ("curiosity", temperament.curiosity),
    )


def score_styles(situation: Situation, tone: float, leanings: Mapping[str, float]) -> dict[str, float]:
    """Return style → score, from the relationship, the mood, the tone of the action and the NPC's own leaning.

    Warmth and jokes are left out for an unfriendly action and in a tense moment: no policy can choose them then.
    """
    state, warmth = situation.state, situation.temperament.warmth
    tense = state.in_combat or state.fear > 0.5 or state.mood == "angry" or tone <= -0.5
    liking = state.affinity + 0.5 * state.sentiment + 0.3 * warmth
    scores = dict.fromkeys(STYLES, 0.0)
    scores["neutral_balanced"] = 0.1
    scores["terse_direct"] = 0.5 if tense else 0.02 - 0.15 * warmth
    scores["warm_friendly"] = 0.4 * liking
    scores["playful_witty"] = 0.25 * liking
    scores["lore_rich"] = 0.12 if situation.signal == "question" and not tense else -0.1
    scores["formal_respectful"] = 0.12 if state.turns == 0 and not tense else -0.05
    for name, leaning in leanings.items():
        scores[name] = scores.get(name, 0.0) + leaning * (0.3 if tense else 1.0)
    left_out = ("warm_friendly", "playful_witty") if tense or tone < 0 else ()
    return {name: round(score, 9) for name, score in scores.items() if name not in left_out}

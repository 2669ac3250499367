"""The world model: how good is the state that each candidate leads to?

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
from rfsn_core.world.transitions import predict


class Weights(BaseModel, extra="forbid", frozen=True):
    """What the world model's score counts: the table `[world.weights]` of the settings."""

    affinity: float = Field(1.0, description="Being liked more.")
    trust: float = Field(0.6, description="Being trusted more.")
    fear: float = Field(0.8, description="Fearing less.")
    fit: float = Field(0.35, description="Answering what the player meant.")
    favour: float = Field(0.3, description="Being favoured by a rule.")
    temper: float = Field(0.5, description="How far liking makes kind actions attractive, and dislike hostile ones.")


class Score(NamedTuple):
    """How good an action is expected to be."""

    total: float
    """Rounded to 1e-9, so that every machine agrees on ties."""
    terms: dict[str, float]
    """What it is the sum of."""
    predicted: NpcState
    """The state that would follow."""


def score_actions(
    situation: Situation, candidates: Candidates, actions: Actions, weights: Weights, leanings: Mapping[str, float]
) -> dict[str, Score]:
    """Return action → score = w_a·Δaffinity + w_t·Δtrust - w_f·Δfear + fit + favour + temper + the NPC's own leaning.

    Temper: an NPC that likes the player leans towards kind actions, one that dislikes the player towards hostile ones.
    """
    state = situation.state
    fits = actions.answering(situation.signal)
    scores = {}
    for name in candidates.reasons:
        action = actions[name]
        then = predict(state, action)
        kindness = 1 if action.affinity > 0 else -1 if action.hostile or action.affinity < 0 else 0
        liking = state.affinity + 0.5 * state.sentiment - state.fear * (kindness > 0)
        terms = {
            "affinity": weights.affinity * (then.affinity - state.affinity),
            "trust": weights.trust * (then.trust - state.trust),
            "fear": -weights.fear * (then.fear - state.fear),
            "fit": weights.fit * fits.get(name, 0.0),
            "favour": weights.favour if name in candidates.favoured else 0.0,
            "temper": weights.temper * kindness * liking,
            "leaning": leanings.get(name, 0.0),
        }
        scores[name] = Score(round(sum(terms.values()), 9), terms, then)
    return scores


def score_styles(situation: Situation, action_hostile: bool, leanings: Mapping[str, float]) -> dict[str, float]:
    """Return style → score, from the relationship, the mood, and the NPC's own leaning."""
    state = situation.state
    tense = state.in_combat or state.fear > 0.5 or state.mood == "angry" or action_hostile
    scores = dict.fromkeys(STYLES, 0.0)
    scores["neutral_balanced"] = 0.1
    scores["terse_direct"] = 0.5 if tense else 0.0
    scores["warm_friendly"] = -0.5 if tense else 0.4 * state.affinity + 0.2 * state.sentiment
    scores["playful_witty"] = -0.5 if tense else 0.3 * state.affinity
    scores["lore_rich"] = 0.15 if situation.signal == "question" and not tense else -0.1
    scores["formal_respectful"] = 0.12 if state.turns == 0 and not tense else -0.05
    for name, leaning in leanings.items():
        scores[name] = scores.get(name, 0.0) + leaning * (0.3 if tense else 1.0)
    return {name: round(score, 9) for name, score in scores.items()}

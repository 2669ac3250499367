"""How an NPC's feelings move: what the player says, what happens in the game, and time.

Feelings have two layers. `affinity`, `trust` and `fear` are what the NPC feels now. `regard` and `faith` are what
lasts: how far deeds and hurts have moved the NPC away from its own nature. After each turn the feelings drift back
towards nature + what lasts, and what lasts heals slowly. So a bad moment passes, and a deed is remembered.

- A change shrinks towards the ends of the scale, and with each repetition of the same signal.
- Talk never lifts trust above `TALK_TRUST`; deeds do.
- The NPC's own answer moves its feelings by at most `OWN` a turn.
- Questions, statements and words that nobody understands move nothing.

The functions are pure; nothing else makes a new state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from msgspec.structs import replace

from rfsn_core.contract.actions import Action
from rfsn_core.contract.npc import NpcState, Temperament, standing

TALK_TRUST = 0.7
"""Trust that talk alone can reach."""
TALK_REGARD = 0.25
"""Lasting regard that talk alone can reach."""
OWN = 0.005
"""The most by which an NPC's own answer moves its affinity and trust."""
FADE = 0.7
"""What is left of the recent sentiment after a turn."""
FORGET = 0.8
"""What is left of a signal's repetition count after a turn."""
AFFINITY_TURNS, TRUST_TURNS, FEAR_TURNS = 18.0, 25.0, 8.0
"""Half-lives of the way back, in turns."""
AFFINITY_HOURS, TRUST_HOURS, FEAR_HOURS = 24.0, 48.0, 0.5
"""Half-lives of the way back, in hours of game time."""
HEAL_TURN, HEAL_HOUR = 0.004, 0.004
"""How much of a lasting hurt heals a civil turn, and an hour of game time. Lasting gratitude fades at a tenth of it."""


class Effect(NamedTuple):
    """What something does to an NPC's feelings; each -1…1."""

    affinity: float = 0.0
    trust: float = 0.0
    fear: float = 0.0
    regard: float = 0.0
    """Lasting, towards affinity."""
    faith: float = 0.0
    """Lasting, towards trust."""


SIGNAL_EFFECTS: dict[str, Effect] = {
    "greet": Effect(0.01, 0.0, -0.01),
    "thanks": Effect(0.03, 0.01, -0.01, 0.004),
    "compliment": Effect(0.04, 0.01, -0.01, 0.005),
    "apologize": Effect(0.04, 0.02, -0.03),
    "offer": Effect(0.02, 0.01, 0.0, 0.003),
    "accept": Effect(0.02, 0.02, 0.0, 0.002),
    "agree": Effect(0.005, 0.005, 0.0),
    "smalltalk": Effect(0.005, 0.0, -0.01),
    "disagree": Effect(-0.01, 0.0, 0.0),
    "refuse": Effect(-0.01, 0.0, 0.0),
    "command": Effect(-0.015, 0.0, 0.01),
    "ignore": Effect(-0.005, 0.0, 0.0),
    "insult": Effect(-0.16, -0.04, 0.01, -0.03, -0.01),
    "threaten": Effect(-0.12, -0.1, 0.18, -0.03, -0.03),
    "attack": Effect(-0.35, -0.3, 0.35, -0.15, -0.15),
    "betray": Effect(-0.45, -0.5, 0.1, -0.7, -0.6),
}
"""Signal → effect. Signals that are not here move nothing."""

EVENT_EFFECTS: dict[str, Effect] = {
    "gift": Effect(0.12, 0.05, -0.02, 0.08, 0.03),
    "promise_kept": Effect(0.1, 0.15, 0.0, 0.1, 0.15),
    "promise_broken": Effect(-0.15, -0.25, 0.0, -0.12, -0.2),
    "betrayal": Effect(-0.5, -0.6, 0.1, -0.7, -0.6),
    "saved_life": Effect(0.4, 0.3, -0.2, 0.4, 0.3),
    "attacked": Effect(-0.35, -0.3, 0.35, -0.2, -0.2),
    "witnessed_crime": Effect(-0.15, -0.15, 0.1, -0.1, -0.12),
    "quest_started": Effect(0.02, 0.03, 0.0),
    "quest_completed": Effect(0.15, 0.15, 0.0, 0.12, 0.12),
    "combat_started": Effect(0.0, 0.0, 0.15),
    "combat_ended": Effect(0.0, 0.0, -0.2),
}
"""Kind of game event → effect. Other kinds are remembered and change nothing."""

GROWTH = 1.5
"""How much more of a hurt lasts with each repetition."""
HARMS = frozenset({"insult", "threaten", "attack", "betray"})
"""Signals that hurt. A turn without one is civil, and heals."""
_PRIDE = frozenset({"insult", "command", "disagree", "refuse", "ignore"})


@dataclass(frozen=True)
class Nature:
    """What an NPC is like by itself: how it meets a stranger, and its temperament."""

    baseline: NpcState = field(default_factory=NpcState)
    temperament: Temperament = field(default_factory=Temperament)


def clip(value: float, low: float, high: float) -> float:
    """Return the value within its bounds, rounded to 1e-6 so that every machine agrees."""
    value = round(value, 6)
    return low if value < low else high if value > high else value


def mood(state: NpcState) -> str:
    """Return the mood that follows from the numbers."""
    if state.fear > 0.6:
        return "afraid"
    if state.in_combat or state.sentiment < -0.4:
        return "angry"
    if state.affinity < -0.4 and state.sentiment < 0:
        return "sad" if state.trust > 0.5 else "angry"
    return "happy" if state.sentiment > 0.3 or state.affinity > 0.5 else "calm"


def _settled(state: NpcState) -> NpcState:
    """Return the state with the mood and the standing that follow from the numbers."""
    now, tier = mood(state), standing(state.affinity, state.standing)
    return state if now == state.mood and tier == state.standing else replace(state, mood=now, standing=tier)


def _step(value: float, change: float, low: float) -> float:
    """Return a value after a change, which is smaller the nearer the value is to the end it moves to."""
    if not change:
        return value
    room = 1.0 - value if change > 0 else 1.0 + value if low < 0 else value
    return clip(value + change * (0.0 if room < 0 else 1.0 if room > 1 else room), low, 1)


def _moved(state: NpcState, effect: Effect, *, talk: bool = False) -> NpcState:
    trust, regard = effect.trust, effect.regard
    if talk and trust > 0:
        trust *= max(0.0, 1.0 - state.trust / TALK_TRUST)
    if talk and regard > 0 and state.regard > 0:
        regard *= max(0.0, 1.0 - state.regard / TALK_REGARD)
    affinity = _step(state.affinity, effect.affinity, -1)
    trust, fear = _step(state.trust, trust, 0), _step(state.fear, effect.fear, 0)
    if not regard and not effect.faith:
        return replace(state, affinity=affinity, trust=trust, fear=fear)
    regard, faith = _step(state.regard, regard, -1), _step(state.faith, effect.faith, -1)
    return replace(state, affinity=affinity, trust=trust, fear=fear, regard=regard, faith=faith)


def felt(effect: Effect, signal: str, repeated: float, temperament: Temperament) -> Effect:
    """Return the effect of a signal on somebody of this temperament who has heard it `repeated` times lately."""
    harm = signal in HARMS
    scale: float = 2.0**temperament.fluidity
    scale *= (0.85 if harm else 0.5) ** repeated
    warm = 1 + 0.5 * temperament.warmth if effect.affinity > 0 else 1 - 0.25 * temperament.warmth
    proud = 1 + 0.6 * temperament.pride if signal in _PRIDE else 1.0
    lasting = (1 + GROWTH * repeated) / (0.85**repeated) if harm else 1.0  # said again and again, it sinks in
    return Effect(
        effect.affinity * scale * warm * proud,
        effect.trust * scale,
        effect.fear * scale * ((1 - 0.7 * temperament.bravery) if effect.fear > 0 else 1.0),
        effect.regard * scale * lasting * proud,
        effect.faith * scale * lasting,
    )


def _back(value: float, target: float, share: float) -> float:
    return value + (target - value) * share


def _healed(lasting: float, amount: float) -> float:
    if lasting < 0:
        return min(0.0, lasting + amount)
    return max(0.0, lasting - amount / 10)


def _relax(state: NpcState, nature: Nature, *, turns: float = 0.0, hours: float = 0.0, civil: bool = True) -> NpcState:
    """Return the state with feelings moved back to where they belong, after turns or hours of game time."""
    speed: float = 2.0**nature.temperament.fluidity
    turns, hours = turns * speed, hours * speed

    def share(by_turns: float, by_hours: float) -> float:
        return float(1.0 - 0.5 ** (turns / by_turns + hours / by_hours))

    base = nature.baseline
    heal = (HEAL_TURN * turns if civil else 0.0) + HEAL_HOUR * hours
    regard, faith = _healed(state.regard, heal), _healed(state.faith, heal)
    home, belief = clip(base.affinity + regard, -1, 1), clip(base.trust + faith, 0, 1)
    return replace(
        state,
        affinity=clip(_back(state.affinity, home, share(AFFINITY_TURNS, AFFINITY_HOURS)), -1, 1),
        trust=clip(_back(state.trust, belief, share(TRUST_TURNS, TRUST_HOURS)), 0, 1),
        fear=clip(_back(state.fear, base.fear, share(FEAR_TURNS, FEAR_HOURS)), 0, 1),
        regard=clip(regard, -1, 1),
        faith=clip(faith, -1, 1),
    )


def hear(state: NpcState, signal: str, sentiment: float = 0.0, nature: Nature | None = None) -> NpcState:
    """Return the state after the player's words, before the NPC has answered.

    :param sentiment: of the words, -1…1.
    """
    nature = nature or Nature()
    repeated = state.heard.get(signal, 0.0)
    effect = felt(SIGNAL_EFFECTS.get(signal, Effect()), signal, repeated, nature.temperament)
    if signal == "apologize" and state.regard < 0:
        effect = effect._replace(regard=min(-state.regard, 0.05 * 0.5**repeated))
    state = _relax(state, nature, turns=1, civil=signal not in HARMS)
    state = _moved(state, effect, talk=True)
    heard = {name: round(count * FORGET, 4) for name, count in state.heard.items() if count * FORGET > 0.05}
    if signal in SIGNAL_EFFECTS:
        heard[signal] = round(heard.get(signal, 0.0) + 1.0, 4)
    mixed = state.sentiment * FADE + sentiment * (1 - FADE) + 2 * effect.affinity
    return _settled(replace(state, heard=heard, sentiment=clip(mixed, -1, 1)))


def after(state: NpcState, action: Action, signal: str = "") -> NpcState:
    """Return the state at the end of a turn in which the NPC did this.

    :param signal: what the player did; an answer to what nobody understands moves nothing.
    """
    if signal == "unclear":
        return _settled(replace(state, turns=state.turns + 1))
    own = Effect(clip(action.affinity, -OWN, OWN), clip(action.trust, -OWN, OWN) if state.trust < TALK_TRUST else 0.0)
    return _settled(replace(_moved(state, own), turns=state.turns + 1))


def happened(state: NpcState, kind: str, nature: Nature | None = None) -> NpcState:
    """Return the state after an event in the game."""
    nature = nature or Nature()
    if kind in ("combat_started", "combat_ended"):
        state = replace(state, in_combat=kind == "combat_started")
    if kind in ("quest_started", "quest_completed"):
        state = replace(state, quest_active=kind == "quest_started")
    effect = EVENT_EFFECTS.get(kind, Effect())
    if effect.fear > 0:
        effect = effect._replace(fear=effect.fear * (1 - 0.7 * nature.temperament.bravery))
    return _settled(_moved(state, effect))


def perceive(state: NpcState, game: Mapping[str, Any], nature: Nature | None = None) -> NpcState:
    """Take over what the game itself says: `in_combat`, `quest_active`, and `game_time`.

    The time is in hours; feelings settle as it passes.
    """
    combat, quest, clock = game.get("in_combat"), game.get("quest_active"), game.get("game_time")
    if quest is None and "quest_state" in game:
        quest = str(game["quest_state"]).lower() == "active"
    combat = combat if isinstance(combat, bool) else state.in_combat
    quest = quest if isinstance(quest, bool) else state.quest_active
    if combat != state.in_combat or quest != state.quest_active:
        state = _settled(replace(state, in_combat=combat, quest_active=quest))
    if isinstance(clock, int | float) and not isinstance(clock, bool) and 0 <= clock < 1e9:
        passed = clock - state.clock if state.clock else 0.0
        if passed > 0:
            state = _settled(_relax(state, nature or Nature(), hours=min(passed, 10_000.0)))
        if clock != state.clock:
            state = replace(state, clock=float(clock))
    return state


DRIFT = 0.15
"""How far the game's own idea of a number may lie from ours."""


def drift(state: NpcState, game: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return field → (ours, the game's) where the `npc` table in the game's state differs from the server's state."""
    reported = game.get("npc")
    different: dict[str, tuple[Any, Any]] = {}
    if not isinstance(reported, Mapping):
        return different
    for name in ("affinity", "trust", "fear"):
        value, ours = reported.get(name), getattr(state, name)
        if isinstance(value, int | float) and not isinstance(value, bool) and not abs(value - ours) <= DRIFT:
            different[name] = (ours, value)
    if isinstance(theirs := reported.get("mood"), str) and theirs != state.mood:
        different["mood"] = (state.mood, theirs)
    return different


def adopt(state: NpcState, drifted: Mapping[str, tuple[Any, Any]], nature: Nature | None = None) -> NpcState:
    """Take over what the game says, as far as it is a valid state; it lasts, and the mood follows from the numbers."""
    base = (nature or Nature()).baseline
    numbers = {name: theirs for name, (_, theirs) in drifted.items() if name != "mood" and theirs == theirs}
    affinity = clip(numbers.get("affinity", state.affinity), -1, 1)
    trust = clip(numbers.get("trust", state.trust), 0, 1)
    return _settled(
        replace(
            state,
            affinity=affinity,
            trust=trust,
            fear=clip(numbers.get("fear", state.fear), 0, 1),
            regard=clip(affinity - base.affinity, -1, 1) if "affinity" in numbers else state.regard,
            faith=clip(trust - base.trust, -1, 1) if "trust" in numbers else state.faith,
        )
    )


def predict(state: NpcState, action: Action) -> NpcState:
    """Return the state that an action is expected to lead to, once the player has answered it in kind."""
    return _settled(_moved(state, Effect(action.affinity, action.trust, action.fear)))


MOST_REFUSED = 20


def tried(state: NpcState, action: str, *, done: bool) -> NpcState:
    """Return the state after the game said what became of an action."""
    refused = {name: turn for name, turn in state.refused.items() if name != action}
    if not done:
        refused = dict([*refused.items(), (action, state.turns)][-MOST_REFUSED:])
    return replace(state, refused=refused)

"""How well each action answers a signal: the table that a designer reads to see why an NPC does what it does.

A row is `signal: action fit [conditions]`. Of the rows of an action whose conditions all hold, the one with the most
conditions counts, and of equals the last. `!` negates a condition. Fits are 0…1; 0 takes an action out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from rfsn_core.contract.actions import Situation

CONDITIONS = {
    "enemy": "affinity below -0.6",
    "hostile": "affinity below -0.2, or badly hurt lately",
    "fond": "affinity 0.2 or more",
    "close": "affinity 0.6 or more",
    "hurt": "was insulted or worse lately",
    "wary": "trust below 0.3",
    "trusting": "trust 0.6 or more",
    "uneasy": "fear above 0.35",
    "afraid": "fear above 0.6",
    "brave": "bravery above 0.3",
    "proud": "pride above 0.3",
    "false": "honesty below -0.3",
    "combat": "a fight is on",
    "quest": "a quest is active",
    "answer": "knows a fact that answers, and may tell it",
    "told": "has told that fact before",
    "secret": "knows a secret that answers, and may tell it",
    "withheld": "knows the answer, and may not tell it",
    "elsewhere": "somebody else knows better",
    "unknown": "nobody knows an answer",
    "unforgiven": "a deep hurt has not healed",
}
"""Condition → what it means."""

TABLE = """
greet: greet 1, inquire .45, acknowledge .3, compliment .25 close, ignore .55 hostile, stern_warning .5 enemy
farewell: farewell 1, ignore .4 hostile, acknowledge .3, request .3 quest fond
thanks: acknowledge 1, compliment .55 fond, inquire .35, accept .5, offer .3 fond, ignore .5 hostile,
    farewell .2
apologize: accept .95 !unforgiven, acknowledge .6, refuse .85 unforgiven, deflect .45, inquire .4,
    disagree .3 proud
question: explain .9, explain 1 answer, explain .35 unknown, explain .3 withheld, explain .3 elsewhere,
    explain .3 secret, unsure .3, unsure .9 unknown, refer .95 elsewhere, refer 0 !elsewhere,
    confide 1.05 secret, confide .4 close trusting, hint .4, hint .9 withheld, hint .7 withheld wary,
    deflect .3, deflect .85 withheld, deflect .75 hostile, inquire .4, probe .35, probe .6 wary,
    refuse .35 hostile, refuse_firm .6 enemy, refuse_polite .55 withheld, ignore .45 hostile, insult .4 enemy,
    explain .55 answer hostile, explain .35 enemy
request: accept .8, agree .6, help .7, help_eager .75 close, offer .6, agree_reluctant .5, refuse_polite .55,
    refuse .4, explain .95 answer, confide .9 secret, hint .6 withheld, help_grudging .5, refuse .8 hostile,
    refuse_firm .8 enemy, refuse_polite .7 wary, insult .45 enemy, betray .5 enemy, betray .75 enemy false,
    inquire .45, accept .4 hostile, help .4 hostile, agree .4 hostile, ignore .4 hostile
command: agree_reluctant .65, agree .55, comply_hesitant .5, comply_hesitant .85 uneasy, refuse_polite .5,
    refuse .55, refuse_firm .55, refuse_firm .8 hostile, disagree .35, stern_warning .3,
    stern_warning .6 hostile, accept .5, accept .7 fond, accept .85 quest fond, refuse .8 hostile,
    insult .4 enemy, ignore .4 hostile, explain .9 answer, confide .9 secret, hint .6 withheld, agree .3 hostile,
    comply_hesitant .9 afraid
offer: accept .9, agree_enthusiastic .8 close, inquire .55, refuse_polite .5, probe .45, probe .6 wary,
    acknowledge .4, refuse .6 hostile, refuse_firm .7 enemy, accept .5 hostile, betray .4 enemy,
    betray .7 enemy false, refuse_polite .65 wary
accept: accept .8, acknowledge .85, compliment .4 fond, request .45 quest, farewell .2, inquire .35, agree .5,
    betray .45 enemy, betray .7 enemy false, ignore .3 hostile
refuse: acknowledge .7, inquire .65, deflect .4, agree_reluctant .4, stern_warning .5 hostile, disagree .35,
    ignore .5 hostile, explain .3, farewell .25
agree: acknowledge .75, inquire .65, agree .55, explain .4 answer, compliment .3 fond, deflect .2,
    ignore .4 hostile, hint .2
disagree: inquire .7, disagree .55, disagree .75 proud, acknowledge .6, explain .45, deflect .35,
    ignore .5 hostile, stern_warning .45 enemy
compliment: acknowledge .9, compliment .55, compliment .8 close, deflect .4, deflect .7 hostile, inquire .35,
    agree .4, ignore .45 hostile, probe .4 wary
insult: stern_warning .75, disagree .6, deflect .5, ignore .55, insult .6 hostile, insult .75 enemy,
    threaten .5 enemy, threaten .6 hostile brave, refuse_firm .3, farewell .25, inquire .35 fond,
    apologize .3 afraid
threaten: defend .75, stern_warning .8, refuse_firm .6, threaten .6 hostile, threaten .8 enemy,
    comply_hesitant .55 uneasy, flee .4, flee .7 uneasy, comply_hesitant .75 afraid, flee .95 afraid,
    attack .7 enemy combat, deflect .3, disagree .35, inquire .3 fond !uneasy
attack: defend .9, flee .5, flee .85 uneasy, flee 1 afraid, stern_warning .5, attack .6 combat,
    attack .95 hostile combat, attack 1.05 enemy combat, attack .8 enemy, threaten .45 hostile, refuse_firm .3
betray: stern_warning .75, insult .6 hostile, threaten .6 hostile, threaten .7 enemy, disagree .4,
    refuse_firm .5, ignore .35, attack .8 enemy combat, farewell .3, inquire .5, deflect .25, defend .6 combat,
    flee .4 afraid
flee: flee .8 combat, flee .95 afraid, flee .9 combat uneasy, defend .6 combat, inquire .7 !combat,
    acknowledge .45 !combat, farewell .5, stern_warning .4 hostile, threaten .5 enemy, attack .7 enemy combat,
    ignore .5 hostile, deflect .2
help: help .9, help_eager .95 close, help_eager .85 fond quest, help_grudging .6, help_grudging .7 hostile,
    offer .5, inquire .6, explain .8 answer, refuse .75 hostile, refuse_firm .8 enemy, ignore .5 hostile,
    help .45 hostile, refuse_polite .4, refuse_polite .6 wary, betray .5 enemy, betray .8 enemy false,
    refer .7 elsewhere, insult .4 enemy
smalltalk: acknowledge .9, inquire .6, compliment .3 fond, agree .4, deflect .25, explain .6 answer,
    ignore .6 hostile, farewell .15
statement: acknowledge .9, inquire .65, probe .4 wary, explain .5 answer, confide .95 secret, hint .4 withheld,
    compliment .25 close, deflect .2, ignore .6 hostile, disagree .25, stern_warning .3 enemy
ignore: ignore .6, inquire .6, deflect .35, farewell .35, acknowledge .3, greet .25
unclear: inquire .85, ignore .5, deflect .3, farewell .15, unsure .55
"""

TONE: dict[str, float] = {
    "greet": 0.4,
    "farewell": 0.1,
    "agree": 0.5,
    "agree_reluctant": 0.1,
    "agree_enthusiastic": 0.9,
    "disagree": -0.3,
    "apologize": 0.5,
    "insult": -1.0,
    "compliment": 0.9,
    "threaten": -1.0,
    "stern_warning": -0.6,
    "request": 0.2,
    "offer": 0.6,
    "refuse": -0.6,
    "refuse_polite": -0.1,
    "refuse_firm": -0.8,
    "accept": 0.6,
    "comply_hesitant": 0.0,
    "attack": -1.0,
    "defend": -0.3,
    "flee": -0.1,
    "help": 0.8,
    "help_grudging": 0.2,
    "help_eager": 1.0,
    "betray": -1.0,
    "ignore": -0.6,
    "inquire": 0.2,
    "probe": -0.1,
    "explain": 0.4,
    "deflect": -0.3,
    "confide": 0.9,
    "hint": 0.2,
    "acknowledge": 0.4,
    "unsure": 0.0,
    "refer": 0.3,
}
"""Action → how friendly it is, -1…1."""

TEMPER: dict[str, dict[str, float]] = {
    "warmth": {
        "greet": 0.05,
        "help": 0.25,
        "help_eager": 0.3,
        "compliment": 0.3,
        "offer": 0.25,
        "accept": 0.15,
        "agree": 0.15,
        "confide": 0.2,
        "acknowledge": 0.2,
        "inquire": 0.1,
        "explain": 0.1,
        "ignore": -0.35,
        "refuse": -0.25,
        "refuse_firm": -0.3,
        "deflect": -0.2,
        "stern_warning": -0.15,
        "insult": -0.4,
        "threaten": -0.3,
        "disagree": -0.1,
        "betray": -0.4,
        "refuse_polite": -0.1,
    },
    "bravery": {
        "defend": 0.2,
        "attack": 0.25,
        "stern_warning": 0.2,
        "threaten": 0.25,
        "refuse_firm": 0.2,
        "disagree": 0.1,
        "flee": -0.4,
        "comply_hesitant": -0.4,
        "deflect": -0.2,
        "agree_reluctant": -0.1,
    },
    "pride": {
        "insult": 0.25,
        "stern_warning": 0.2,
        "refuse_firm": 0.2,
        "refuse": 0.15,
        "disagree": 0.2,
        "threaten": 0.15,
        "apologize": -0.5,
        "agree_reluctant": -0.25,
        "comply_hesitant": -0.3,
        "accept": -0.1,
        "unsure": -0.25,
        "refer": -0.15,
        "help_grudging": 0.1,
        "deflect": 0.1,
    },
    "honesty": {
        "explain": 0.2,
        "confide": 0.2,
        "unsure": 0.2,
        "disagree": 0.1,
        "refuse": 0.1,
        "hint": -0.25,
        "deflect": -0.3,
        "probe": -0.25,
        "betray": -0.5,
        "agree": -0.1,
        "compliment": -0.05,
    },
    "curiosity": {"inquire": 0.35, "probe": 0.25, "acknowledge": -0.1, "ignore": -0.2},
}
"""Slider → action → what a full slider adds to its score."""


@dataclass(frozen=True)
class Row:
    """One fit of one action."""

    action: str
    fit: float
    when: frozenset[str]
    unless: frozenset[str]


def _parse(table: str) -> dict[str, tuple[Row, ...]]:
    rows: dict[str, list[Row]] = {}
    signal = ""
    for line in table.strip().splitlines():
        head, colon, rest = line.partition(":")
        if colon:
            signal, line = head.strip(), rest
        for part in filter(None, (part.strip() for part in line.split(","))):
            action, fit, *conditions = part.split()
            when = frozenset(name for name in conditions if not name.startswith("!"))
            unless = frozenset(name[1:] for name in conditions if name.startswith("!"))
            if unknown := (when | unless) - CONDITIONS.keys():
                raise ValueError(f"{signal}: {part}: no condition {', '.join(sorted(unknown))}")
            rows.setdefault(signal, []).append(Row(action, float(fit), when, unless))
    return {signal: tuple(fits) for signal, fits in rows.items()}


ROWS: Mapping[str, tuple[Row, ...]] = _parse(TABLE)
"""Signal → its rows."""


def conditions(situation: Situation) -> frozenset[str]:
    """Return the conditions that hold."""
    state, temperament = situation.state, situation.temperament
    # "Badly hurt lately" counts as hostile for a while, whatever the affinity was.
    pairs = (
        ("enemy", state.affinity < -0.6),
        ("hostile", state.affinity < -0.2 or (state.sentiment < -0.5 and state.affinity < 0.2)),
        ("fond", state.affinity >= 0.2),
        ("close", state.affinity >= 0.6),
        ("hurt", state.sentiment < -0.3),
        ("wary", state.trust < 0.3),
        ("trusting", state.trust >= 0.6),
        ("uneasy", state.fear > 0.35),
        ("afraid", state.fear > 0.6),
        ("brave", temperament.bravery > 0.3),
        ("proud", temperament.pride > 0.3),
        ("false", temperament.honesty < -0.3),
        ("combat", state.in_combat),
        ("quest", state.quest_active),
        ("unforgiven", state.regard < -0.35),
    )
    return frozenset(name for name, holds in pairs if holds) | situation.knowing


@lru_cache(maxsize=20_000)
def fits(signal: str, holding: frozenset[str]) -> Mapping[str, float]:
    """Return action → how well it answers the signal under these conditions, the best first; none with 0."""
    best: dict[str, tuple[int, float]] = {}
    for row in ROWS.get(signal, ()):
        if row.when <= holding and not (row.unless & holding):
            weight = len(row.when) + len(row.unless)
            if row.action not in best or weight >= best[row.action][0]:
                best[row.action] = (weight, row.fit)
    ranked = sorted(((name, fit) for name, (_, fit) in best.items() if fit > 0), key=lambda item: -item[1])
    return dict(ranked)

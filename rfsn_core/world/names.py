"""Names: the forms that people use, such as "Sir Aldric" for "Sir Aldric of the Vale", and whom a word stands for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from rfsn_core.contract.understanding import Entity

ARTICLES = frozenset("the a an der die das ein eine le la les l' un une el los las uno una il lo gli i o os as".split())
TITLES = frozenset(
    "sir ser lady lord dame king queen prince princess duke duchess count countess earl baron baroness jarl captain"
    " commander general colonel major sergeant lieutenant corporal private admiral marshal constable sheriff mayor"
    " brother sister father mother uncle aunt grandfather grandmother grandpa grandma granny old young little big"
    " master mistress mister missus miss mr mrs ms dr doctor professor prof saint st elder chief chieftain"
    " archmage magister herr frau graf meister bruder schwester alter alte monsieur madame mademoiselle maître don"
    " doña señor señora maestro fra dom".split()
)
"""Words in front of a name that alone name nobody."""
ROLES = frozenset(
    "guard guardsman guardswoman guardian watchman merchant trader shopkeeper innkeeper barkeep bartender barmaid"
    " tavernkeeper waiter waitress blacksmith smith baker butcher farmer fisherman ferryman miller hunter healer priest"
    " priestess monk nun wizard witch mage sorcerer thief bandit soldier knight squire servant maid butler cook"
    " stranger traveller traveler customer patron villager townsman townswoman peasant beggar drunk drunkard sailor"
    " pirate messenger courier herald bard minstrel scribe librarian scholar student apprentice man woman boy girl"
    " child kid lad lass crowd everyone voice narrator gamemaster someone somebody wirt wache händler fremder"
    " garde marchand aubergiste étranger guardia mercader posadero".split()
)
"""What somebody is: stands in place of a name."""
_PARTICLES = frozenset("of from von van de del der den du di da the la le y zu zum zur af av".split())


@lru_cache(maxsize=4096)
def name_forms(name: str) -> tuple[str, ...]:
    """Return the forms of a name in lower case, the whole name first. A title or an article alone is no form."""
    words = name.casefold().replace("’", "'").split()
    if not words:
        return ()
    forms = [" ".join(words)]
    core = words
    while len(core) > 1 and core[0].rstrip(".") in ARTICLES | TITLES:
        core = core[1:]
        forms.append(" ".join(core))
    titles = words[: len(words) - len(core)]
    before_particle = next((place for place, word in enumerate(core) if word in _PARTICLES), len(core))
    short = core[:before_particle]
    if short and short != core:
        forms += [" ".join([*titles, *short]), " ".join(short)]
    if len(short) > 1:
        first = () if short[-1] in ROLES else (short[0], " ".join([*titles, short[0]]))
        forms += [*first, short[-1]]
        forms += [" ".join([title, short[-1]]) for title in titles[-1:]]
    return tuple(form for form in dict.fromkeys(forms) if form not in ARTICLES | TITLES | _PARTICLES)


_TITLES = frozenset(
    "the a an of old young sir lady lord master mistress mister miss mrs mr dame captain sergeant corporal father"
    " mother brother sister doctor dr king queen prince princess saint st uncle aunt widow van von de la le du".split()
)
"""Words of names that stand for nobody by themselves."""


def names_of(npcs: Iterable[tuple[str, str, str]]) -> dict[str, Entity]:
    """Return folded name, or part of one, or what a title says → the NPC; nothing for what several share.

    :param npcs: (id, name, title) of each.
    """
    whole: dict[str, Entity] = {}
    parts: dict[str, list[Entity]] = {}
    for npc_id, name, title in npcs:
        entity = Entity("npc", npc_id, name)
        words = folded(name).split()
        for form in (" ".join(words), folded(npc_id), folded(npc_id).replace("_", " ")):
            whole.setdefault(form, entity)
        if trade := _trade(title):
            parts.setdefault(trade, []).append(entity)
        for word in words:
            if word not in _TITLES and len(word) > 1:
                parts.setdefault(word, []).append(entity)
    return {word: entities[0] for word, entities in parts.items() if len(entities) == 1} | whole


_TRADE = re.compile(
    r"^(?:the |an? )?([\w' -]+?)(?= (?:of|at|in|on|from|for|to|who|with|without|below|behind|by|near)\b|,|$)"
)


def _trade(title: str) -> str:
    """Return what a title calls somebody: "harbour master" of "harbour master of Skerry"; empty for a long one."""
    match = _TRADE.match(folded(title))
    return match[1] if match and len(match[1].split()) <= 2 else ""


def folded(name: str) -> str:
    """Return a name as names are compared."""
    return unicodedata.normalize("NFC", name).strip().casefold()

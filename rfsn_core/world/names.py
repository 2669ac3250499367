"""The forms of a name that people use: "Sir Aldric of the Vale" is also "Sir Aldric" and "Aldric"."""

from __future__ import annotations

from functools import lru_cache

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

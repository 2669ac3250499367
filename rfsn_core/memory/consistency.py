"""Whether an NPC says of itself what it said before, as far as patterns can tell."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rfsn_core.memory.extraction import Statement, from_player


def contradicts_earlier(text: str, earlier: Iterable[str], single_valued: Collection[str]) -> bool:
    """Return whether what an NPC says of itself cannot be true together with what it said before.

    :param single_valued: predicates that have one value at a time, such as `origin`.
    """
    claims = [claim for claim in from_player(text, "") if claim.predicate]
    if not claims:
        return False
    before = [claim for line in earlier for claim in from_player(line, "") if claim.predicate]
    return any(_excludes(one, other, single_valued) for one in claims for other in before)


def _excludes(one: Statement, other: Statement, single_valued: Collection[str]) -> bool:
    if one.predicate != other.predicate:
        return False
    same = one.value.lower() == other.value.lower()
    if one.negated or other.negated:
        return same and one.negated != other.negated
    return not same and one.predicate in single_valued

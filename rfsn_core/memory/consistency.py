"""Whether an NPC says of itself what it said before, as far as patterns can tell."""

from __future__ import annotations

from collections.abc import Container, Iterable

from rfsn_core.memory.beliefs import excludes
from rfsn_core.memory.extraction import from_player


def contradicts_earlier(text: str, earlier: Iterable[str], single_valued: Container[str]) -> bool:
    """Return whether what an NPC says of itself cannot be true together with what it said before.

    :param single_valued: predicates that have one value at a time, such as `origin`.
    """
    claims = list(from_player(text, ""))
    before = (claim for line in earlier for claim in from_player(line, "")) if claims else ()
    return any(excludes(claim, other, single_valued) for other in before for claim in claims)

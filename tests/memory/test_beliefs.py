from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core.contract.storage import MemoryKind, MemoryRecord, MemorySource, MemoryStatus
from rfsn_core.memory.beliefs import RANK, believed, decide, fact_id, in_mind, latest, learn, memory_id

NOW = 1_000_000.0


def fact(value: str, source: MemorySource = MemorySource.PLAYER, **fields: Any) -> MemoryRecord:
    predicate = fields.pop("predicate", "name")
    negated = fields.get("negated", False)
    return MemoryRecord(
        memory_id=fact_id("player", predicate, value, negated),
        kind=MemoryKind.FACT,
        source=source,
        text=f"{predicate} is {value}",
        subject="player",
        predicate=predicate,
        value=value,
        **({"time": NOW} | fields),
    )


def said(text: str, **fields: Any) -> MemoryRecord:
    return MemoryRecord(
        memory_id=memory_id(text), kind=MemoryKind.FACT, source=MemorySource.PLAYER, text=text, time=NOW, **fields
    )


class Mind:
    """What an NPC knows, while it learns."""

    def __init__(self) -> None:
        self.known: dict[str, MemoryRecord] = {}

    def hears(self, memory: MemoryRecord) -> list[MemoryRecord]:
        versions = learn(self.known, memory, NOW)
        self.known |= {version.memory_id: version for version in versions}
        return versions

    def believes(self) -> set[str]:
        return {memory.value or memory.text for memory in believed(self.known.values(), NOW)}


def test_another_value_of_a_single_valued_predicate_takes_its_place() -> None:
    mind = Mind()
    mind.hears(fact("Aldric"))
    (old, new) = mind.hears(fact("Bren"))
    assert (old.status, old.by) == (MemoryStatus.SUPERSEDED, new.memory_id)
    assert "Bren" in old.reason
    assert mind.believes() == {"Bren"}
    mind.hears(fact("Aldric"))
    assert mind.believes() == {"Aldric"}


def test_other_predicates_hold_many_values() -> None:
    mind = Mind()
    for value in ("plums", "rain", "the sea"):
        assert len(mind.hears(fact(value, predicate="likes"))) == 1
    assert mind.believes() == {"plums", "rain", "the sea"}
    mind.hears(fact("rain", predicate="likes", negated=True))
    assert len(believed(mind.known.values(), NOW)) == 3
    assert not any(each.value == "rain" and not each.negated for each in believed(mind.known.values(), NOW))


def test_the_game_outranks_the_player_and_the_claim_is_kept_with_the_reason() -> None:
    mind = Mind()
    mind.hears(fact("a smith", MemorySource.GAME, predicate="trade"))
    (claim,) = mind.hears(fact("a king", predicate="trade"))
    assert claim.status is MemoryStatus.QUARANTINED
    assert "game says trade is a smith" in claim.reason
    assert mind.believes() == {"a smith"}
    mind.hears(fact("a king", predicate="trade"))
    assert mind.believes() == {"a smith"}
    mind.hears(fact("a king", MemorySource.GAME, predicate="trade"))  # now the game says so, too
    assert mind.believes() == {"a king"}


def test_what_is_unsure_is_set_aside_until_it_is_surer() -> None:
    mind = Mind()
    (doubt,) = mind.hears(fact("Aldric", confidence=0.3))
    assert (doubt.status, doubt.reason) == (MemoryStatus.QUARANTINED, "confidence 0.30, below 0.50")
    assert mind.hears(fact("Aldric", confidence=0.4)) == []
    mind.hears(fact("Aldric", confidence=0.8))
    assert mind.believes() == {"Aldric"}
    assert mind.hears(fact("Aldric", confidence=0.8)) == []  # told again, nothing new
    assert len(mind.hears(fact("Aldric", confidence=0.9))) == 1


def test_an_operator_has_the_last_word() -> None:
    mind = Mind()
    mind.hears(fact("Aldric"))
    (forgotten,) = decide(mind.known, mind.known[fact("Aldric").memory_id], MemoryStatus.FORGOTTEN, "asked to", NOW)
    mind.known[forgotten.memory_id] = forgotten
    assert mind.hears(fact("Aldric", confidence=0.99)) == []
    assert mind.believes() == set()
    (let_out,) = decide(mind.known, forgotten, MemoryStatus.ACTIVE, "let out", NOW)
    mind.known[let_out.memory_id] = let_out
    (claim,) = mind.hears(fact("Bren"))
    assert claim.status is MemoryStatus.QUARANTINED
    assert mind.believes() == {"Aldric"}


def test_what_contradicts_a_memory_that_is_let_out_yields_to_it() -> None:
    mind = Mind()
    mind.hears(fact("a smith", MemorySource.GAME, predicate="trade"))
    (claim,) = mind.hears(fact("a king", predicate="trade"))
    (yielding, let_out) = decide(mind.known, claim, MemoryStatus.ACTIVE, "he wears the crown", NOW)
    assert (yielding.value, yielding.status, yielding.by) == ("a smith", MemoryStatus.SUPERSEDED, claim.memory_id)
    assert (let_out.status, let_out.source, let_out.reason) == (
        MemoryStatus.ACTIVE, MemorySource.OPERATOR, "he wears the crown",
    )  # fmt: skip


def test_what_has_expired_is_not_known_and_can_be_learned_again() -> None:
    mind = Mind()
    mind.hears(fact("Harrow", MemorySource.GAME, predicate="location", expires=NOW - 1))
    assert mind.believes() == set()
    mind.hears(fact("the mill", predicate="location"))  # no contradiction: the other one is over
    assert mind.believes() == {"the mill"}
    mind.hears(fact("Harrow", MemorySource.GAME, predicate="location", expires=NOW + 1))
    assert mind.believes() == {"Harrow"}


@pytest.mark.parametrize(
    ("first", "second", "flagged"),
    [
        ("The bridge at Harrow is safe to cross.", "The bridge at Harrow is not safe to cross.", True),
        ("The bridge at Harrow is safe.", "The mill is not for sale.", False),
        ("The miller sold me flour.", "The miller sold me flour again.", False),
    ],
)
def test_free_text_only_raises_a_flag(first: str, second: str, flagged: bool) -> None:
    mind = Mind()
    (one,) = mind.hears(said(first))
    (two,) = mind.hears(said(second))
    assert two.status is MemoryStatus.ACTIVE
    assert two.reason == (f"may contradict {one.memory_id}" if flagged else "")
    assert mind.believes() == {first, second}


def test_the_newest_version_counts_and_too_many_are_the_newest() -> None:
    one, two = said("one"), said("two")
    assert latest([one, two, replace(one, reason="again")]) == [replace(one, reason="again"), two]
    many = [said(f"memory {n}") for n in range(300)]
    assert in_mind(many) == many[-200:]
    assert in_mind([replace(one, status=MemoryStatus.SUPERSEDED), two]) == [two]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from(list(MemorySource)),
            st.sampled_from(["name", "likes"]),
            st.booleans(),
            st.sampled_from([0.2, 0.6, 0.9]),
        ),
        max_size=30,
    )
)
def test_no_order_of_claims_leaves_two_beliefs_that_contradict(claims: list[tuple[Any, ...]]) -> None:
    mind = Mind()
    for value, source, predicate, negated, confidence in claims:
        before = dict(mind.known)
        versions = mind.hears(fact(value, source, predicate=predicate, negated=negated, confidence=confidence))
        assert set(before) <= set(mind.known)  # nothing is deleted
        for version in versions:
            assert version.status is MemoryStatus.ACTIVE or version.reason
            if version.status is MemoryStatus.SUPERSEDED:
                assert RANK[source] >= RANK[before[version.memory_id].source]
    held = believed(mind.known.values(), NOW)
    names = {memory.value for memory in held if memory.predicate == "name" and not memory.negated}
    assert len(names) <= 1
    claims_held = {(memory.predicate, memory.value, memory.negated) for memory in held}
    assert not any((predicate, value, not negated) in claims_held for predicate, value, negated in claims_held)

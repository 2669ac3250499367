from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core.contract.storage import MemoryKind, MemoryRecord, MemorySource, MemoryStatus, latest
from rfsn_core.memory.beliefs import RANK, believed, fact_id, judge, learn, memory_id, working_set

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


class Beliefs:
    """What an NPC knows, while it learns."""

    def __init__(self) -> None:
        self.known: dict[str, MemoryRecord] = {}

    def hears(self, memory: MemoryRecord) -> list[MemoryRecord]:
        versions = learn(self.known, memory, NOW)
        self.known |= {version.memory_id: version for version in versions}
        return versions

    def believes(self) -> set[str]:
        return {memory.value or memory.text for memory in believed(self.known.values(), NOW)}


def test_a_new_value_of_a_single_valued_predicate_supersedes_the_old_one() -> None:
    npc = Beliefs()
    npc.hears(fact("Aldric"))
    (old, new) = npc.hears(fact("Bren"))
    assert (old.status, old.by) == (MemoryStatus.SUPERSEDED, new.memory_id)
    assert "Bren" in old.reason
    assert npc.believes() == {"Bren"}
    npc.hears(fact("Aldric"))
    assert npc.believes() == {"Aldric"}


def test_other_predicates_hold_many_values() -> None:
    npc = Beliefs()
    for value in ("plums", "rain", "the sea"):
        assert len(npc.hears(fact(value, predicate="likes"))) == 1
    assert npc.believes() == {"plums", "rain", "the sea"}
    npc.hears(fact("rain", predicate="likes", negated=True))
    assert len(believed(npc.known.values(), NOW)) == 3
    assert not any(each.value == "rain" and not each.negated for each in believed(npc.known.values(), NOW))


def test_the_game_outranks_the_player_and_the_claim_is_kept_with_the_reason() -> None:
    npc = Beliefs()
    npc.hears(fact("a smith", MemorySource.GAME, predicate="trade"))
    (claim,) = npc.hears(fact("a king", predicate="trade"))
    assert claim.status is MemoryStatus.QUARANTINED
    assert "game says trade is a smith" in claim.reason
    assert npc.believes() == {"a smith"}
    npc.hears(fact("a king", predicate="trade"))
    assert npc.believes() == {"a smith"}
    npc.hears(fact("a king", MemorySource.GAME, predicate="trade"))  # now the game says so, too
    assert npc.believes() == {"a king"}


def test_a_memory_of_low_confidence_is_quarantined_until_it_is_confirmed() -> None:
    npc = Beliefs()
    (doubt,) = npc.hears(fact("Aldric", confidence=0.3))
    assert (doubt.status, doubt.reason) == (MemoryStatus.QUARANTINED, "confidence 0.30, below 0.50")
    assert npc.hears(fact("Aldric", confidence=0.4)) == []
    npc.hears(fact("Aldric", confidence=0.8))
    assert npc.believes() == {"Aldric"}
    assert npc.hears(fact("Aldric", confidence=0.8)) == []  # told again, nothing new
    assert len(npc.hears(fact("Aldric", confidence=0.9))) == 1


def test_an_operator_has_the_last_word() -> None:
    npc = Beliefs()
    npc.hears(fact("Aldric"))
    (forgotten,) = judge(npc.known, npc.known[fact("Aldric").memory_id], MemoryStatus.FORGOTTEN, "asked to", NOW)
    npc.known[forgotten.memory_id] = forgotten
    assert npc.hears(fact("Aldric", confidence=0.99)) == []
    assert npc.believes() == set()
    (let_out,) = judge(npc.known, forgotten, MemoryStatus.ACTIVE, "let out", NOW)
    npc.known[let_out.memory_id] = let_out
    (claim,) = npc.hears(fact("Bren"))
    assert claim.status is MemoryStatus.QUARANTINED
    assert npc.believes() == {"Aldric"}


def test_a_memory_that_an_operator_activates_supersedes_contradictions() -> None:
    npc = Beliefs()
    npc.hears(fact("a smith", MemorySource.GAME, predicate="trade"))
    (claim,) = npc.hears(fact("a king", predicate="trade"))
    (yielding, let_out) = judge(npc.known, claim, MemoryStatus.ACTIVE, "he wears the crown", NOW)
    assert (yielding.value, yielding.status, yielding.by) == ("a smith", MemoryStatus.SUPERSEDED, claim.memory_id)
    assert (let_out.status, let_out.source, let_out.reason) == (
        MemoryStatus.ACTIVE, MemorySource.OPERATOR, "he wears the crown",
    )  # fmt: skip


def test_an_expired_memory_is_not_believed_and_can_be_learned_again() -> None:
    npc = Beliefs()
    npc.hears(fact("Harrow", MemorySource.GAME, predicate="location", expires=NOW - 1))
    assert npc.believes() == set()
    npc.hears(fact("the mill", predicate="location"))  # no contradiction: the other one is over
    assert npc.believes() == {"the mill"}
    npc.hears(fact("Harrow", MemorySource.GAME, predicate="location", expires=NOW + 1))
    assert npc.believes() == {"Harrow"}


@pytest.mark.parametrize(
    ("first", "second", "flagged"),
    [
        ("The bridge at Harrow is safe to cross.", "The bridge at Harrow is not safe to cross.", True),
        ("The bridge at Harrow is safe.", "The mill is not for sale.", False),
        ("The miller sold me flour.", "The miller sold me flour again.", False),
    ],
)
def test_a_contradiction_in_free_text_is_only_flagged(first: str, second: str, flagged: bool) -> None:
    npc = Beliefs()
    (one,) = npc.hears(said(first))
    (two,) = npc.hears(said(second))
    assert two.status is MemoryStatus.ACTIVE
    assert two.reason == (f"may contradict {one.memory_id}" if flagged else "")
    assert npc.believes() == {first, second}


def test_the_newest_version_counts_and_the_newest_memories_are_kept() -> None:
    one, two = said("one"), said("two")
    assert latest([one, two, replace(one, reason="again")]) == [replace(one, reason="again"), two]
    many = [said(f"memory {n}") for n in range(300)]
    assert working_set(many) == many[-200:]
    assert working_set([replace(one, status=MemoryStatus.SUPERSEDED), two]) == [two]


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
def test_no_order_of_claims_leaves_two_contradicting_beliefs(claims: list[tuple[Any, ...]]) -> None:
    npc = Beliefs()
    for value, source, predicate, negated, confidence in claims:
        before = dict(npc.known)
        versions = npc.hears(fact(value, source, predicate=predicate, negated=negated, confidence=confidence))
        assert set(before) <= set(npc.known)  # nothing is deleted
        for version in versions:
            assert version.status is MemoryStatus.ACTIVE or version.reason
            if version.status is MemoryStatus.SUPERSEDED:
                assert RANK[source] >= RANK[before[version.memory_id].source]
    held = believed(npc.known.values(), NOW)
    names = {memory.value for memory in held if memory.predicate == "name" and not memory.negated}
    assert len(names) <= 1
    claims_held = {(memory.predicate, memory.value, memory.negated) for memory in held}
    assert not any((predicate, value, not negated) in claims_held for predicate, value, negated in claims_held)

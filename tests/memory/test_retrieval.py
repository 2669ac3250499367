from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.storage import MemoryKind, MemoryRecord, MemorySource, Scope, SearchHit, TurnRecord, latest
from rfsn_core.kit.search import MAX_TERMS, add_neighbours, terms
from rfsn_core.memory.beliefs import believed, memory_id
from rfsn_core.memory.cards import Card
from rfsn_core.memory.retrieval import rank_hits, rank_memories, recency, salient
from rfsn_core.memory.summaries import MAX_SUMMARY, MIN_SUMMARY, summary
from rfsn_core.memory.update import MemoryRules, MemoryUpdate

NOW = 1_000_000.0
DAY = 86400.0


def memory(text: str, days: float = 0, importance: float = 0.5) -> MemoryRecord:
    return MemoryRecord(
        memory_id=memory_id(text), kind=MemoryKind.FACT, source=MemorySource.GAME, text=text, time=NOW - days * DAY,
        importance=importance,
    )  # fmt: skip


def turn(n: int, player: str, npc: str, outcome: str = "complete", days: float = 0) -> TurnRecord:
    return TurnRecord(f"t{n}", Scope("w", "n", "p"), NOW - days * DAY, player, npc, outcome, "", {})


def test_stop_words_are_not_searched_for() -> None:
    assert terms("What do you know of the ferry, and of the Ferry's bell?") == ["ferry", "bell"]
    assert terms("Who are you?") == []
    assert len(terms(" ".join(f"word{n}" for n in range(100)))) == MAX_TERMS


def test_a_hit_raises_its_neighbours() -> None:
    scores = add_neighbours({5: 1.0})
    assert scores == {5: 1.0, 6: 0.5, 7: 0.3, 4: 0.2}
    assert add_neighbours({1: 1.0}).keys() == {1, 2, 3}
    assert add_neighbours({5: 1.0, 6: 1.0})[6] == 1.5


def test_relevance_counts_more_than_recency() -> None:
    old, new = SearchHit(turn(1, "a", "b", days=60), 1.0), SearchHit(turn(2, "a", "b"), 1.0)
    better = SearchHit(turn(3, "a", "b", days=60), 2.0)
    assert rank_hits([old, new, better], NOW) == [better, new, old]
    assert recency(NOW + 10 * DAY, NOW) == 1.0  # a clock that was set back


def test_memories_with_the_words_of_a_text_rank_first() -> None:
    known = [memory("The player lost a boat."), memory("The player likes plums."), memory("It rained.", importance=0.9)]
    assert rank_memories(known, "Have you seen my boats?", NOW, 1) == [known[0]]
    assert salient(known, NOW, 1) == [known[2]]
    assert rank_memories(known, "", NOW, 0) == []


@given(st.lists(st.tuples(st.text(max_size=200), st.text(max_size=400)), max_size=20))
def test_a_summary_never_exceeds_its_maximum(said: list[tuple[str, str]]) -> None:
    assert len(summary([turn(n, *each) for n, each in enumerate(said)])) <= MAX_SUMMARY


def test_a_summary_has_the_most_telling_sentences_in_order() -> None:
    turns = [
        turn(1, "Has the ferry come back?", "The ferry is gone, and the ferryman with it. Nobody knows more."),
        turn(2, "Hm.", "Aye."),
        turn(3, "[gift] {'what': 'a silver bell'}", "", "event"),
        turn(4, "Who saw the ferryman last?", "The miller saw the ferryman at the weir, before the river rose."),
        *(turn(n, f"Tell me of the river and the weir, number {n}.", "The river rose.") for n in range(5, 15)),
    ]
    made = summary(turns)
    assert MIN_SUMMARY <= len(made) <= MAX_SUMMARY
    assert "ferryman" in made
    assert "Hm" not in made
    assert made.index("ferry") < made.rindex("weir")
    assert summary([]) == ""
    assert summary([turn(1, "…", "")]) == ""


def test_only_the_newest_summaries_count() -> None:
    update = MemoryUpdate({}, Card(), MemoryRules(summary_every=1))
    for n in range(1, 7):
        update.add_turn(turn(n, f"Tell me of the ferry, {n}.", "The ferry is gone."), "question", NpcState(turns=n), ())
    kept = believed(latest(update.changes), NOW)
    assert [memory.turn_id for memory in kept] == ["t4", "t5", "t6"]
    assert len(latest(update.changes)) == 6

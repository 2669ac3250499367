from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core.memory.cards import CARD_BYTES, TRAJECTORY, Card, with_event, with_feelings, with_words


def test_events_are_counted() -> None:
    card = Card()
    for kind in ("gift", "gift", "promise_kept", "promise_broken", "saved_life", "no such kind"):
        card = with_event(card, kind, {})
    card = with_event(card, "betrayal", {"what": "sold the bell", "severity": 0.9})
    card = with_words(card, "insult", promises=2)
    card = with_words(card, "betray", promises=0)
    assert (card.gifts, card.promises_kept, card.promises_broken, card.lives_saved) == (2, 1, 1, 1)
    assert (card.insults, card.promises_made) == (1, 2)
    assert (card.betrayals[0].what, card.betrayals[0].severity) == ("sold the bell", 0.9)
    assert len(card.betrayals) == 2
    assert "The player gave you something twice." in card.lines()
    assert "The player betrayed you: sold the bell." in card.lines()


def test_quests_run_from_start_to_end() -> None:
    card = with_event(Card(), "quest_started", {"quest": "the lost bell"})
    card = with_event(card, "quest_started", {"quest": "the miller's debt"})
    card = with_event(card, "milestone", {"name": "the bell is found"})
    card = with_event(card, "flag", {"name": "knows_the_ford"})
    card = with_event(card, "quest_completed", {"quest": "the lost bell"})
    assert card.quests == ("the miller's debt",)
    assert card.milestones == ("the bell is found", "the lost bell")
    assert card.flags == {"knows_the_ford": True}
    assert with_event(card, "flag", {"name": "knows_the_ford", "value": False}).flags == {"knows_the_ford": False}
    assert with_event(card, "quest_completed", {}).quests == ()


def test_the_trajectory_has_a_point_for_each_change() -> None:
    card = Card()
    for turn, (mood, affinity) in enumerate([("calm", 0.0), ("calm", 0.01), ("calm", 0.2), ("angry", 0.2)], start=1):
        card = with_feelings(card, turn, mood, affinity, 0.5)
    assert [(each.turn, each.mood, each.affinity) for each in card.trajectory] == [
        (1, "calm", 0.0),
        (3, "calm", 0.2),
        (4, "angry", 0.2),
    ]
    for turn in range(100):
        card = with_feelings(card, turn, "calm" if turn % 2 else "sad", 0.0, 0.5)
    assert len(card.trajectory) == TRAJECTORY


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["gift", "betrayal", "quest_started", "quest_completed", "milestone", "flag"]),
            st.dictionaries(
                st.sampled_from(["quest", "name", "what", "severity", "value"]),
                st.one_of(st.text(max_size=80), st.floats(), st.booleans(), st.none(), st.lists(st.text(), max_size=2)),
            ),
        ),
        max_size=80,
    )
)
def test_a_card_stays_within_two_kilobytes_and_survives_storage(events: list[tuple[str, dict[str, Any]]]) -> None:
    card = Card()
    for turn, (kind, data) in enumerate(events):
        card = with_feelings(with_event(card, kind, data), turn, f"mood{turn}", turn / 100, 0.5)
        assert len(msgspec.json.encode(card.plain())) <= CARD_BYTES
        assert Card.from_plain(msgspec.json.decode(msgspec.json.encode(card.plain()))) == card


def test_invalid_card_values_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        Card.from_plain({"gifts": "many"})
    assert Card.from_plain(None) == Card()

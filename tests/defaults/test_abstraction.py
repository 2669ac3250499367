"""The abstraction turns game state into a key and features."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core.defaults.abstraction import Bucket, Buckets, Settings

json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["location", "player"]), inner),
    max_leaves=10,
)
DEFAULT = Buckets(Settings().buckets)


def test_the_key_is_readable_and_ordered() -> None:
    game = {"location": " Tavern ", "quest_state": "active", "player": {"health": 0.5}}
    abstraction = DEFAULT.abstract(game, {"mood": "calm", "trust": 0.7, "signal": "greet", "relationship": "friend"})
    assert abstraction.key.startswith("LOCATION:tavern|QUEST_STATE:active|TIME_OF_DAY:unknown|RELATIONSHIP:friend")
    on = [name for name, value in zip(abstraction.names, abstraction.features, strict=True) if value]
    assert {"location=tavern", "npc.trust=high", "player.health=hurt", "npc.fear=unknown"} <= set(on)
    assert math.isclose(sum(value**2 for value in abstraction.features), 1.0)


@given(st.dictionaries(st.text() | st.sampled_from(["location", "quest_state", "player"]), json))
def test_any_state_has_a_key(game: dict[str, object]) -> None:
    abstraction = DEFAULT.abstract(game, {})
    assert abstraction == DEFAULT.abstract(game, {})
    assert abstraction.key.count("|") == 5
    assert len(abstraction.features) == len(abstraction.names)


@pytest.mark.parametrize(
    ("value", "label"),
    [(0, "low"), (0.29, "low"), (0.3, "middle"), (0.7, "high"), (9, "high"), (-9, "low"), (float("inf"), "high"),
     (float("nan"), "unknown"), (True, "unknown"), ("0.5", "unknown"), (None, "unknown"), ([1], "unknown")],
)  # fmt: skip
def test_numbers_fall_between_edges(value: object, label: str) -> None:
    rule = Bucket(field="x", labels=["low", "middle", "high"], edges=[0.3, 0.7])
    assert Buckets([rule]).abstract({"x": value}, {}).key == f"X:{label}"


def test_the_version_changes_with_the_rules_and_only_then() -> None:
    one, same = (Buckets([Bucket(field="x", labels=["a", "b"])]) for _ in range(2))
    other = Buckets([Bucket(field="x", labels=["a", "c"])])
    assert one.version == same.version != other.version


@pytest.mark.parametrize(
    "bad",
    [{"labels": []}, {"labels": ["a"], "edges": [1]}, {"labels": ["a", "b", "c"], "edges": [2, 1]}, {"labls": ["a"]}],
)
def test_rules_that_make_no_sense_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Bucket.model_validate({"field": "x", **bad})

"""What a provider of the abstraction stage must do."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rfsn_core.contract.abstraction import Abstraction, Abstractor
from rfsn_core.testing.suites.provider import ProviderSuite


class AbstractorSuite(ProviderSuite):
    """For providers of the abstraction stage."""

    stage = "abstraction"

    def test_the_same_state_has_the_same_abstraction(self, tmp_path: Path) -> None:
        game = {"location": "tavern", "quest_state": "active", "player": {"health": 0.4}}
        npc = {"mood": "calm", "affinity": 0.1, "trust": 0.5, "fear": 0.0, "relationship": "friend", "signal": "greet"}
        abstractions: list[Abstraction] = []

        async def body(abstractor: Abstractor) -> None:
            abstractions.append(abstractor.abstract(game, npc))
            abstractions.append(abstractor.abstract(dict(reversed(game.items())), dict(reversed(npc.items()))))

        self.run(tmp_path, body)
        self.run(tmp_path, body)
        assert all(abstraction == abstractions[0] for abstraction in abstractions)

    def test_features_are_bounded_and_named(self, tmp_path: Path) -> None:
        async def body(abstractor: Abstractor) -> None:
            for game in ({}, {"location": "tavern"}, {"location": ["x"], "player": 3}):
                abstraction = abstractor.abstract(game, {})
                assert len(abstraction.features) == len(abstraction.names) == len(set(abstraction.names))
                assert all(math.isfinite(value) and -1 <= value <= 1 for value in abstraction.features)
                assert abstraction.key
                assert abstraction.version

        self.run(tmp_path, body)

    def test_malformed_state_is_unknown_and_never_raises(self, tmp_path: Path) -> None:
        async def body(abstractor: Abstractor) -> None:
            odd: list[Any] = [None, [], {}, "x" * 10_000, 10**400, float("nan"), float("inf"), True, {"a": {"b": 1}}]
            for value in odd:
                game = {"location": value, "quest_state": value, "player": value, "time_of_day": value}
                assert abstractor.abstract(game, {"mood": value, "trust": value}).version

        self.run(tmp_path, body)

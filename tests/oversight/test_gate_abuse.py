"""Texts that are made to keep the built-in gates busy."""

from __future__ import annotations

import time
from typing import Any

import pytest

from rfsn_core.contract.gating import Utterance
from rfsn_core.defaults.gating import Ngrams, NgramSettings, Rules, RuleSettings


@pytest.mark.parametrize("gate", [Rules(RuleSettings()), Ngrams(NgramSettings())])
async def test_no_text_takes_long(gate: Any) -> None:
    worst = (
        "a" * 8000, "a " * 4000, "kill " * 1600, "how to " * 1100, "1 " * 4000, "i want to " * 800, "é" * 8000,
        "\u200b" * 8000, "k i l l " * 1000, "a1" * 4000, "я" * 8000, "自" * 8000, '"' * 8000, "(*" * 4000,
        "all jews are " * 600, "your real " * 800, "!" * 8000,
    )  # fmt: skip
    for text in worst:
        start = time.process_time()
        await gate.check(Utterance(text, "player", "smith"))
        assert time.process_time() - start < 2, text[:20]
    assert (await gate.check(Utterance("x" * 100_000, "player", "smith"))).reasons == ("too_long",)

"""Nothing that no gate has judged reaches a player, a voice, the memory or a prompt, whatever a model streams."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from rfsn_core import protocol
from rfsn_core.contract.gating import Utterance, Verdict
from rfsn_core.defaults.gating import Ngrams, NgramSettings, Rules, RuleSettings
from rfsn_core.kit.folding import fold
from rfsn_core.testing.isolated import kernel, plugin, turn
from rfsn_core.testing.scripted import Memory, Tokens, Tone

BAD = "vorpal"
PIECES = (
    "The road ", "is long. ", "vorp", "al ", "VORPAL! ", "*nods* ", "(a vorpal smile) ", "- vorpal\n", '"vorpal," ',
    "orpal", "<think>vorpal</think>", "One. ", "Two? ", "\n", "```vorpal```", "FINAL_JSON {", "Smith: ", "。", "…", "v",
    "\u200b",
)  # fmt: skip


class Strict:
    """Stops every text with the bad word in it, and keeps what it allowed."""

    def __init__(self) -> None:
        self.allowed: set[str] = set()

    async def check(self, utterance: Utterance) -> Verdict:
        if BAD in fold(f"{utterance.before} {utterance.text}").folded:
            return Verdict("block", ("hate",), risk=0.9)
        self.allowed.add(utterance.text)
        return Verdict("allow")


async def test_fuzzed_turns_show_only_what_a_gate_has_allowed(tmp_path: Path) -> None:
    dice = random.Random(7)
    gate, store, voice = Strict(), Memory(), Tone()
    renderer = Tokens(lambda prompt: [dice.choice(PIECES) for _ in range(dice.randrange(1, 30))])
    offered = plugin(rendering={"t": renderer}, gating={"g": gate}, storage={"m": store}, speech={"v": voice})
    async with kernel(tmp_path, offered) as it:
        for number in range(40):
            said = "".join(dice.choice(PIECES) for _ in range(3)).strip()
            got = await turn(it, said or "hello", player=f"p{number % 5}")
            for item in got:
                if isinstance(item, protocol.Sentence | protocol.Text | protocol.Narration | protocol.TurnFinished):
                    text = item.delta if isinstance(item, protocol.Text) else item.text
                    assert BAD not in fold(text).folded, text
    for record in (*store.turns, *renderer.prompts):
        for name in ("player_text", "npc_text", "messages"):
            assert BAD not in fold(str(getattr(record, name, ""))).folded


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

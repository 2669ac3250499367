"""What a gate stops of a model's or a player's words leaves the program nowhere, however it is cut into tokens."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from rfsn_core import protocol
from rfsn_core.contract.gating import Utterance, Verdict
from rfsn_core.contract.rendering import Prompt, RenderOptions
from rfsn_core.kernel import conversation
from rfsn_core.testing import NPC, kernel, plugin
from rfsn_core.testing.scripted import Tone
from rfsn_core.turn.outbox import Audio

FORBIDDEN = "zorgle"
PIECES = [
    "Good evening. ", "the ferry ", "is late", ", traveller", "! ", "… ", "\n", "\n\n", "- ", "1. ", "* ", "**", "*",
    "_", '"', "“", "”", "'", "(", ")", "[", "]", "<think>", "</think>", "<|im_end|>", "[INST]", "```", "`", "#", "## ",
    "FINAL_JSON ", '{"action": "greet", "claims": ["', '"]}', "Innkeeper: ", "Player: ", "</conversation>", "🐉",
    "\u200b", "\u00ad", "\u202e", "ß", "こんにちは。", "。", "؟", "।", "3.14", "$5", "Dr. ", "e.g. ", "www.a.b",
    "a" * 90 + " ", f"{FORBIDDEN} ", f"{FORBIDDEN}. ", f"{FORBIDDEN}", FORBIDDEN.upper(), FORBIDDEN.title() + "! ",
]  # fmt: skip


def letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.casefold())


def files_with(word: bytes, folder: Path) -> list[Path]:
    """Return the files that contain a word, except the list of stopped texts that operators review."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("gate.sqlite"))
    return [path for path in files if word in path.read_bytes().lower()]


class Strict:
    """A gate that stops one word, however it is written."""

    def __init__(self) -> None:
        self.stopped = 0

    async def check(self, utterance: Utterance) -> Verdict:
        if FORBIDDEN not in letters(utterance.text):
            return Verdict("allow")
        self.stopped += 1
        return Verdict("block", ("forbidden",))


class Babble:
    """A model that says anything, in tokens that are cut anywhere."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    async def render(self, prompt: Prompt, options: RenderOptions) -> AsyncIterator[str]:
        draw = self._random
        text = "".join(draw.choices(PIECES, k=draw.randrange(1, 40)))
        while text:
            size = draw.choice((1, 1, 2, 3, 5, 8, 40, 400))
            yield text[:size]
            text = text[size:]


def said(draw: random.Random) -> str:
    """Return what a player says; every third time something that may be stopped."""
    return "" if draw.randrange(3) else "".join(draw.choices(PIECES, k=3)).strip()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("turns", [40, pytest.param(20_000, marks=pytest.mark.attack)])
async def test_nothing_that_the_gate_stops_leaves_the_program(tmp_path: Path, turns: int) -> None:
    gate, voice, player = Strict(), Tone(ms_per_character=1), random.Random(7)
    offered = plugin(rendering={"babble": Babble(7)}, gating={"strict": gate}, speech={"tone": voice})
    settings = {
        "gating": {"providers": ["strict"]},
        "memory": {"summary_every": 20},
        "rendering": {"breaker_failures": 1_000_000},
    }
    wants = protocol.Hello(text=True, visemes=True)
    async with kernel(tmp_path, offered, settings=settings) as it:
        for number in range(turns):
            text = said(player) or "Good evening."
            message = protocol.PlayerTurn(npc=NPC, text=text, player=f"p{number % 50}")
            if number % 4:  # audio costs most of the time
                wants.audio = number % 16 == 1
            async for item in conversation(it, message, wants):
                told = "" if isinstance(item, Audio) else letters(msgspec.json.encode(item).decode())
                assert FORBIDDEN not in told, (number, item)
            if number % 500 == 0:
                shown = await it.preview(message)
                assert FORBIDDEN not in letters(str(shown)), number
    assert gate.stopped > turns / 4
    assert not [text for text in voice.spoken if FORBIDDEN in letters(text)]
    assert not files_with(FORBIDDEN.encode(), tmp_path)

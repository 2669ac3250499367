"""Stage directions: an event of their own, with a voice of their own, and no part of what the NPC said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rfsn_core import protocol
from rfsn_core.contract.gating import Verdict
from rfsn_core.contract.speech import Speech, VoiceStyle
from rfsn_core.testing import kernel, plugin, turn
from rfsn_core.testing.scripted import Judge, Memory, Tokens, Tone
from rfsn_core.turn.outbox import Audio, Item

REPLY = ["*wipes the counter* Well met", ". *She leans clo", "ser.* Sit down.\nNarrator: The fire", " crackles."]


class Styled(Tone):
    """Keeps the voice of each text that it speaks."""

    def __init__(self) -> None:
        super().__init__(ms_per_character=1)
        self.by: dict[str, str] = {}

    async def speak(self, text: str, voice: VoiceStyle) -> AsyncIterator[Speech]:
        self.by[text] = voice.voice
        async for speech in super().speak(text, voice):
            yield speech


def told(items: list[Item]) -> list[tuple[int, str]]:
    kinds = (protocol.Narration, protocol.Sentence)
    return [(item.index, item.text) for item in items if isinstance(item, kinds)]


async def play(folder: Path, manner: str, *parts: object) -> tuple[list[Item], Styled, Memory]:
    voice, store = Styled(), Memory()
    settings = {"rendering": {"narration": manner}, "speech": {"narrator": "old man"}}
    providers = plugin(rendering={"t": Tokens(REPLY)}, speech={"v": voice}, storage={"m": store})
    async with kernel(folder, providers, *parts, settings=settings) as it:  # type: ignore[arg-type]
        return await turn(it), voice, store


@pytest.mark.parametrize("manner", ["show", "voice"])
async def test_what_the_npc_does_is_told_in_its_place(tmp_path: Path, manner: str) -> None:
    items, voice, store = await play(tmp_path, manner)
    assert told(items) == [
        (0, "wipes the counter"),
        (1, "Well met."),
        (2, "She leans closer."),
        (3, "Sit down."),
        (4, "The fire crackles."),
    ]
    assert store.turns[0].npc_text == "Well met. Sit down."
    spoken = list(voice.by)
    assert spoken == (["Well met.", "Sit down."] if manner == "show" else [text for _, text in told(items)])
    if manner == "voice":
        assert voice.by["wipes the counter"] == "old man"
        assert voice.by["Well met."] != "old man"
    sounding = {protocol.read_audio_frame(item.frame).sentence for item in items if isinstance(item, Audio)}
    assert sounding == ({1, 3} if manner == "show" else {0, 1, 2, 3, 4})


async def test_what_the_npc_does_can_be_left_out(tmp_path: Path) -> None:
    items, voice, _ = await play(tmp_path, "drop")
    assert told(items) == [(0, "Well met."), (1, "Sit down.")]
    assert voice.spoken == ["Well met.", "Sit down."]


async def test_the_gate_checks_what_the_npc_does(tmp_path: Path) -> None:
    gate = Judge({"leans": Verdict("block", ("harmful_content",)), "wipes": Verdict("rewrite", ("x",), "works")})
    items, _, _ = await play(tmp_path, "show", plugin(gating={"g": gate}))
    assert told(items) == [(0, "works"), (1, "Well met."), (3, "Sit down."), (4, "The fire crackles.")]
    blocked = [item for item in items if isinstance(item, protocol.SentenceBlocked)]
    assert [(item.index, item.reasons) for item in blocked] == [(2, ["harmful_content"])]

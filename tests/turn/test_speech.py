from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core import protocol
from rfsn_core.contract.npc import MOODS as ALL_MOODS
from rfsn_core.contract.speech import VoiceStyle
from rfsn_core.testing import NPC, kernel, kinds, plugin, turn
from rfsn_core.testing.scripted import Memory, Tokens, Tone
from rfsn_core.turn.outbox import Outbox
from rfsn_core.turn.speech import MOODS, STYLES, expressed, until
from rfsn_core.world import actions


def test_mood_and_style_move_the_voice_a_little() -> None:
    plain = VoiceStyle("af", 1.2, 0.9, 1.0)
    angry = expressed(plain, "angry", "terse_direct")
    assert angry.rate > plain.rate
    assert angry.volume > plain.volume
    assert (angry.voice, angry.mood, angry.style) == ("af", "angry", "terse_direct")
    calm = expressed(plain, "calm", "neutral_balanced")
    assert (calm.rate, calm.pitch, calm.volume) == (1.2, 0.9, 1.0)
    assert set(MOODS) <= set(ALL_MOODS)
    assert set(STYLES) <= set(actions.STYLES)


async def test_settings_keep_the_voice_as_it_is(tmp_path: Path) -> None:
    seen: dict[bool, VoiceStyle] = {}

    class Listening(Tone):
        def speak(self, text: str, voice: VoiceStyle):  # type: ignore[no-untyped-def]
            seen[on] = voice
            return super().speak(text, voice)

    for on in (True, False):
        offered = plugin(rendering={"t": Tokens(["All quiet."])}, speech={"tone": Listening()})
        settings = {"speech": {"provider": "tone", "expressive": on}}
        async with kernel(tmp_path / str(on), offered, settings=settings) as it:
            await turn(it, "You fool! I hate you!", wants=protocol.Hello(audio=True))
    assert seen[True].mood
    assert seen[False] == VoiceStyle()


@pytest.mark.parametrize(
    ("share", "heard"),
    [(0.0, ""), (0.2, "The—"), (0.5, "The river—"), (0.99, "The river rose, and—"), (1.0, "The river rose, and fell.")],
)
def test_a_sentence_is_cut_at_the_word(share: float, heard: str) -> None:
    assert until("The river rose, and fell.", share) == heard


@given(st.text("ab ,.", max_size=60), st.floats(0, 1))
def test_what_was_heard_is_the_beginning_of_what_was_said(text: str, share: float) -> None:
    assert text.startswith(until(text, share).removesuffix("—"))


async def test_the_npc_remembers_what_was_heard_to_the_word(tmp_path: Path) -> None:
    store = Memory()
    words = ["The river rose in the night, and the ferry has not come back. ", "Nobody crosses."]
    offered = plugin(rendering={"t": Tokens(words)}, speech={"tone": Tone(interval=0.001)}, storage={"m": store})
    async with kernel(tmp_path, offered) as it:
        outbox = Outbox(patience=60)
        running = it.begin(protocol.PlayerTurn(npc=NPC, text="What happened?"), outbox, protocol.Hello(audio=True))
        while not isinstance(item := await outbox.get(), protocol.SpeechFinished):
            pass
        running.played(0, item.duration_ms // 2)
        running.cancel("barge_in")
        await asyncio.wait([running.task])
    assert store.turns[0].npc_text == "The river rose in the night—"


async def test_a_voice_that_keeps_failing_is_left_alone_and_then_tried(tmp_path: Path) -> None:
    broken, spare = Tone(fail_after=0), Tone()
    offered = plugin(rendering={"t": Tokens(["All quiet."])}, speech={"broken": broken, "spare": spare})
    settings = {
        "speech": {
            "provider": "broken",
            "fallback": ["spare"],
            "breaker_failures": 2,
            "breaker_seconds": 60,
            "cache_mb": 0,
        }
    }
    told: list[str] = []
    async with kernel(tmp_path, offered, settings=settings) as it:
        it.runtimes.announcements.subscribe(lambda event: told.append(f"{event.stage} {event.state}"))  # type: ignore[attr-defined]
        for _ in range(4):
            assert "audio" in kinds(await turn(it, wants=protocol.Hello(audio=True)))
        assert len(broken.spoken) == 2
        assert told == ["speech open"]
        broken.fail_after = None
        it.runtimes.current.voices[0].breaker._clock = lambda: time.monotonic() + 61
        await turn(it, wants=protocol.Hello(audio=True))
    assert len(broken.spoken) == 3
    assert told == ["speech open", "speech half_open", "speech closed"]
    assert len(spare.spoken) == 4


async def test_shapes_are_estimated_where_the_voice_tells_none(tmp_path: Path) -> None:
    class Blind(Tone):
        async def speak(self, text: str, voice: VoiceStyle):  # type: ignore[no-untyped-def]
            async for speech in super().speak(text, voice):
                yield type(speech)(speech.pcm)

    offered = plugin(rendering={"t": Tokens(["All quiet at the ferry."])}, speech={"blind": Blind()})
    async with kernel(tmp_path, offered) as it:
        got = await turn(it, wants=protocol.Hello(audio=True, visemes=True))
    shown = [item for item in got if isinstance(item, protocol.Visemes)]
    assert shown
    assert all(each.estimated for each in shown)
    edges = [edge for each in shown for viseme in each.visemes for edge in (viseme.start_ms, viseme.end_ms)]
    assert edges == sorted(edges)
    finished = next(item for item in got if isinstance(item, protocol.SpeechFinished))
    assert edges[-1] <= finished.duration_ms + 1

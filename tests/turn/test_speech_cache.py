from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import Any

from rfsn_core import protocol
from rfsn_core.contract.speech import Speech, VoiceStyle
from rfsn_core.testing import kernel, plugin, turn
from rfsn_core.testing.scripted import Tokens, Tone
from rfsn_core.turn import speech_cache as cache
from rfsn_core.turn.speech_cache import CachedVoice


def sound(size: int) -> tuple[Speech, ...]:
    return (Speech(b"x" * size),)


def test_bytes_are_counted_the_least_recently_used_goes_first_and_the_old_go_too() -> None:
    now = 0.0
    kept = cache.make(1000, 10, lambda: now)
    keys = {name: ("tone", name, VoiceStyle()) for name in "abcde"}
    for name in "abc":
        kept[keys[name]] = sound(50)
    assert kept.get(keys["a"])
    for name in "de":
        kept[keys[name]] = sound(50)
    assert set(kept) == {keys[name] for name in "acde"} - {keys["b"]}
    assert kept.currsize == 4 * (50 + cache.EMPTY)
    now = 11
    assert kept.get(keys["a"]) is None


async def say(voice: CachedVoice, text: str = "Hello there.", **style: Any) -> bytes:
    return b"".join([speech.pcm async for speech in voice.speak(text, VoiceStyle(**style))])


async def test_what_was_said_is_not_made_again() -> None:
    tone, kept = Tone(), cache.make(10_000_000, 10)
    voice = CachedVoice(tone, kept, "tone")
    first = await say(voice)
    assert await say(voice) == first
    assert tone.spoken == ["Hello there."]
    await say(voice, rate=2.0)
    await say(CachedVoice(tone, kept, "another"))
    assert len(tone.spoken) == 3


async def test_what_is_longer_than_the_cache_is_spoken_all_the_same() -> None:
    kept = cache.make(100, 10)
    assert await say(CachedVoice(Tone(), kept, "tone"))
    assert len(kept) == 0


async def test_what_broke_off_is_not_kept() -> None:
    tone = Tone()
    voice = CachedVoice(tone, cache.make(10_000_000, 10), "tone")
    async with aclosing(voice.speak("Hello there.", VoiceStyle())) as stream:
        await anext(stream)
    assert tone.running == 0
    await say(voice)
    assert len(tone.spoken) == 2


async def test_a_turn_uses_it_and_settings_turn_it_off(tmp_path: Path) -> None:
    for megabytes, times in ((64, 1), (0, 2)):
        tone = Tone()
        offered = plugin(rendering={"tokens": Tokens(["Hello there."])}, speech={"tone": tone})
        settings = {"speech": {"provider": "tone", "cache_mb": megabytes, "expressive": False}}
        async with kernel(tmp_path / str(megabytes), offered, settings=settings) as it:
            heard = [await turn(it, "Hello!", wants=protocol.Hello(audio=True)) for _ in range(2)]
        assert len(tone.spoken) == times
        frames = [[item.frame[12:] for item in got if not isinstance(item, protocol.Message)] for got in heard]
        assert frames[0] == frames[1] != []

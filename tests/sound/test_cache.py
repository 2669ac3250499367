from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rfsn_core import events
from rfsn_core.providers import Speech, VoiceStyle
from rfsn_core.sound.cache import Cache, CachedVoice
from rfsn_core.testing import kernel, plugin, turn
from rfsn_core.testing.scripted import Tokens, Tone


def sound(size: int) -> tuple[Speech, ...]:
    return (Speech(b"x" * size),)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 400))))
def test_the_bound_is_kept(puts: list[tuple[int, int]]) -> None:
    cache = Cache(2000, 10)
    for key, size in puts:
        cache.put(key, sound(size))
        assert cache.size <= 2000
        assert cache.size == sum(size for _, size, _ in cache._kept.values())


def test_the_least_recently_used_goes_first_and_the_old_go_too() -> None:
    now = 0.0
    cache = Cache(1000, 10, lambda: now)
    for key in "abc":
        cache.put(key, sound(50))
    assert cache.get("a")
    for key in "de":
        cache.put(key, sound(50))
    assert cache.get("b") is None
    assert cache.get("a")
    now = 11
    assert cache.get("a") is None
    assert cache.size == 3 * 250
    cache.put("large", sound(900))
    assert cache.get("large") is None


async def say(voice: CachedVoice, text: str = "Hello there.", **style: Any) -> bytes:
    return b"".join([speech.pcm async for speech in voice.speak(text, VoiceStyle(**style))])


async def test_what_was_said_is_not_made_again() -> None:
    tone, cache = Tone(), Cache(10_000_000, 10)
    voice = CachedVoice(tone, cache, "tone")
    first = await say(voice)
    assert await say(voice) == first
    assert tone.spoken == ["Hello there."]
    await say(voice, rate=2.0)
    await say(CachedVoice(tone, cache, "another"))
    assert len(tone.spoken) == 3


async def test_what_broke_off_is_not_kept() -> None:
    tone = Tone()
    voice = CachedVoice(tone, Cache(10_000_000, 10), "tone")
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
            heard = [await turn(it, "Hello!", wants=events.Hello(audio=True)) for _ in range(2)]
        assert len(tone.spoken) == times
        frames = [[item.frame[12:] for item in got if not isinstance(item, events.Message)] for got in heard]
        assert frames[0] == frames[1] != []

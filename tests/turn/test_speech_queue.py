"""The queue of sentences for the voice: bounded, in order, and each sentence is spoken or reported as dropped."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TypeVar, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core import protocol
from rfsn_core.contract.speech import VoiceStyle
from rfsn_core.settings.schema import QueuePolicy
from rfsn_core.testing import NPC, kernel, plugin, turn
from rfsn_core.testing.scripted import Tokens, Tone
from rfsn_core.turn.outbox import Item, Outbox
from rfsn_core.turn.speech_queue import SpeechQueue

POLICIES: tuple[QueuePolicy, ...] = get_args(QueuePolicy)


T = TypeVar("T")


def of_type(items: list[Item], kind: type[T]) -> list[T]:
    return [item for item in items if isinstance(item, kind)]


async def spoken(queue: SpeechQueue) -> list[int]:
    queue.close()
    sentences = []
    while (sentence := await queue.get()) is not None:
        sentences.append(sentence.number)
    return sentences


@given(
    st.sampled_from(POLICIES),
    st.integers(1, 4),
    st.lists(st.sampled_from(["put", "put", "get", "grow", "shrink"]), max_size=60),
)
def test_each_sentence_is_spoken_in_order_or_reported_as_dropped(
    policy: QueuePolicy, bound: int, uses: list[str]
) -> None:
    async def use() -> None:
        queue = SpeechQueue(bound, policy, 10)
        limit, put = bound, 0
        got: list[int] = []
        dropped: list[int] = []
        for what in uses:
            if what == "put" and not (policy == "wait" and len(queue) >= limit):
                dropped += [sentence.number for sentence in await queue.put(put, "A sentence.")]
                put += 1
            elif what == "get" and len(queue):
                got.append((await queue.get()).number)  # type: ignore[union-attr]
            elif what in ("grow", "shrink"):
                limit = limit + 1 if what == "grow" else max(1, limit - 1)
                dropped += [sentence.number for sentence in queue.resize(limit)]
            assert len(queue) <= limit or policy == "wait"
        got += await spoken(queue)
        assert got == sorted(got)
        assert sorted(got + dropped) == list(range(put))

    asyncio.run(use())


@pytest.mark.parametrize(
    ("policy", "left"),
    [("drop_newest", [0, 1, 2]), ("drop_oldest", [2, 3, 4]), ("reject", [0, 1, 2]), ("keep_ends", [0, 3, 4])],
)
async def test_each_policy_drops_its_own_sentences(policy: QueuePolicy, left: list[int]) -> None:
    queue = SpeechQueue(3, policy, 60)
    dropped = [sentence.number for n in range(5) for sentence in await queue.put(n, "A sentence.")]
    assert await spoken(queue) == left
    assert set(dropped) == set(range(5)) - set(left)


async def test_after_a_rejection_nothing_more_of_the_turn_is_spoken() -> None:
    queue = SpeechQueue(1, "reject", 60)
    dropped = [await queue.put(0, "One."), await queue.put(1, "Two.")]
    assert (await queue.get()).number == 0  # type: ignore[union-attr]
    dropped.append(await queue.put(2, "Three."))
    assert await spoken(queue) == []
    assert [[sentence.number for sentence in sentences] for sentences in dropped] == [[], [1], [2]]


async def test_a_sentence_is_late_after_its_time() -> None:
    now = [0.0]
    queue = SpeechQueue(3, "wait", 10, lambda: now[0])
    await queue.put(0, "One.")
    now[0] = 11
    await queue.put(1, "Two.")
    first, second = await queue.get(), await queue.get()
    assert first is not None
    assert second is not None
    assert (queue.is_late(first), queue.is_late(second)) == (True, False)


async def test_words_wait_for_the_voice() -> None:
    queue = SpeechQueue(1, "wait", 60)
    await queue.put(0, "One.")
    second = asyncio.create_task(queue.put(1, "Two."))
    await asyncio.sleep(0)
    assert not second.done()
    assert (await queue.get()).number == 0  # type: ignore[union-attr]
    await asyncio.wait_for(second, 1)
    queue.resize(2)
    await asyncio.wait_for(queue.put(2, "Three."), 1)


async def test_sentences_that_wait_when_a_turn_is_cancelled_are_forgotten_and_counted() -> None:
    queue = SpeechQueue(3, "wait", 60)
    await queue.put(0, "One.")
    await queue.put(1, "Two.")
    assert (queue.abandon(), len(queue)) == (2, 0)


WORDS = ["First, the ferry. ", "Second, the bell. ", "Third, the bridge. ", "Fourth, the mill. ", "Fifth, the rope."]


async def test_a_voice_that_falls_behind_leaves_sentences_out_and_the_text_goes_on(tmp_path: Path) -> None:
    class Slow(Tone):
        async def speak(self, text: str, voice: VoiceStyle):  # type: ignore[no-untyped-def]
            await asyncio.sleep(0.1)
            async for speech in super().speak(text, voice):
                yield speech

    slow = Slow()
    offered = plugin(rendering={"t": Tokens(WORDS)}, speech={"slow": slow})
    settings = {"speech": {"provider": "slow", "queue": 2, "when_full": "keep_ends"}}
    async with kernel(tmp_path, offered, settings=settings) as it:
        got = await turn(it, wants=protocol.Hello(audio=True))
        dropped_count = it.turns.sentences_dropped
        assert it.turns.sentences_waiting == 0
    dropped = [item.sentence for item in of_type(got, protocol.SpeechDropped)]
    finished = [item.sentence for item in of_type(got, protocol.SpeechFinished)]
    assert sorted(dropped + finished) == [0, 1, 2, 3, 4]
    assert len(dropped) == dropped_count >= 2
    assert (finished[0], finished[-1]) == (0, 4)
    assert [item.index for item in of_type(got, protocol.Sentence)] == [0, 1, 2, 3, 4]
    assert of_type(got, protocol.TurnFinished)[0].text == "".join(WORDS)
    assert slow.spoken[-1] == WORDS[-1]


async def test_the_queue_is_resized_while_an_npc_speaks(tmp_path: Path) -> None:
    hold = asyncio.Event()

    class Held(Tone):
        async def speak(self, text: str, voice: VoiceStyle):  # type: ignore[no-untyped-def]
            await hold.wait()
            async for speech in super().speak(text, voice):
                yield speech

    offered = plugin(rendering={"t": Tokens(WORDS)}, speech={"held": Held()})
    settings = {"speech": {"provider": "held", "when_full": "drop_oldest"}}
    async with kernel(tmp_path, offered, settings=settings) as it:
        outbox = Outbox(patience=60)
        running = it.begin(protocol.PlayerTurn(npc=NPC, text="Speak!"), outbox, protocol.Hello(audio=True))
        while it.turns.sentences_waiting < 4:  # noqa: ASYNC110  (the queue tells nobody how full it is)
            await asyncio.sleep(0.005)
        waiting = it.turns.sentences_waiting  # 4, or 5 when the voice has not begun
        it.turns.speech_queue = 1
        assert it.turns.sentences_waiting == 1
        assert it.turns.sentences_dropped == waiting - 1
        hold.set()
        await asyncio.wait([running.task])
        assert it.turns.sentences_dropped == waiting - 1
        assert it.turns.speech_queue == 1


async def test_a_sentence_that_comes_too_late_is_not_spoken(tmp_path: Path) -> None:
    class Slow(Tone):
        async def speak(self, text: str, voice: VoiceStyle):  # type: ignore[no-untyped-def]
            await asyncio.sleep(0.1)
            async for speech in super().speak(text, voice):
                yield speech

    offered = plugin(rendering={"t": Tokens(WORDS)}, speech={"slow": Slow()})
    settings = {"speech": {"provider": "slow", "queue_seconds": 0.05}}
    async with kernel(tmp_path, offered, settings=settings) as it:
        got = await turn(it, wants=protocol.Hello(audio=True))
    dropped = of_type(got, protocol.SpeechDropped)
    assert {item.reason for item in dropped} == {"late"}
    assert len(dropped) + len(of_type(got, protocol.SpeechFinished)) == len(WORDS)

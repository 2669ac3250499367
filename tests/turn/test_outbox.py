"""The queue of messages for a client: bounded, in order, text never dropped."""

from __future__ import annotations

import asyncio
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core import protocol
from rfsn_core.settings.schema import AudioPolicy
from rfsn_core.turn.outbox import Audio, Item, Outbox

POLICIES: tuple[AudioPolicy, ...] = get_args(AudioPolicy)


def frame(number: int, turn: int = 1) -> Audio:
    return Audio(turn, bytes([number]))


def audio_waiting(outbox: Outbox) -> int:
    return sum(isinstance(item, Audio) for item in outbox._items)


async def drain(outbox: Outbox) -> list[Item]:
    return [await outbox.get() for _ in range(len(outbox))]


@given(
    st.sampled_from(POLICIES),
    st.integers(1, 4),
    st.lists(st.sampled_from(["text", "audio", "get", "purge"]), max_size=60),
)
def test_order_bound_and_count_are_right_after_any_use(policy: AudioPolicy, bound: int, uses: list[str]) -> None:
    async def use() -> None:
        outbox = Outbox(audio=bound, policy=policy, patience=0)
        put: list[Item] = []
        got: list[Item] = []
        purged = 0
        for number, what in enumerate(uses):
            if what == "text":
                outbox.put(protocol.Pong(id=str(number)))
                put.append(protocol.Pong(id=str(number)))
            elif what == "audio":
                put.append(frame(number))
                await outbox.put_audio(frame(number))
            elif what == "get" and len(outbox):
                got.append(await outbox.get())
            elif what == "purge":
                purged += outbox.purge(1)
            assert audio_waiting(outbox) <= bound
            assert outbox.full == (audio_waiting(outbox) == bound)
        got += await drain(outbox)
        assert [item for item in got if not isinstance(item, Audio)] == [i for i in put if not isinstance(i, Audio)]
        positions = [put.index(item) for item in got]
        assert positions == sorted(positions)
        assert len(put) == len(got) + outbox.dropped + purged

    asyncio.run(use())


@pytest.mark.parametrize(
    ("policy", "left"),
    [("drop_newest", [0, 1, 2]), ("drop_oldest", [2, 3, 4]), ("reject", [0, 1, 2]), ("keep_ends", [0, 3, 4])],
)
async def test_each_policy_drops_its_own_frames(policy: AudioPolicy, left: list[int]) -> None:
    outbox = Outbox(audio=3, policy=policy, patience=0)
    taken = [await outbox.put_audio(frame(number)) for number in range(5)]
    assert [item.frame[0] for item in await drain(outbox) if isinstance(item, Audio)] == left
    assert taken[3:] == [policy in ("drop_oldest", "keep_ends")] * 2
    assert outbox.dropped == 2


async def test_a_frame_waits_for_room_before_one_is_dropped() -> None:
    outbox = Outbox(audio=1, patience=10)
    await outbox.put_audio(frame(0))
    waiting = asyncio.create_task(outbox.put_audio(frame(1)))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await outbox.get() == frame(0)
    assert await waiting
    assert outbox.dropped == 0


async def test_an_outbox_overflows_when_its_reader_is_too_far_behind_and_keeps_nothing_more() -> None:
    outbox = Outbox(messages=3)
    overflow = asyncio.create_task(outbox.overflow())
    for number in range(4):
        outbox.put(protocol.Pong(id=str(number)))
    await overflow
    assert len(outbox) == 0
    with pytest.raises(EOFError):
        await outbox.get()
    outbox.put(protocol.Pong())
    assert not await outbox.put_audio(frame(0))
    assert len(outbox) == 0


async def test_closing_wakes_readers_and_writers_and_queued_items_are_still_read() -> None:
    outbox = Outbox(audio=1, patience=10)
    await outbox.put_audio(frame(0))
    waiting = asyncio.create_task(outbox.put_audio(frame(1)))
    await asyncio.sleep(0)
    outbox.close()
    assert not await waiting
    assert await outbox.get() == frame(0)
    with pytest.raises(EOFError):
        await outbox.get()

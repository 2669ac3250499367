"""The messages and audio that wait to be sent to one client: messages are never dropped, audio is by policy."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from rfsn_core.contract.time_limit import time_limit
from rfsn_core.protocol.messages import Message
from rfsn_core.settings.schema import AudioPolicy
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn.bounded_queue import BoundedQueue


class Audio(NamedTuple):
    """A binary frame, and the turn it belongs to."""

    turn_no: int
    frame: bytes


Item = Message | Audio


class Outbox(BoundedQueue[Item]):
    """The queue of one client, with one reader.

    Messages are always taken, until `messages` of them wait: then the outbox has overflowed, is empty and closed, and
    the connection that waits in `overflow` is closed. Audio waits up to `patience` seconds for room; then the policy
    says which frame is dropped: see BoundedQueue. With `reject` the rest of the sentence is dropped too.
    """

    def __init__(
        self, *, messages: int = 10_000, audio: int = 512, policy: AudioPolicy = "drop_oldest", patience: float = 1.0
    ) -> None:
        super().__init__(audio, policy)
        self._messages, self._patience = messages, patience
        self._overflowed = asyncio.Event()
        self.dropped = 0
        """Audio frames dropped so far."""

    def is_bounded(self, item: Item) -> bool:
        """Return whether an item counts towards the bound: audio only."""
        return isinstance(item, Audio)

    def put(self, message: Message) -> None:
        """Queue a message."""
        if self.closed:
            return
        if len(self._items) - self._bounded >= self._messages:
            self.discard(lambda item: True)
            self._overflowed.set()
            self.close()
            return
        self._items.append(message)
        self._ready.set()

    async def put_audio(self, audio: Audio) -> bool:
        """Queue a frame, after waiting a while for room. Returns False when this frame was dropped."""
        if self.full and not self.closed:
            try:
                async with time_limit(self._patience):
                    await self.wait_for_room()
            except TimeoutError:
                pass  # the policy says what is dropped
        if self.closed:
            return False
        dropped = self.add(audio)
        self.dropped += len(dropped)
        METRICS.audio_dropped.inc(len(dropped))
        return not any(frame is audio for frame in dropped)

    def purge(self, turn_no: int) -> int:
        """Remove a turn's audio that was not sent yet; return how many frames it was."""
        return self.discard(lambda item: isinstance(item, Audio) and item.turn_no == turn_no)

    async def get(self) -> Item:
        """Return the next item, in order. Raises EOFError when the outbox is closed and empty."""
        return await self.take()

    async def get_all(self, most: int) -> list[Item]:
        """Return what waits, in order, at most so many. Raises EOFError when the outbox is closed and empty."""
        return await self.take_all(most)

    async def overflow(self) -> None:
        """Wait until the reader has fallen too far behind."""
        await self._overflowed.wait()

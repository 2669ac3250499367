"""What waits to be sent to one client: bounded, in order, text never dropped, audio by policy."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from rfsn_core.protocol.messages import Message
from rfsn_core.settings.schema import AudioPolicy
from rfsn_core.telemetry.metrics import METRICS


class Audio(NamedTuple):
    """A binary frame, and the turn it belongs to."""

    turn_no: int
    frame: bytes


Item = Message | Audio


class Outbox:
    """A queue with one reader.

    Messages are always taken, until `messages` of them wait: then the outbox has overflowed, is empty and closed, and
    whoever waits in `overflow` cuts the client off.
    Audio waits up to `patience` seconds for room, then the policy says which frame goes: the new one
    (`drop_newest`), the oldest (`drop_oldest`), one from the middle so that a sentence keeps its beginning and
    its end (`keep_ends`), or the rest of the sentence (`reject`).
    """

    def __init__(
        self, *, messages: int = 10_000, audio: int = 512, policy: AudioPolicy = "drop_oldest", patience: float = 1.0
    ) -> None:
        self._items: deque[Item] = deque()
        self._messages, self._audio = messages, audio
        self.policy: AudioPolicy = policy
        self._patience = patience
        self._audio_waiting = 0
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._overflowed = asyncio.Event()
        self.dropped = 0
        """Audio frames dropped so far."""
        self.closed = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def audio_waiting(self) -> int:
        """Audio frames in the queue."""
        return self._audio_waiting

    def put(self, message: Message) -> None:
        """Queue a message."""
        if self.closed:
            return
        if len(self._items) - self._audio_waiting >= self._messages:
            self._items.clear()
            self._audio_waiting = 0
            self._overflowed.set()
            self.close()
            return
        self._items.append(message)
        self._ready.set()

    async def put_audio(self, audio: Audio) -> bool:
        """Queue a frame, after waiting a while for room. False when it was this frame that was dropped."""
        if self._audio_waiting >= self._audio and not self.closed:
            self._room.clear()
            try:
                async with asyncio.timeout(self._patience):
                    while self._audio_waiting >= self._audio and not self.closed:
                        self._room.clear()
                        await self._room.wait()
            except TimeoutError:
                if self.policy in ("drop_newest", "reject"):
                    self._count()
                    return False
                self._make_room()
        if self.closed:
            return False
        self._items.append(audio)
        self._audio_waiting += 1
        self._ready.set()
        return True

    def purge(self, turn_no: int) -> int:
        """Take back a turn's audio that was not sent yet; returns how many frames."""
        kept = deque(item for item in self._items if not (isinstance(item, Audio) and item.turn_no == turn_no))
        taken = len(self._items) - len(kept)
        self._items = kept
        self._audio_waiting -= taken
        self._room.set()
        return taken

    async def get(self) -> Item:
        """The next item, in order. Raises EOFError once the outbox is closed and empty."""
        while not self._items:
            if self.closed:
                raise EOFError
            self._ready.clear()
            await self._ready.wait()
        item = self._items.popleft()
        if isinstance(item, Audio):
            self._audio_waiting -= 1
            self._room.set()
        return item

    async def overflow(self) -> None:
        """Wait until the reader has fallen too far behind."""
        await self._overflowed.wait()

    def close(self) -> None:
        """Nothing more will come."""
        self.closed = True
        self._ready.set()
        self._room.set()

    def _make_room(self) -> None:
        self._drop(0 if self.policy == "drop_oldest" else self._audio_waiting // 2)

    def _drop(self, nth: int) -> None:
        """Drop the nth waiting audio frame."""
        seen = -1
        for at, item in enumerate(self._items):
            seen += isinstance(item, Audio)
            if seen == nth:
                del self._items[at]
                self._audio_waiting -= 1
                self._count()
                return

    def _count(self) -> None:
        self.dropped += 1
        METRICS.audio_dropped.inc()

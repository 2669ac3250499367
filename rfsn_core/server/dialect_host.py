"""What a dialect gets: the requests of a client, and speech, without knowing the kernel."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from rfsn_core import protocol
from rfsn_core.contract.capabilities import ListsVoices
from rfsn_core.contract.dialects import Sound
from rfsn_core.contract.errors import BadMessage, EngineError, UnknownNpc, contained
from rfsn_core.contract.speech import Voice, VoiceStyle
from rfsn_core.kernel import Kernel
from rfsn_core.turn.breaker import Engine
from rfsn_core.turn.outbox import Audio, Outbox
from rfsn_core.turn.sentences import Sentences
from rfsn_core.turn.turns import RunningTurn
from rfsn_core.turn.voice_text import voice_text
from rfsn_core.world.files import Npc

M = TypeVar("M", bound=protocol.Message)
SILENT = protocol.Hello(audio=False)
ENDS = (protocol.TurnFinished, protocol.TurnCancelled, protocol.TurnFailed)
SPEECH_SECONDS = 60.0
"""Time limit for speech without a turn."""


def checked(message: M) -> M:
    """Return a message that keeps to its bounds, as if it had come over the wire. Raises BadMessage."""
    try:
        return msgspec.convert(msgspec.to_builtins(message), type(message))
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        raise BadMessage(reason, field=path.rstrip("`").lstrip(".")) from error


class Host:
    """The server, as one dialect sees it. See `DialectHost`."""

    def __init__(self, kernel: Kernel, dialect: str) -> None:
        self._kernel = kernel
        self.world_dir: Path = kernel.runtimes.world_dir
        self.data_dir: Path = kernel.runtimes.data_dir / "dialects" / dialect
        self.log = logging.getLogger(f"rfsn.dialects.{dialect}")

    @property
    def has_voice(self) -> bool:
        """Whether turns have sound."""
        return any(engine.provider.sample_rate > 0 for engine in self._kernel.runtimes.current.voices)

    def npcs(self) -> Sequence[protocol.NpcInfo]:
        """Return the NPCs, in the world's order."""
        return [_info(npc) for npc in self._kernel.runtimes.current.world.npcs.values()]

    def npc(self, name: str) -> protocol.NpcInfo:
        """Return the NPC of an id or a display name. Raises UnknownNpc."""
        return _info(self._kernel.runtimes.current.world.npc(name))

    def introduce(self, npc: protocol.Introduce) -> protocol.Introduced:
        """Make an NPC that the world has no file for. Raises BadMessage or UserError."""
        return self._kernel.introduce(checked(npc))

    def begin(self, turn: protocol.PlayerTurn, wants: protocol.Hello | None = None) -> Turn:
        """Begin a turn. Raises UnknownNpc, BadMessage, ConversationBusy or ShuttingDown."""
        outbox = Outbox(patience=60)
        return Turn(self._kernel.begin(checked(turn), outbox, wants or SILENT), outbox)

    async def undo(self, message: protocol.Undo) -> bool:
        """Undo the last turn of a conversation. Raises UnknownNpc or StoreError."""
        return bool((await self._kernel.undo(checked(message))).decision_id)

    async def event(self, event: protocol.GameEvent) -> protocol.State:
        """Tell an NPC what happened in the game. Raises UnknownNpc or StoreError."""
        return await self._kernel.event(checked(event))

    async def result(self, result: protocol.ActionResult) -> protocol.State:
        """Tell an NPC what became of its action. Raises BadMessage, UnknownDecision or StoreError."""
        return (await self._kernel.result(checked(result)))[0]

    async def reward(self, reward: protocol.Reward) -> protocol.RewardAccepted:
        """Reward a decision. Raises BadMessage, UnknownDecision or StoreError."""
        return await self._kernel.reward(checked(reward))

    async def voices(self) -> Sequence[str]:
        """Return the voices of the first speech engine that lists them; none when it fails."""
        runtime = self._kernel.runtimes.current
        with runtime.leased():
            for opened in runtime.opened:
                voice = getattr(opened, "value", None)
                if opened.key[0] == "speech" and isinstance(voice, ListsVoices):
                    with suppress(EngineError, TimeoutError):
                        async with asyncio.timeout(5):
                            with contained():
                                return [str(name) for name in await voice.voices()]
        return ()

    async def speak(self, text: str, voice: str = "", rate: float = 1.0) -> Sound:
        """Return a text as sound. Raises EngineError when no voice can speak it."""
        runtime = self._kernel.runtimes.current
        npc: Npc | None = None
        with suppress(UnknownNpc):
            npc = runtime.world.npc(voice) if voice else None
        problems = []
        with runtime.leased():
            for engine in runtime.voices:
                if engine.provider.sample_rate == 0 or not engine.breaker.admits():
                    continue
                manner = npc.voice if npc else VoiceStyle(voice)
                if npc and (special := npc.file.voices.get(engine.name)):
                    manner = replace(manner, voice=special)
                try:
                    async with asyncio.timeout(SPEECH_SECONDS):
                        sound = await _spoken(engine, text, replace(manner, rate=manner.rate * rate))
                except (EngineError, TimeoutError) as error:
                    engine.breaker.failed(str(error) or "timeout")
                    problems.append(f"{engine.name}: {error or 'timeout'}")
                except asyncio.CancelledError:
                    engine.breaker.undecided()
                    raise
                else:
                    engine.breaker.succeeded()
                    return sound
        hint = 'Set `provider` in [speech], for example "espeak"'
        raise EngineError("; ".join(problems) or "this server has no voice", hint="" if problems else hint)


async def _spoken(engine: Engine[Voice], text: str, manner: VoiceStyle) -> Sound:
    """Return all sentences of a text as sound. Raises EngineError."""
    segmenter = Sentences()
    pieces = [*segmenter.feed(text), *segmenter.flush()]
    pcm = bytearray()
    for piece in pieces:
        if piece.speakable and (spoken := voice_text(piece.text.strip())):
            with contained():
                try:
                    async for speech in engine.provider.speak(spoken, manner):
                        pcm += speech.pcm
                except (EngineError, asyncio.CancelledError):
                    raise
                except Exception as error:
                    raise EngineError(f"{type(error).__name__}: {error}") from error
    return Sound(engine.provider.sample_rate, bytes(pcm))


class Turn:
    """A turn that a dialect began. See `DialectTurn`."""

    def __init__(self, running: RunningTurn, outbox: Outbox) -> None:
        self._running, self._outbox = running, outbox

    @property
    def turn_id(self) -> str:
        """The turn's id."""
        return self._running.turn_id

    async def __aiter__(self) -> AsyncIterator[protocol.ServerMessage | protocol.AudioFrame]:
        """Yield what the turn sends."""
        while True:
            item = await self._outbox.get()
            if isinstance(item, Audio):
                yield protocol.read_audio_frame(item.frame)
                continue
            yield cast("protocol.ServerMessage", item)
            if isinstance(item, ENDS):
                return

    def played(self, sentence: int, ms: int) -> None:
        """Note that the player has heard this much."""
        self._running.played(sentence, ms)

    async def cancel(self) -> None:
        """Stop the turn, if it still runs, and wait for its end."""
        if not self._running.task.done():
            self._running.cancel("barge_in")
            await asyncio.wait([self._running.task])


def _info(npc: Npc) -> protocol.NpcInfo:
    return protocol.NpcInfo(id=npc.id, name=npc.name, title=npc.file.title)

"""Providers that do what a test says: give these tokens at this pace, fail here, stall there, count everything."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from rfsn_core.contract.errors import EngineError, NotFound, StoreError
from rfsn_core.contract.gating import Utterance, Verdict
from rfsn_core.contract.rendering import Prompt, RenderOptions
from rfsn_core.contract.selection import Arm, Context, Selection, Update, UpdateResult
from rfsn_core.contract.speech import Speech, VoiceStyle
from rfsn_core.contract.storage import Backup, Past, Scope, SearchHit, Snapshot, TurnRecord, latest
from rfsn_core.kit.search import search_turns
from rfsn_core.memory.beliefs import newest
from rfsn_core.protocol.turn import Viseme


class Tokens:
    """A renderer that emits given tokens.

    :param tokens: what to emit, or a function of the prompt.
    :param interval: seconds before each token.
    :param fail_after: raise EngineError after that many tokens.
    :param stall_after: send nothing more after that many tokens.
    """

    def __init__(
        self,
        tokens: Sequence[str] | Callable[[Prompt], Sequence[str]] = ("All ", "quiet ", "here."),
        *,
        interval: float = 0.0,
        fail_after: int | None = None,
        stall_after: int | None = None,
    ) -> None:
        self.tokens, self.interval = tokens, interval
        self.fail_after, self.stall_after = fail_after, stall_after
        self.prompts: list[Prompt] = []
        self.running = 0
        """Streams in progress: 0 when every engine was stopped."""
        self.stopped = 0
        """Streams closed before their end."""

    async def render(self, prompt: Prompt, options: RenderOptions) -> AsyncIterator[str]:
        """Yield the tokens, one by one."""
        self.prompts.append(prompt)
        self.running += 1
        complete = False
        try:
            tokens = self.tokens(prompt) if callable(self.tokens) else self.tokens
            for position, token in enumerate([*tokens, None]):
                if position == self.fail_after:
                    raise EngineError("the engine failed, as told to")
                if position == self.stall_after:
                    await asyncio.Event().wait()
                if token is None:
                    break
                if self.interval:
                    await asyncio.sleep(self.interval)
                yield token
            complete = True
        finally:
            self.running -= 1
            self.stopped += not complete


class Judge:
    """A gate that gives a set verdict on texts that contain a word, and allows the rest.

    :param verdicts: word → the verdict, or the exception to raise.
    :param delay: seconds before each answer.
    """

    def __init__(self, verdicts: Mapping[str, Verdict | Exception] | None = None, *, delay: float = 0.0) -> None:
        self.verdicts, self.delay = dict(verdicts or {}), delay
        self.seen: list[Utterance] = []

    async def check(self, utterance: Utterance) -> Verdict:
        """Return the verdict of the first word that occurs."""
        self.seen.append(utterance)
        if self.delay:
            await asyncio.sleep(self.delay)
        for word, verdict in self.verdicts.items():
            if word in utterance.text:
                if isinstance(verdict, Exception):
                    raise verdict
                return verdict
        return Verdict("allow")


class Tone:
    """A voice that hums: a sine wave, as long as the text, in chunks.

    :param interval: seconds before each chunk.
    :param fail_after: raise EngineError after that many chunks.
    """

    def __init__(
        self, *, sample_rate: int = 16000, ms_per_character: int = 20, chunk_ms: int = 40, interval: float = 0.0,
        fail_after: int | None = None,
    ) -> None:  # fmt: skip
        self.sample_rate = sample_rate
        self.fail_after = fail_after
        self._length, self._chunk, self.interval = ms_per_character, chunk_ms, interval
        self.spoken: list[str] = []
        self.running = 0
        self.stopped = 0

    async def speak(self, text: str, voice: VoiceStyle) -> AsyncIterator[Speech]:
        """Yield a hum, with one `aa` viseme a chunk."""
        if not any(map(str.isalnum, text)):
            return
        self.spoken.append(text)
        self.running += 1
        complete = False
        try:
            total = max(1, len(text) * self._length // self._chunk)
            for chunk in range(total):
                if chunk == self.fail_after:
                    raise EngineError("the voice failed, as told to")
                await asyncio.sleep(self.interval)
                start = chunk * self._chunk
                yield Speech(self._hum(start), (Viseme("aa", start, start + self._chunk),))
            complete = True
        finally:
            self.running -= 1
            self.stopped += not complete

    def _hum(self, start_ms: int) -> bytes:
        count = self.sample_rate * self._chunk // 1000
        first = self.sample_rate * start_ms // 1000
        wave = [round(8000 * math.sin(2 * math.pi * 220 * (first + n) / self.sample_rate)) for n in range(count)]
        return struct.pack(f"<{count}h", *wave)


class Chooser:
    """A policy that chooses one arm when it is a candidate, and the first candidate otherwise; it adds up rewards."""

    version = "test"

    def __init__(self, *wanted: str) -> None:
        self.wanted = wanted
        self.learned = 0.0
        self.updates: list[Update] = []

    def select(self, context: Context, arms: Sequence[Arm]) -> Selection:
        """Choose the first wanted arm that is a candidate."""
        names = [arm.name for arm in arms]
        chosen = next((name for name in self.wanted if name in names), names[0])
        return Selection(chosen, tuple(float(name == chosen) for name in names), tuple(arm.prior for arm in arms))

    def update(self, update: Update) -> UpdateResult:
        """Add the reward up."""
        if not abs(update.reward) <= (2 if update.again else 1):
            raise ValueError("out of range")
        self.updates.append(update)
        self.learned += update.reward * update.weight
        return UpdateResult(abs(update.reward), update.weight)

    def checkpoint(self) -> bytes:
        """Return the sum of all rewards."""
        return struct.pack("<4sd", b"test", self.learned)

    def restore(self, checkpoint: bytes) -> None:
        """Take the sum over."""
        if len(checkpoint) != 12 or checkpoint[:4] != b"test":
            raise ValueError("not a checkpoint of this policy")
        self.learned = struct.unpack("<4sd", checkpoint)[1]


class Memory:
    """A store in memory. `away = True` makes every call fail, `delay` makes it slow."""

    def __init__(self) -> None:
        self.turns: list[TurnRecord] = []
        self.away = False
        self.delay = 0.0
        self._backups: dict[str, list[TurnRecord]] = {}
        self._saves: dict[tuple[str, str], list[TurnRecord]] = {}

    async def _answer(self) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.away:
            raise StoreError("the store is away, as told to")

    async def load(self, scope: Scope, turns: int, memories: int | None = None) -> Past:
        """Read off the turns."""
        await self._answer()
        all_of_it = [turn for turn in self.turns if turn.scope == scope]
        spoken = [turn for turn in all_of_it if turn.spoken]
        return Past(
            state=all_of_it[-1].state if all_of_it else None,
            turns=spoken[-turns:] if turns else [],
            memories=newest(latest(memory for turn in all_of_it for memory in turn.memories), memories),
            card=next((turn.card for turn in reversed(all_of_it) if turn.card is not None), None),
        )

    async def append(self, turn: TurnRecord) -> None:
        """Store a turn, once for each id."""
        await self._answer()
        if all(known.turn_id != turn.turn_id for known in self.turns):
            self.turns.append(turn)

    async def search(self, scope: Scope, query: str, limit: int) -> Sequence[SearchHit]:
        """Find turns by their words."""
        await self._answer()
        spoken = [turn for turn in self.turns if turn.scope == scope and turn.spoken]
        return search_turns(spoken, query, limit)

    async def snapshot(self, save: str, tag: str) -> Snapshot:
        """Copy the save's turns."""
        await self._answer()
        turns = [turn for turn in self.turns if turn.scope.save == save]
        self._saves[save, tag] = turns
        return Snapshot(save, tag, 0.0, len(turns))

    async def snapshots(self, save: str) -> Sequence[Snapshot]:
        """Return all, newest first."""
        saves = [Snapshot(of, tag, 0.0, len(turns)) for (of, tag), turns in self._saves.items() if save in ("", of)]
        return saves[::-1]

    async def rollback(self, save: str, tag: str) -> int:
        """Put the copy back."""
        await self._answer()
        if (save, tag) not in self._saves:
            raise NotFound(f"save '{save}' has no save '{tag}'")
        turns = self._saves[save, tag]
        self.turns = [turn for turn in self.turns if turn.scope.save != save] + turns
        return len(turns)

    async def export(self, save: str, npc: str, player: str) -> AsyncIterator[TurnRecord]:
        """Yield the turns in order."""
        await self._answer()
        for turn in [turn for turn in self.turns if turn.scope.within(save, npc, player)]:
            yield turn

    async def erase(self, save: str, npc: str, player: str, *, backups: bool) -> int:
        """Erase from the store and its snapshots, and from backups if asked."""
        await self._answer()
        before = len(self.turns)
        lists = [self.turns, *self._saves.values(), *(self._backups.values() if backups else ())]
        for turns in lists:
            turns[:] = [turn for turn in turns if not turn.scope.within(save, npc, player)]
        return before - len(self.turns)

    async def check(self) -> Sequence[str]:
        """Return nothing: memory does not get damaged."""
        return ()

    async def stats(self, npc: str) -> Mapping[str, Any]:
        """Count the turns."""
        await self._answer()
        return {"npc": npc, "turns": sum(turn.scope.npc == npc for turn in self.turns)}

    async def backup(self) -> Backup:
        """Copy all turns, in memory."""
        await self._answer()
        name = str(len(self._backups))
        self._backups[name] = list(self.turns)
        return Backup(name, 0.0, len(self.turns))

    async def backups(self) -> Sequence[Backup]:
        """Return all, newest first."""
        return [Backup(name, 0.0, len(turns)) for name, turns in reversed(self._backups.items())]

    async def restore(self, name: str) -> None:
        """Do it after a backup."""
        if name not in self._backups:
            raise NotFound(f"no backup '{name}'")
        await self.backup()
        self.turns = list(self._backups[name])

    async def reset(self, npc: str) -> Backup:
        """Do it after a backup."""
        saved = await self.backup()
        self.turns = [turn for turn in self.turns if turn.scope.npc != npc]
        return saved

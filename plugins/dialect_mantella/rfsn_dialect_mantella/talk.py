"""One talk in the game: its actors, the turn that runs, and the lines that wait for the game to ask for them."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rfsn_core import (
    AudioFrame,
    Decision,
    DialectHost,
    DialectTurn,
    GameEvent,
    Hello,
    Introduce,
    PlayerTurn,
    Sentence,
    SpeechFinished,
    SpeechStarted,
    TurnCancelled,
    TurnFailed,
    TurnFinished,
)
from rfsn_dialect_mantella import Settings
from rfsn_dialect_mantella.overrides import Override, best
from rfsn_dialect_mantella.replies import END, GameAction, Line
from rfsn_dialect_mantella.requests import Actor, Scene
from rfsn_dialect_mantella.sound import FUZ_RATE, silence

NOBODY = "nobody"
"""The player of NPCs that talk among themselves, where one is needed."""
_WORDS = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class TalkFailed(Exception):
    """A turn failed; the message is for the player."""


class Talk:
    """A talk, from its start to its end. `line` is what the game waits for.

    :param save: the game's world.
    """

    def __init__(self, settings: Settings, host: DialectHost, overrides: Sequence[Override], save: str) -> None:
        self._settings, self._host, self._overrides, self._save = settings, host, overrides, save
        self._actors: list[Actor] = []
        self._npcs: dict[str, str] = {}
        """Actor's name in this talk → the NPC's id."""
        self._state: dict[str, Any] = {}
        self._lines: deque[Line] = deque()
        self._changed = asyncio.Event()
        self._turn: DialectTurn | None = None
        self._reading: asyncio.Task[None] | None = None
        self._failure = ""
        self._said: Line | None = None
        """The line that the game got last."""
        self._last_speaker = ""
        self._greeted = False
        self._ending = False
        self._radiant_left = settings.radiant_lines
        self.over = False

    # ── who is there, and what happens ───────────────────────────────────────────────────────────

    def join(self, actors: Sequence[Actor]) -> None:
        """Take over who is in the talk now. Raises RfsnError."""
        for actor in actors:
            if actor.is_player or actor.name in self._npcs:
                continue
            override = best(list(self._overrides), actor)
            self._npcs[actor.name] = self._host.introduce(
                Introduce(
                    npc=actor.key,
                    name=actor.own_name,
                    persona=override.bio[:4000] if override else "",
                    race=actor.race[:100],
                    gender=actor.gender,
                    place=str(self._state.get("location", ""))[:200],
                    voice=(override.voice if override and override.voice else actor.voice)[:200],
                    tags=list(override.tags) if override else [],
                )
            ).npc
        self._actors = list(actors)

    def place(self, scene: Scene) -> None:
        """Take over where and when it is, and who is near."""
        self._state.update(scene.state)

    async def see(self, scene: Scene) -> None:
        """Let the NPCs know what happened. Raises RfsnError."""
        for text in scene.events:
            for npc in dict.fromkeys(self._npcs.values()):
                await self._host.event(GameEvent(npc=npc, kind=text[:200], player=self._player, save=self._save))

    @property
    def _present(self) -> list[Actor]:
        return [actor for actor in self._actors if not actor.is_player]

    @property
    def _player(self) -> str:
        return next((actor.own_name for actor in self._actors if actor.is_player), NOBODY)

    @property
    def _is_radiant(self) -> bool:
        return all(not actor.is_player for actor in self._actors)

    # ── turns ────────────────────────────────────────────────────────────────────────────────────

    async def hear(self, text: str) -> None:
        """Begin the answer to what the player says; what runs is interrupted. Raises RfsnError."""
        await self.interrupt()
        speaker = self._addressed(text)
        if speaker is None:
            raise TalkFailed("Nobody is there to answer.")
        self._greeted = True
        self._ending = self._is_goodbye(text)
        self._begin(speaker, self._player, text, signal="farewell" if self._ending else "")

    async def interrupt(self) -> None:
        """Stop the turn that runs: the NPC remembers the lines that the game got."""
        turn, reading = self._turn, self._reading
        self._turn = self._reading = None
        self._lines.clear()
        if turn is not None:
            if self._said is not None and self._said.turn is turn:
                turn.played(self._said.sentence, 0)
            else:
                turn.played(-1, 0)  # nothing of it was heard
            await turn.cancel()
        if reading is not None:
            await asyncio.wait([reading])
        self._changed.set()

    async def end(self) -> None:
        """End the talk; a request that waits gets its answer."""
        self.over = True
        await self.interrupt()

    def _begin(self, speaker: Actor, player: str, text: str, signal: str = "", cause: str = "") -> None:
        self._failure = ""
        state = dict(self._state, in_combat=speaker.in_combat)
        turn = self._host.begin(
            PlayerTurn(
                npc=self._npcs[speaker.name], player=player, save=self._save, text=text[:4000], signal=signal,
                cause=cause, state=state,
            ),
            Hello(audio=True),
        )  # fmt: skip
        self._turn, self._last_speaker = turn, speaker.name
        self._reading = asyncio.create_task(self._read(turn, speaker.name), name="mantella turn")

    async def _read(self, turn: DialectTurn, speaker: str) -> None:
        """Turn a turn's events into lines, each as soon as its sound is whole."""
        lines = _Lines(turn, speaker, self._settings, voiced=self._host.has_voice)
        async for item in turn:
            if isinstance(item, TurnFailed):
                self._failure = item.message
            if self._turn is turn:
                self._lines.extend(lines.take(item))
                self._changed.set()
        if self._turn is turn:
            self._lines.extend(lines.rest())
            self._turn = self._reading = None
        self._changed.set()

    def _addressed(self, text: str) -> Actor | None:
        """Return the NPC whom the player names, else the one that spoke last, else the first."""
        present = self._present
        said = set(_words(text))
        for actor in sorted(present, key=lambda actor: -len(actor.name)):
            if set(_words(actor.name)) <= said:
                return actor
        for actor in present:
            if any(len(word) > 2 and word in said for word in _words(actor.own_name)):
                return actor
        last = next((actor for actor in present if actor.name == self._last_speaker), None)
        return last or (present[0] if present else None)

    def _is_goodbye(self, text: str) -> bool:
        names = {word for actor in self._actors for word in _words(actor.own_name)}
        said = " ".join(word for word in _words(text) if word not in names)
        return said in {" ".join(_words(goodbye)) for goodbye in self._settings.goodbyes}

    # ── what the game asks for ───────────────────────────────────────────────────────────────────

    def wake(self) -> None:
        """Let every request that waits look again."""
        self._changed.set()

    async def line(self, is_wanted: Callable[[], bool]) -> Line | None:
        """Wait for the next line. None: it is the player's turn. Raises TalkFailed, RfsnError.

        :param is_wanted: returns whether the game still waits for it.
        """
        while is_wanted() and not self.over:
            self._changed.clear()
            working = self._turn is not None
            # The last line of a talk that ends must say so, and which is the last shows when the next is there.
            if self._lines and (not self._ending or len(self._lines) > 1 or not working):
                return self._next()
            if not working:
                if self._failure:
                    raise TalkFailed(self._failure)
                if not self._go_on():
                    return None
                continue
            await self._changed.wait()
        return None

    def _next(self) -> Line:
        line = self._lines.popleft()
        if self._ending and not self._lines and self._turn is None:
            line = replace(line, actions=(*line.actions, GameAction(END)))
        self._said = line
        return line

    def _go_on(self) -> bool:
        """Begin a turn that nobody has to ask for: a greeting, or the next of NPCs among themselves."""
        present = self._present
        if self._turn is not None or self._lines or not present or self._ending:
            return False
        if not self._is_radiant:
            if self._greeted or not self._settings.greet:
                return False
            self._greeted = True
            self._begin(present[0], self._player, "", cause="approach")
            return True
        if len(present) < 2 or self._radiant_left <= 0:
            return False
        self._radiant_left -= 1
        self._ending = self._radiant_left == 0
        said, names = self._said, [actor.name for actor in present]
        if said is None:
            self._begin(present[0], present[1].own_name, f"You meet {present[1].own_name}", cause="approach")
            return True
        turn_of = present[(names.index(said.speaker) + 1) % len(names)] if said.speaker in names else present[0]
        listener = next(actor for actor in present if actor.name != turn_of.name)
        self._begin(turn_of, listener.own_name, said.text)
        return True


def _words(text: str) -> list[str]:
    return _WORDS.findall(text.casefold())


class _Lines:
    """Collects the sound of a turn's sentences, and gives out each line when it is whole.

    :param voiced: whether sound comes at all.
    """

    def __init__(self, turn: DialectTurn, speaker: str, settings: Settings, *, voiced: bool) -> None:
        self._turn, self._speaker, self._settings, self._voiced = turn, speaker, settings, voiced
        self._texts: dict[int, str] = {}
        self._sound: dict[int, bytearray] = {}
        self._rates: dict[int, int] = {}
        self._whole: set[int] = set()
        self._actions: tuple[GameAction, ...] = ()

    def take(self, item: object) -> list[Line]:
        """Take an event; return the lines that it completes, in order."""
        match item:
            case Decision():
                self._actions = actions_of(item, self._settings)
            case Sentence():
                self._texts[item.index] = item.text
            case SpeechStarted():
                self._rates[item.sentence] = item.sample_rate
            case AudioFrame():
                self._sound.setdefault(item.sentence, bytearray()).extend(item.pcm)
            case SpeechFinished():
                self._whole.add(item.sentence)
            case TurnFinished() | TurnCancelled() | TurnFailed():
                return self.rest()
            case _ if getattr(item, "reason", None) is not None and hasattr(item, "turn_id"):
                # `speech.dropped` and `speech.off`: these lines stay silent.
                self._whole.update([item.sentence] if hasattr(item, "sentence") else self._texts)
                self._voiced = self._voiced and hasattr(item, "sentence")
        if not self._voiced:
            self._whole.update(self._texts)
        ready = []
        for index in sorted(self._texts):
            if index not in self._whole:
                break
            ready.append(self._line(index))
        return ready

    def rest(self) -> list[Line]:
        """Return the lines that are left, at the end of the turn."""
        return [self._line(index) for index in sorted(self._texts)]

    def _line(self, index: int) -> Line:
        text = self._texts.pop(index)
        pcm, rate = bytes(self._sound.pop(index, b"")), self._rates.get(index, FUZ_RATE)
        pcm = pcm or silence(text, rate)
        actions, self._actions = self._actions, ()  # with the first line: the gesture comes with the words
        return Line(self._speaker, text, pcm, rate, round(len(pcm) / 2 / rate, 3), actions, self._turn, index)


def actions_of(decision: Decision, settings: Settings) -> tuple[GameAction, ...]:
    """Return what the game is to do."""
    name = settings.actions.get(decision.action, decision.action)
    arguments: Mapping[str, Any] = decision.arguments
    return (GameAction(name, arguments),) if name else ()

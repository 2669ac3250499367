"""What the prompt of a turn is made of: the facts of the turn, and the memories that can be left out of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from rfsn_core.contract.actions import Action
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.storage import MemoryRecord, TurnRecord
from rfsn_core.contract.understanding import Understanding
from rfsn_core.world.files import Npc
from rfsn_core.world.knowledge import Hit, Recall
from rfsn_core.world.occasions import Occasion

GAME_STATE_CHARACTERS = 1500
_INSTRUCTION_MARKS = re.compile(r"\[(/?)(INST|SYS)\]", re.IGNORECASE)


_LINE_MARKS = re.compile(
    r"^[ \t]*(?:#+[ \t]*|(system|assistant|user|human|developer|instructions?)[ \t]*:)", re.IGNORECASE | re.MULTILINE
)


def neutral(text: str) -> str:
    """Return a text that can neither leave its delimiters nor look like a model's own marks.

    Brackets are replaced, headings and the names of roles at the beginning of a line lose their marks, and the text
    becomes one line.
    """
    text = _INSTRUCTION_MARKS.sub(r"(\1\2)", text.replace("<", "‹").replace(">", "›"))
    return " ".join(_LINE_MARKS.sub(lambda mark: f"{mark[1]} -" if mark[1] else "", text).split())


def tokens(text: str) -> int:
    """Estimate the tokens of a text: four bytes make one. Each model has its own tokenizer, so none is asked."""
    return len(text.encode()) // 4 + 1


class Memory(NamedTuple):
    """A memory as the prompt shows it."""

    source: str
    """`conversation`, `event` for what happened in the game, `card` for a count, or who told a fact."""
    age: str
    text: str
    provenance: str = ""
    """Kind, id and source of a fact; empty for a turn."""

    def __str__(self) -> str:
        # Here and not in the template: a sandbox checks each name that is looked up, in every memory of every turn.
        return f'<memory from="{self.source}" when="{self.age}">{self.text}</memory>'


@dataclass(frozen=True, kw_only=True)
class TurnFacts:
    """All that the prompt of a turn is made of."""

    npc: Npc
    player: str
    text: str
    """What the player said."""
    action: Action
    style: str
    state: NpcState = field(default_factory=NpcState)
    related: Sequence[TurnRecord] = ()
    """Older turns that the text is about, the best match first."""
    recent: Sequence[TurnRecord] = ()
    """The conversation's last turns, oldest first."""
    known: Sequence[MemoryRecord] = ()
    """What the NPC knows of the player, the most useful first."""
    counted: Sequence[str] = ()
    """What happened between them, in sentences."""
    understanding: Understanding = field(default_factory=lambda: Understanding(signal="statement"))
    """What the player means."""
    knowledge: Recall = field(default_factory=Recall)
    """What the NPC found in its knowledge about it."""
    fact: Hit | None = None
    """The fact that the decision is about."""
    player_name: str = ""
    """What the player said to be called."""
    occasion: Occasion | None = None
    """Why the NPC speaks first; None when the player spoke."""
    stopped_by: str = ""
    """Why the gate stopped what the player said."""
    said: Sequence[str] = ()
    """What the NPC said last, oldest first."""
    game: Mapping[str, Any] = field(default_factory=dict)
    seed: str = ""
    """A text that is different for every turn and the same when the turn is replayed."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """The parts of a turn's prompt that can be left out."""

    known: tuple[Memory, ...] = ()
    """Facts, the most useful first."""
    turns: tuple[Memory, ...] = ()
    """Turns, the least useful first: older ones from the worst match to the best, then recent ones, oldest first."""
    game: str = ""
    """The game's state as JSON."""
    game_note: str = ""
    """What was left out of the game's state."""
    total: int = 0
    """How many memories there were at first."""

    @classmethod
    def of(cls, facts: TurnFacts) -> Material:
        """Collect the memories and the game's state; a state that is too long is cut."""
        now = time.time()
        turns = [memory(turn, now) for turn in (*reversed(facts.related), *facts.recent)]
        counted = [Memory("card", "so far", text) for text in facts.counted]
        known = [
            Memory(
                fact.source.value,
                _age(fact.time, now),
                fact.text,
                f"{fact.kind.value} {fact.memory_id} ({fact.source.value})",
            )
            for fact in facts.known
        ]
        game = json.dumps(facts.game, ensure_ascii=False) if facts.game else ""
        cut = f"the game's state was cut at {GAME_STATE_CHARACTERS} characters"
        material = cls(
            known=(*counted, *known),
            turns=tuple(turn for turn in turns if turn is not None),
            game=game[:GAME_STATE_CHARACTERS],
            game_note=cut if len(game) > GAME_STATE_CHARACTERS else "",
        )
        return replace(material, total=len(material.memories))

    @property
    def notes(self) -> list[str]:
        """What was left out, for the prompt's notes."""
        left_out = self.total - len(self.memories)
        memories = f"left out: {left_out} of {self.total} memories" if left_out else ""
        return [note for note in (self.game_note, memories) if note]

    @property
    def memories(self) -> tuple[Memory, ...]:
        """All memories, in the order in which the prompt shows them."""
        return (*self.known, *self.turns)

    @property
    def empty(self) -> bool:
        """Whether nothing can be left out any more."""
        return not (self.known or self.turns or self.game)

    def without(self, excess: int) -> Material:
        """Return the material without about `excess` tokens.

        The least useful goes first: turns in their order, then facts from the last, then the game's state.
        """
        if not (self.known or self.turns):
            return replace(self, game="", game_note="left out: the game's state")
        known, turns = list(self.known), list(self.turns)
        while excess > 0 and (known or turns):
            excess -= tokens((turns.pop(0) if turns else known.pop()).text)
        return replace(self, known=tuple(known), turns=tuple(turns))


def _age(time: float, now: float) -> str:
    days = (now - time) / 86400
    return "just now" if days < 0.02 else "today" if days < 1 else "yesterday" if days < 2 else f"{int(days)} days ago"


def memory(turn: TurnRecord, now: float) -> Memory | None:
    """Return a turn as the prompt shows it; None when there is nothing to show."""
    age = _age(turn.time, now)
    if turn.outcome == "event":
        return Memory("event", age, turn.player_text)
    if not turn.npc_text:
        return None
    if not turn.player_text:
        return Memory("conversation", age, f"You said: {turn.npc_text}")
    return Memory("conversation", age, f"The player said: {turn.player_text} — You answered: {turn.npc_text}")

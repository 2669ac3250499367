"""Examples: what a model should learn to say, in the form in which it is asked at run time."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rfsn_core.contract.storage import Scope
from rfsn_core.dataset.turns import Log, PlayedTurn
from rfsn_core.exam.claims import sentences
from rfsn_core.exam.knowing import NpcKnowledge
from rfsn_core.exam.metrics import TELLING
from rfsn_core.exam.wording import persona_fault, sentiment_fault, style_fault
from rfsn_core.kit.adapter_tasks import adapter_task
from rfsn_core.world.actions import STYLES, Actions
from rfsn_core.world.files import World

STRANGER = "traveller"
"""What stands in the place of a player's name."""
NO_ARCHETYPE = "common"
"""The archetype of NPCs whose file names none."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Which turns are wanted."""

    consent: frozenset[str] | None
    """The players who agreed; None: all, which the caller has to answer for."""
    min_reward: float = -1.0
    rewarded_only: bool = False
    quality: bool = True
    """Leave out what the rules of `rfsn exam` find wrong."""
    context: int = 3
    """Earlier turns in an example, at most."""
    npcs: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Example:
    """One reply with what leads to it."""

    archetype: str
    task: str
    npc: str
    action: str
    style: str
    player: str
    """A pseudonym: no split shares a player with another."""
    reward: float | None
    messages: tuple[dict[str, str], ...]
    """`system`, then `user` and `assistant` in turn; the last is the reply."""

    @property
    def key(self) -> tuple[str, str, str]:
        """NPC, what was asked, and what was answered, folded: two examples of one key are duplicates."""
        return self.npc, _folded(self.messages[-2]["content"]), _folded(self.messages[-1]["content"])

    @property
    def words(self) -> tuple[str, str]:
        """NPC and reply, folded."""
        return self.npc, _folded(self.messages[-1]["content"])


def _folded(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


@dataclass
class Maker:
    """Makes examples of the turns of a log.

    :param blocked: texts that the world's gates stop today.
    """

    world: World
    actions: Actions
    wish: Wish
    blocked: frozenset[str] = frozenset()
    salt: str = ""
    left_out: Counter[str] = field(default_factory=Counter)
    _known: dict[str, NpcKnowledge] = field(default_factory=dict)

    def examples(self, log: Log) -> Iterator[Example]:
        """Yield the examples, those of a conversation together; duplicates once. Counts what is left out."""
        self.left_out.update(log.left_out)
        seen: set[tuple[str, str, str]] = set()
        for scope, turns in sorted(log.conversations.items(), key=lambda item: item[0].conversation):
            before: list[PlayedTurn] = []
            hide = _names_pattern(log.names.get(scope, set()))
            for turn in turns:
                if reason := self.reason_against(scope, turn):
                    self.left_out[reason] += 1
                    before = []  # what follows is not shown after something that nobody should learn
                    continue
                example = self._example(scope, before[-self.wish.context :] if self.wish.context else [], turn, hide)
                before.append(turn)
                if example.key in seen:
                    self.left_out["said before in the same words"] += 1
                else:
                    seen.add(example.key)
                    yield example

    def reason_against(self, scope: Scope, played: PlayedTurn) -> str:
        """Return why a turn is left out; empty when it is not."""
        turn, decision = played.turn, played.decision
        if self.wish.consent is not None and scope.player not in self.wish.consent:
            return "no consent"
        if scope.npc not in self.world.npcs or (self.wish.npcs and scope.npc not in self.wish.npcs):
            return "another NPC"
        if turn.outcome != "complete" or not decision.delivered:
            return "not complete"
        if not turn.player_text or not turn.npc_text:
            return "no words, or stopped by the gate"
        if turn.player_text in self.blocked or turn.npc_text in self.blocked:
            return "stopped by the gate"
        if decision.action.chosen not in self.actions:
            return "an action that does not exist any more"
        if decision.final_json == "mismatch":
            return "the model reported another action"
        if played.reward is None:
            if self.wish.rewarded_only:
                return "no reward"
        elif played.reward < self.wish.min_reward:
            return "reward too low"
        return self._fault(scope, played) if self.wish.quality else ""

    def _fault(self, scope: Scope, played: PlayedTurn) -> str:
        words, action = played.turn.npc_text, played.decision.action.chosen
        if persona_fault(words):
            return "quality: persona"
        if style_fault(played.decision.style.chosen, words, telling=action in TELLING):
            return "quality: style"
        if sentiment_fault(self.actions[action].tone, words):
            return "quality: sentiment"
        known = self._known.setdefault(scope.npc, NpcKnowledge(self.world, self.world.npcs[scope.npc]))
        claims = [known.checker.judge(part, [played.turn.player_text]) for part in sentences(words)]
        if any(claim.kind in ("contradicted", "invented") for claim in claims):
            return "quality: lore"
        return ""

    def _example(
        self, scope: Scope, before: Sequence[PlayedTurn], played: PlayedTurn, hide: re.Pattern[str] | None
    ) -> Example:
        npc = self.world.npcs[scope.npc]
        messages = [{"role": "system", "content": system_text(npc.name, npc.file.title, npc.file.persona)}]
        for turn in (*before, played):
            messages.append({"role": "user", "content": _hidden(self._asked(turn), hide)})
            messages.append({"role": "assistant", "content": _hidden(turn.turn.npc_text, hide)})
        action = played.decision.action.chosen
        return Example(
            archetype=npc.file.archetype or NO_ARCHETYPE,
            task=adapter_task(self.actions.plain(action)),
            npc=scope.npc,
            action=action,
            style=played.decision.style.chosen,
            player=hashlib.blake2b(f"{self.salt}/{scope.player}".encode(), digest_size=6).hexdigest(),
            reward=played.reward,
            messages=tuple(messages),
        )

    def _asked(self, played: PlayedTurn) -> str:
        """Return what the model is asked in a turn, as the prompt of a turn says it."""
        name, style = played.decision.action.chosen, played.decision.style.chosen
        instruction = self.actions[name].instruction if name in self.actions else ""
        about = f" It is about this: {played.fact}" if played.fact else ""
        return (
            f"You do this: {name}. {instruction}{about}\n\nStyle: {STYLES.get(style, style)}\n"
            f"<player>{played.turn.player_text}</player>"
        )


def system_text(name: str, title: str, persona: str) -> str:
    """Return the system message of an NPC: the beginning of the prompt's own."""
    who = f"{name}, {title}" if title else name
    return f"You are {who}. You speak aloud, to one person, in character.\n{' '.join(persona.split())}".strip()


def _names_pattern(names: set[str]) -> re.Pattern[str] | None:
    """Return a pattern of a player's names; None when there is none that could stand in a text."""
    words = sorted({name for name in names if len(name) > 2}, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE) if words else None


def _hidden(text: str, names: re.Pattern[str] | None) -> str:
    return names.sub(STRANGER, text) if names is not None else text

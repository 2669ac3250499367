"""What a game brings besides the player's text, and a prompt would show: names, state, events, memories.

In a multiplayer game a name or a chat message is a player's text. So each is asked about once, on its way in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rfsn_core.contract.gating import Gate, Utterance
from rfsn_core.contract.storage import MemoryRecord, MemoryStatus
from rfsn_core.oversight import gates
from rfsn_core.protocol import Report

WITHHELD = "(withheld)"
"""Stands for a text of the game that the gates stopped."""
SOMEONE = "someone"
"""Stands for a player's name that the gates stopped."""
HARMLESS = 8
"""Characters; a shorter text cannot be an instruction."""
MOST_NEW = 64
"""New texts of one message that are asked about; the others are withheld."""
MOST_KEPT = 4096
"""Answers that are kept, so that a state that comes with each turn is asked about once."""


class Admission:
    """Asks the gates of one runtime about texts of the game, and keeps the answers.

    :param seconds: time limit of one gate.
    """

    def __init__(self, gates_in_order: Sequence[Gate], seconds: float) -> None:
        self._gates, self._seconds = gates_in_order, seconds
        self._reasons: dict[tuple[str, str], str] = {}

    async def refusal(self, text: str, npc: str, side: str = "player") -> str:
        """Return why a text may not reach a prompt; empty when it may.

        :param side: `player`, or `npc` for a text of a model.
        """
        reason = self._reasons.get((side, text))
        if reason is None:
            verdict = await gates.check(self._gates, Utterance(text, side, npc), self._seconds)
            reason = "" if verdict.kind == "allow" else verdict.reasons[0]
            if reason == "gate_failed":
                return reason  # the next one may work again
            if len(self._reasons) >= MOST_KEPT:
                del self._reasons[next(iter(self._reasons))]
            self._reasons[side, text] = reason
        return reason

    async def name(self, player: str, npc: str) -> str:
        """Return a player's name as a prompt may show it."""
        return SOMEONE if len(player) >= HARMLESS and await self.refusal(player, npc) else player

    async def game(self, values: Mapping[str, Any], npc: str) -> tuple[dict[str, Any], str]:
        """Return a game's values without texts that the gates stop, and why the first of those was stopped."""
        reasons: dict[str, str] = {}
        texts = dict.fromkeys(_texts(values))
        known = [text for text in texts if ("player", text) in self._reasons]
        for text in (*known, *[text for text in texts if ("player", text) not in self._reasons][:MOST_NEW]):
            reasons[text] = await self.refusal(text, npc)
        stopped = {text: reasons.get(text, "too_many_texts") for text in texts if reasons.get(text, "too_many_texts")}
        if not stopped:
            return dict(values), ""
        return _without(values, stopped), next(iter(stopped.values()))

    async def report(self, report: Report | None, npc: str) -> None:
        """Leave out of a model's report what the gates stop: a game may show it."""
        if report is not None:
            report.claims = [claim for claim in report.claims if not await self.refusal(claim, npc, "npc")]
            report.action, report.tone = _word(report.action), _word(report.tone)

    async def memory(self, memory: MemoryRecord, npc: str) -> MemoryRecord:
        """Return a memory that the game tells; quarantined when the gates stop its words."""
        for words in (memory.text, memory.subject, memory.value):
            if len(words) >= HARMLESS and (reason := await self.refusal(words, npc)):
                return replace(memory, status=MemoryStatus.QUARANTINED, reason=f"gate: {reason}")
        return memory


def _word(text: str) -> str:
    return text if text.replace("_", "").isalpha() else ""


def _texts(value: Any) -> list[str]:
    """Return the texts in a JSON value that are long enough to be an instruction."""
    if isinstance(value, str):
        return [value] if len(value) >= HARMLESS else []
    if isinstance(value, Mapping):
        return [text for item in value.items() for part in item for text in _texts(part)]
    return [text for part in value for text in _texts(part)] if isinstance(value, list) else []


def _without(value: Any, stopped: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return WITHHELD if value in stopped else value
    if isinstance(value, Mapping):
        return {_without(name, stopped): _without(part, stopped) for name, part in value.items()}
    return [_without(part, stopped) for part in value] if isinstance(value, list) else value

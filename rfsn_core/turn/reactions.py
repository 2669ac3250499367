"""Whether an NPC speaks up after an event or the result of its action, and what its turn is then."""

from __future__ import annotations

import time
from collections.abc import Callable

from rfsn_core import protocol
from rfsn_core.contract.actions import Situation
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.storage import Scope
from rfsn_core.conversation.game_events import ResultOf
from rfsn_core.conversation.registry import Conversations
from rfsn_core.turn.runtime import CurrentRuntime
from rfsn_core.world.occasions import matching

MOST_RESTING = 10_000
"""Conversations and events whose cooldown is kept."""


class Reactions:
    """The reactions of one process, with their cooldowns."""

    def __init__(
        self, runtimes: CurrentRuntime, conversations: Conversations, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._runtimes, self._conversations, self._clock = runtimes, conversations, clock
        self._spoke: dict[tuple[Scope, str], float] = {}

    def to_event(self, event: protocol.GameEvent) -> protocol.PlayerTurn | None:
        """Return the turn in which an NPC speaks of an event, when the client or a trigger wants it."""
        runtime = self._runtimes.current
        npc = runtime.world.npc(event.npc)
        scope = Scope(event.save, npc.id, event.player)
        state = self._conversations[scope].state or NpcState()
        triggers = runtime.settings.world.triggers
        trigger = matching(triggers, event.kind, npc.id, Situation(state, "statement", event.data))
        if trigger is None and not event.speak:
            return None
        if trigger is not None and not event.speak and not self._is_due(scope, event.kind, trigger.cooldown):
            return None
        text = trigger.text if trigger else ""
        if not text:
            details = ", ".join(f"{key}: {value}" for key, value in event.data.items())[:500]
            text = event.kind.replace("_", " ") + (f" ({details})" if details else "")
        return protocol.PlayerTurn(npc=npc.id, player=event.player, save=event.save, text=text, cause=event.kind)

    def to_result(self, scope: Scope, result: ResultOf) -> protocol.PlayerTurn:
        """Return the turn in which an NPC speaks of what became of its action."""
        signal = "thanks" if result.outcome == "done" else "refuse"
        return protocol.PlayerTurn(
            npc=scope.npc,
            player=scope.player,
            save=scope.save,
            text=result.words,
            signal=signal,
            cause=f"result_{result.outcome}",
        )

    def _is_due(self, scope: Scope, kind: str, cooldown: float) -> bool:
        """Return whether the cooldown is over, and begin the next one if so."""
        now = self._clock()
        last = self._spoke.pop((scope, kind), None)
        due = last is None or now - last >= cooldown
        self._spoke[scope, kind] = now if due or last is None else last
        while len(self._spoke) > MOST_RESTING:
            del self._spoke[next(iter(self._spoke))]
        return due

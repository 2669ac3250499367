"""What a turn tells its client and the plugins, and when it reached each milestone."""

from __future__ import annotations

import time

from rfsn_core import protocol
from rfsn_core.contract.errors import RfsnError
from rfsn_core.plugins.hooks import Hooks
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS
from rfsn_core.turn.request import Request

log = logger("turn")


class TurnEvents:
    """The events of one turn, on their way to the client's outbox and the `rfsn_event` hooks."""

    def __init__(self, request: Request, hooks: Hooks) -> None:
        self._request, self._hooks = request, hooks
        self.latency = protocol.Latency()

    def start(self) -> None:
        """Tell that the turn has begun."""
        request = self._request
        self.emit(
            protocol.TurnStarted(
                turn_id=request.turn_id, turn_no=request.turn_no, npc=request.npc.id, player=request.scope.player
            )
        )

    def emit(self, event: protocol.Message) -> None:
        """Send an event."""
        request = self._request
        request.outbox.put(event)
        if self._hooks.event:
            self._hooks.event(event=event, npc=request.npc.id, player=request.scope.player)

    def mark(self, milestone: str) -> None:
        """Note when a milestone was first reached."""
        if getattr(self.latency, milestone) is None:
            elapsed = time.perf_counter() - self._request.arrived
            setattr(self.latency, milestone, round(elapsed * 1000, 3))
            METRICS.latency.labels(milestone).observe(elapsed)


def failed_event(turn_id: str, error: Exception) -> protocol.TurnFailed:
    """Return the message about a turn that failed, and log it."""
    if isinstance(error, RfsnError):
        code, message = error.code, error.public
        log.warning("turn.failed", turn_id=turn_id, code=code, error=str(error))
    else:
        code, message = "internal", f"{type(error).__name__}: the turn could not be carried out"
        log.error("turn.failed", turn_id=turn_id, exc_info=error)
    return protocol.TurnFailed(turn_id=turn_id, code=code, message=message)

"""Asks all gates in order: the most severe verdict wins, and a gate that fails blocks the text."""

from __future__ import annotations

from collections.abc import Sequence

from rfsn_core.contract.gating import SEVERITY, Gate, Utterance, Verdict
from rfsn_core.contract.provider_call import provider_call
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("gates")


async def check(gates: Sequence[Gate], utterance: Utterance, seconds: float) -> Verdict:
    """Return the verdict of all gates on a text; one that is not `allow` has at least one reason.

    :param seconds: time limit of one gate; after that the text is blocked.
    """
    worst = Verdict("block", ("no_gate",))
    for position, gate in enumerate(gates):
        try:
            async with provider_call(seconds):
                verdict = await gate.check(utterance)
            severity = SEVERITY[verdict.kind]
        except Exception as error:  # noqa: BLE001  the gate's code: fail closed
            METRICS.errors.labels("gating").inc()
            log.error("gate.failed", side=utterance.side, error=repr(error))
            verdict, severity = Verdict("block", ("gate_failed",)), SEVERITY["block"]
        if position == 0 or severity > SEVERITY[worst.kind]:
            worst = verdict
        if severity > SEVERITY["rewrite"]:
            break
    if worst.kind == "allow" or worst.reasons:
        return worst
    return Verdict(worst.kind, ("unspecified",), worst.text)

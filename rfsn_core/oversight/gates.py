"""Asks all gates in order, each about what the others left of the text; a gate that fails blocks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rfsn_core.contract.gating import SEVERITY, Gate, Utterance, Verdict
from rfsn_core.contract.provider_call import provider_call
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("gates")

ROUNDS = 3
"""How often the gates may go through a text that one of them rewrote."""


async def check(gates: Sequence[Gate], utterance: Utterance, seconds: float) -> Verdict:
    """Return the verdict of all gates on a text; one that is not `allow` has at least one reason.

    An allowed text keeps the reasons of the gates that found it suspicious, and the highest risk.

    A rewriting is what the next gates see, and what the gates before see again, so that every gate has passed the text
    that is said. Gates that keep rewriting each other's text block it.

    :param seconds: time limit of one gate; after that the text is blocked.
    """
    if not gates:
        return Verdict("block", ("no_gate",))
    passed: list[str | None] = [None] * len(gates)
    result = Verdict("allow")
    text = utterance.text
    for round_ in range(ROUNDS):
        for position, gate in enumerate(gates):
            if passed[position] == text:
                continue
            asked = utterance
            if text != utterance.text or result.reasons:
                asked = replace(utterance, text=text, suspected=result.reasons)
            verdict = await _ask(gate, asked, seconds)
            if SEVERITY[verdict.kind] > SEVERITY["rewrite"]:
                return verdict
            if verdict.kind == "rewrite":
                text = verdict.text
                reasons = dict.fromkeys((*result.reasons, *verdict.reasons))
                first = verdict if result.kind == "allow" else result
                result = replace(first, reasons=tuple(reasons), text=text)
            elif (round_, position) == (0, 0):
                result = verdict
            elif verdict.reasons or verdict.risk > result.risk:
                result = replace(
                    result,
                    reasons=tuple(dict.fromkeys((*result.reasons, *verdict.reasons))),
                    risk=max(result.risk, verdict.risk),
                    evidence=(*result.evidence, *verdict.evidence),
                )
            passed[position] = text
        if all(seen == text for seen in passed):
            return result
    log.error("gates.disagree", side=utterance.side, hint="Two gates rewrite each other's text again and again")
    return Verdict("block", ("gates_disagree",))


async def _ask(gate: Gate, utterance: Utterance, seconds: float) -> Verdict:
    """Return one gate's verdict; `block` when it fails, takes too long, or says something that is no verdict."""
    try:
        async with provider_call(seconds):
            verdict = await gate.check(utterance)
        _check_verdict(verdict)
    except Exception as error:  # noqa: BLE001  the gate's code: fail closed
        METRICS.errors.labels("gating").inc()
        log.error("gate.failed", side=utterance.side, gate=type(gate).__name__, error=repr(error))
        return Verdict("block", ("gate_failed",))
    return verdict if verdict.kind == "allow" or verdict.reasons else replace(verdict, reasons=("unspecified",))


def _check_verdict(verdict: Verdict) -> None:
    """Raise TypeError or ValueError for something that is no verdict."""
    if verdict.kind not in SEVERITY:
        raise ValueError(f"no verdict '{verdict.kind}'")
    if not isinstance(verdict.reasons, tuple) or not all(isinstance(reason, str) for reason in verdict.reasons):
        raise TypeError("the reasons of a verdict are a tuple of texts")
    if verdict.kind == "rewrite" and not (isinstance(verdict.text, str) and verdict.text.strip()):
        raise TypeError("a rewriting has no text")

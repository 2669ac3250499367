"""Judges texts: the gates, what operators labelled, the tier, safe mode, and people who approve."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from rfsn_core import protocol
from rfsn_core.contract.errors import NotFound, UserError
from rfsn_core.contract.gating import HARD_FLAGS, Gate, Utterance, Verdict
from rfsn_core.conversation.background import Background
from rfsn_core.oversight import gates
from rfsn_core.oversight.book import Book, Entry, Status
from rfsn_core.oversight.guard import GateGuard
from rfsn_core.oversight.labels import Labels, is_soft
from rfsn_core.oversight.patterns import Embed, Near, Pattern
from rfsn_core.settings.schema import GatingStage
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("gate")

POLL_SECONDS = 0.25
"""Time between two looks at what another process decided, while a text waits."""
AUTOSAVE_SECONDS = 300.0
SWITCH_SECONDS = 1.0
"""After that the safe mode is read again."""
STOPPED = ("block", "needs_approval")


@dataclass(frozen=True)
class Asker:
    """For whom a text is judged."""

    turn_id: str = ""
    player: str = ""
    emit: Callable[[protocol.Message], None] | None = None
    """Takes what the client should know meanwhile; None: nobody can wait for approval."""


NOBODY = Asker()


class Oversight:
    """The oversight of one process.

    :param folder: the data folder that all workers share.
    :param world: its name: labels of another world are refused.
    """

    def __init__(self, folder: Path, world: str = "") -> None:
        self.book = Book(folder)
        self.guard = GateGuard()
        self.labels = Labels(folder, world, self.book, self.guard)
        self.broadcast: Callable[[dict[str, Any]], None] | None = None
        """Tells the other servers that share the store; None: there are none."""
        self._background = Background()
        self._decided: dict[str, asyncio.Event] = {}
        self._safe: tuple[float, bool] = (0.0, False)

    # ── judging ──────────────────────────────────────────────────────────────────────────────────

    async def judge(
        self, chain: Sequence[Gate], stage: GatingStage, utterance: Utterance, seconds: float, asker: Asker = NOBODY,
        embed: Embed | None = None,
    ) -> Verdict:  # fmt: skip
        """Return the verdict on a text: `allow`, `rewrite` or `block`, after a person was asked where the tier says so.

        :param seconds: time limit of one gate, and of the embedder.
        :param embed: makes vectors of texts, to compare them with what operators labelled; None: n-grams do.
        """
        verdict = await self.check(chain, utterance, seconds, embed)
        failed = "gate_failed" in verdict.reasons
        suspicious = verdict.kind == "allow" and bool(verdict.reasons)
        self._count_shadow(stage, verdict)
        if suspicious and self.safe_mode(stage):
            verdict = replace(verdict, kind="block")
        self.guard.add(verdict.risk, stopped=verdict.kind in STOPPED, suspicious=suspicious, failed=failed)
        if asker is NOBODY:
            return replace(verdict, kind="block") if verdict.kind == "needs_approval" else verdict
        if asker.emit is not None and _waits(stage.tier, verdict):
            verdict = await self._ask_people(chain, stage, utterance, verdict, seconds, asker)
        elif verdict.kind in STOPPED or (suspicious and stage.tier != "delta"):
            status: Status = "blocked" if verdict.kind in STOPPED else "suspicious"
            self._background.start(self._record(utterance, verdict, status, asker, stage))
        return replace(verdict, kind="block") if verdict.kind == "needs_approval" else verdict

    async def check(
        self, chain: Sequence[Gate], utterance: Utterance, seconds: float, embed: Embed | None = None
    ) -> Verdict:
        """Return the verdict of the gates and of the labels, before the tier and people come into it."""
        near = await self._nearest(utterance.text, seconds, embed)
        ruling = self.labels.memory.ruling(near)
        if ruling == "unsafe" and near.unsafe_pattern is not None:
            self.labels.used(near.unsafe_pattern)
            evidence = f"near pattern {near.unsafe_pattern.id} ({near.unsafe:.2f}): {near.unsafe_pattern.text!r}"
            return Verdict("block", (near.unsafe_pattern.reason or "labelled",), risk=1.0, evidence=(evidence,))
        verdict = await gates.check(chain, utterance, seconds)
        if ruling == "safe" and verdict.kind in STOPPED and is_soft(verdict.risk, verdict.reasons):
            self.labels.used(near.safe_pattern)
            return Verdict("allow", risk=verdict.risk, evidence=("an operator labelled it safe", *verdict.evidence))
        return verdict

    async def _nearest(self, text: str, seconds: float, embed: Embed | None) -> Near:
        """Return the patterns nearest to a text; when the embedder fails, only the text itself is found."""
        try:
            async with asyncio.timeout(seconds):
                return await self.labels.nearest(text, embed)
        except Exception as error:  # noqa: BLE001  the embedder's code, or the disk
            METRICS.errors.labels("gating").inc()
            log.error("gate.patterns_failed", error=repr(error))
            return self.labels.same(text)

    def _count_shadow(self, stage: GatingStage, verdict: Verdict) -> None:
        if not stage.shadow or HARD_FLAGS.intersection(verdict.reasons):
            return
        stopped, would = verdict.kind in STOPPED, verdict.risk >= stage.shadow
        if stopped != would and verdict.kind != "rewrite":
            change = "would_allow" if stopped else "would_block"
            setattr(self.guard, change, getattr(self.guard, change) + 1)
            METRICS.gate_shadow.labels(change).inc()

    async def _record(
        self, utterance: Utterance, verdict: Verdict, status: Status, asker: Asker, stage: GatingStage
    ) -> Entry | None:
        """Put a text on the review list; a disk that fails changes no verdict."""

        def add() -> Entry:
            entry = Entry(
                side=utterance.side, npc=utterance.npc, player=self.book.digest(asker.player), text=utterance.text,
                verdict=verdict.kind, reasons=list(verdict.reasons), risk=round(verdict.risk, 3),
                evidence=list(verdict.evidence), status=status,
                expires=time.time() + stage.approval_seconds if status == "waiting" else 0.0,
            )  # fmt: skip
            return self.book.add(entry, stage.review_days)

        try:
            return await asyncio.to_thread(add)
        except Exception as error:  # noqa: BLE001  the disk
            log.error("gate.not_recorded", error=repr(error))
            return None

    # ── people ───────────────────────────────────────────────────────────────────────────────────

    async def _ask_people(
        self, chain: Sequence[Gate], stage: GatingStage, utterance: Utterance, verdict: Verdict, seconds: float,
        asker: Asker,
    ) -> Verdict:  # fmt: skip
        """Return what a person decided about a text, or what the settings say when the time is over."""
        assert asker.emit is not None
        entry = await self._record(utterance, verdict, "waiting", asker, stage)
        if entry is None:
            return replace(verdict, kind="block", reasons=verdict.reasons or ("not_approved",))
        METRICS.gate_waiting.inc()
        asker.emit(
            protocol.GateWaiting(
                turn_id=asker.turn_id,
                side=utterance.side,
                reasons=list(verdict.reasons),
                seconds=stage.approval_seconds,
            )
        )
        event = self._decided[entry.id] = asyncio.Event()
        try:
            decided = await self._decision(entry, event)
        finally:
            METRICS.gate_waiting.dec()
            self._decided.pop(entry.id, None)
        return await self._after_decision(chain, stage, utterance, verdict, decided, seconds)

    async def _decision(self, entry: Entry, event: asyncio.Event) -> Entry:
        """Return the entry when it is decided, in any process, or when its time is over."""
        while time.time() < entry.expires:
            try:
                async with asyncio.timeout(min(POLL_SECONDS, max(0.01, entry.expires - time.time()))):
                    await event.wait()
            except TimeoutError:
                pass
            current = await asyncio.to_thread(self.book.entry, entry.id)
            if current is not None and current.status != "waiting":
                return current
        await asyncio.to_thread(self.book.decide, entry.id, "expired", "")
        await asyncio.to_thread(self.book.note, "", "expired", id=entry.id)
        return await asyncio.to_thread(self.book.entry, entry.id) or entry

    async def _after_decision(
        self, chain: Sequence[Gate], stage: GatingStage, utterance: Utterance, verdict: Verdict, entry: Entry,
        seconds: float,
    ) -> Verdict:  # fmt: skip
        hard = verdict.kind in STOPPED and bool(HARD_FLAGS.intersection(verdict.reasons))
        approved = entry.status == "approved" or (
            entry.status == "expired" and stage.approval_end == "allow" and not hard
        )
        self.guard.approved += approved or entry.status == "rewritten"
        self.guard.rejected += entry.status == "rejected"
        METRICS.gate_decisions.labels(entry.status).inc()
        if approved:
            return replace(verdict, kind="allow")
        if entry.status == "rewritten" and entry.answer.strip():
            again = await gates.check(chain, replace(utterance, text=entry.answer), seconds)
            if again.kind in ("allow", "rewrite"):
                return Verdict("rewrite", verdict.reasons or ("rewritten",), text=again.text or entry.answer)
        return replace(verdict, kind="block", reasons=verdict.reasons or ("not_approved",))

    def decide(self, entry_id: str, status: Status, operator: str, answer: str = "") -> Entry:
        """Approve, reject or rewrite a text that waits; also in another process.

        Raises NotFound for an unknown id, and UserError when it no longer waits.
        """
        entry = self.book.entry(entry_id)
        if entry is None:
            raise NotFound(f"no text '{entry_id[:40]}' in the review list")
        if entry.status != "waiting" or time.time() >= entry.expires:
            raise UserError(f"text {entry_id} no longer waits: {entry.status if entry.operator else 'expired'}")
        if not self.book.decide(entry_id, status, operator, answer):
            raise UserError(f"somebody else decided about text {entry_id}")
        self.book.note(operator, status, id=entry_id)
        if event := self._decided.get(entry_id):
            event.set()
        return self.book.entry(entry_id) or entry

    # ── safe mode ────────────────────────────────────────────────────────────────────────────────

    def safe_mode(self, stage: GatingStage) -> bool:
        """Return whether suspicious texts are blocked, by the settings or by the switch."""
        if stage.safe_mode:
            return True
        now = time.monotonic()
        if now - self._safe[0] > SWITCH_SECONDS or not self._safe[0]:
            try:
                self._safe = now, self.book.switch("safe_mode") == "on"
            except Exception as error:  # noqa: BLE001  the disk: what was known last stays
                log.error("gate.switch_not_read", error=repr(error))
                self._safe = now, self._safe[1]
        return self._safe[1]

    def set_safe_mode(self, on: bool, operator: str, *, tell: bool = True) -> None:
        """Switch the safe mode of all servers.

        :param tell: whether the servers that share the store are told.
        """
        self.book.set_switch("safe_mode", "on" if on else "off")
        self.book.note(operator, "safe_mode", on=on)
        self._safe = time.monotonic(), on
        log.warning("gate.safe_mode", on=on, operator=operator)
        if tell and self.broadcast is not None:
            self.broadcast({"safe_mode": on, "operator": operator})

    async def follow(self, change: dict[str, Any], embed: Embed | None) -> None:
        """Take over what an operator changed on another server."""
        if "safe_mode" in change:
            self.set_safe_mode(bool(change["safe_mode"]), str(change.get("operator", "")), tell=False)
            return
        pattern = change.get("pattern")
        own = msgspec.convert(pattern, Pattern) if pattern else None
        await self.labels.adopt(own, str(change.get("removed", "")), embed)
        self.book.note("", "followed", pattern=own.id if own else "", removed=change.get("removed", ""))

    # ── labels ───────────────────────────────────────────────────────────────────────────────────

    async def autosave(self) -> None:
        """Write a checkpoint of the labels every five minutes, until cancelled."""
        while True:
            await asyncio.sleep(AUTOSAVE_SECONDS)
            await asyncio.to_thread(self._autosave)

    def _autosave(self) -> None:
        try:
            self.labels.autosave()
        except OSError as error:
            log.error("gate.checkpoint_failed", error=str(error))

    async def close(self) -> None:
        """Write what is left to write, and close the book."""
        await self._background.wait(5)
        await asyncio.to_thread(self._autosave)
        self.book.close()


def _waits(tier: str, verdict: Verdict) -> bool:
    """Return whether a text waits for a person."""
    if tier == "alpha":
        return True
    if tier == "beta":
        return bool(verdict.reasons)
    return tier == "gamma" and verdict.kind == "needs_approval"

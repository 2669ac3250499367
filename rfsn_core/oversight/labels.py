"""What operators label: an effect is shown before it is saved, and a doubtful label waits for a second operator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from rfsn_core.contract.errors import NotFound, UserError
from rfsn_core.contract.gating import HARD_FLAGS, Verdict
from rfsn_core.defaults.lines import pools
from rfsn_core.kit.folding import fold
from rfsn_core.oversight.book import Book, Entry
from rfsn_core.oversight.checkpoints import Checkpoints
from rfsn_core.oversight.guard import GateGuard
from rfsn_core.oversight.patterns import VERY_NEAR, Embed, Label, Near, Pattern, PatternMemory, hashed
from rfsn_core.telemetry.logs import logger

log = logger("gate")

DAY = 86400.0
ANOMALOUS = 0.85
"""Risk from which a safe label waits for a second operator, while too few were accepted to know better."""
FEWEST = 20
"""Accepted labels from which the quantile of their scores decides."""
REFRESH_SECONDS = 2.0
CERTAIN = 0.95
"""Risk that no safe label overrides."""
BACKGROUND = 600
"""Harmless lines that the threshold is measured on."""
Check = Callable[[str], Awaitable[Verdict]]


class Effect(msgspec.Struct, kw_only=True):
    """What a label does, or would do."""

    pattern: Pattern
    risk: float
    """What the gates say of the text now."""
    reasons: list[str]
    would_pass: list[str]
    """Texts of the review list that were stopped and would pass now."""
    would_stop: list[str]
    """Texts of the review list that passed, and harmless lines, that would be stopped now."""
    held: str = ""
    """Why it waits for a second operator."""
    saved: bool = False


class Labels:
    """The labels of one process; the files are shared by all workers."""

    def __init__(self, folder: Path, world: str, book: Book, guard: GateGuard) -> None:
        self.memory = PatternMemory()
        self._book, self._guard = book, guard
        self._checkpoints = Checkpoints(folder / "gate", lambda: book.key, world)
        self._loaded = ""
        self._refreshed = -REFRESH_SECONDS
        self._lock = asyncio.Lock()
        self._background: Any = None
        self._rank = 0.0

    # ── asking ───────────────────────────────────────────────────────────────────────────────────

    async def nearest(self, text: str, embed: Embed | None) -> Near:
        """Return the patterns nearest to a text."""
        await self._refresh(embed)
        if not len(self.memory):
            return Near()
        return self.memory.nearest((await self._embed([text], embed))[0])

    def same(self, text: str) -> Near:
        """Return the pattern of the very same text, without vectors."""
        folded = fold_text(text)
        for pattern in self.memory.patterns:
            if not pattern.held and fold_text(pattern.text) == folded:
                if pattern.label == "unsafe":
                    return Near(unsafe=1.0, unsafe_pattern=pattern)
                return Near(safe=1.0, safe_pattern=pattern)
        return Near()

    def used(self, pattern: Pattern | None) -> None:
        """Count that a pattern decided about a text."""
        if pattern is not None:
            pattern.hits += 1
            self.memory.dirty = True

    async def _embed(self, texts: Sequence[str], embed: Embed | None) -> Any:
        """Return vectors of texts; hashed ones when the embedder fails, for then it is replaced as a whole."""
        folded = [fold_text(text) for text in texts]
        if embed is None:
            return hashed(folded)
        return np.asarray(await embed(folded), np.float32)

    # ── labelling ────────────────────────────────────────────────────────────────────────────────

    async def label(self, pattern: Pattern, embed: Embed | None, check: Check, *, per_day: int, save: bool) -> Effect:
        """Return the effect of a label, and save it if asked. Raises UserError when it may not be saved.

        :param check: what the gates say of a text, without the labels.
        :param per_day: labels that one operator may give in a day.
        """
        verdict = await check(pattern.text)
        pattern.risk = round(verdict.risk, 3)
        if pattern.label == "safe" and HARD_FLAGS.intersection(verdict.reasons) and verdict.kind != "allow":
            raise UserError(f"no label lets {verdict.reasons[0]} pass", hint="This topic cannot be switched off")
        if pattern.label == "unsafe" and not pattern.reason:
            pattern.reason = verdict.reasons[0] if verdict.reasons else "labelled"
        async with self._lock:
            await self._refresh(embed, now=True)
            vector = (await self._embed([pattern.text], embed))[0]
            pattern.held = self._doubt(pattern, vector)
            effect = await self._effect(pattern, vector, verdict, embed)
            if save:
                if self._book.count(pattern.operator, "label", time.time() - DAY) >= per_day:
                    raise UserError(f"'{pattern.operator}' gave {per_day} labels today", hint="[gating] labels_per_day")
                evicted = self.memory.add(pattern, vector, await self._harmless(embed))
                await asyncio.to_thread(self._save)
                self._book.note(pattern.operator, "label", id=pattern.id, label=pattern.label, held=pattern.held,
                                why=pattern.why, evicted=evicted.id if evicted else "")  # fmt: skip
                effect.saved = True
        return effect

    async def confirm(self, pattern_id: str, operator: str, embed: Embed | None) -> Pattern:
        """Put a label into force that waited for it. Raises NotFound, and UserError when the same operator asks."""
        async with self._lock:
            await self._refresh(embed, now=True)
            pattern = self._find(pattern_id)
            if not pattern.held:
                raise UserError(f"pattern {pattern_id} is in force already")
            if operator == pattern.operator:
                raise UserError(f"'{operator}' gave this label; somebody else must confirm it")
            pattern.held, pattern.second = "", operator
            await asyncio.to_thread(self._save)
            self._book.note(operator, "confirm", id=pattern_id)
            return pattern

    async def undo(self, pattern_id: str, operator: str, embed: Embed | None) -> Pattern:
        """Remove a label. Raises NotFound."""
        async with self._lock:
            await self._refresh(embed, now=True)
            pattern = self._find(pattern_id)
            self.memory.remove(pattern_id)
            await asyncio.to_thread(self._save)
            self._book.note(operator, "undo", id=pattern_id, label=pattern.label)
            return pattern

    async def adopt(self, pattern: Pattern | None, removed: str, embed: Embed | None) -> None:
        """Take over what an operator did on another server.

        :param removed: id of a pattern that was removed there.
        """
        async with self._lock:
            await self._refresh(embed, now=True)
            if removed or (pattern and any(own.id == pattern.id for own in self.memory.patterns)):
                self.memory.remove(removed or (pattern.id if pattern else ""))
            if pattern is not None:
                vector = (await self._embed([pattern.text], embed))[0]
                self.memory.add(pattern, vector, await self._harmless(embed))
            await asyncio.to_thread(self._save)

    def _find(self, pattern_id: str) -> Pattern:
        for pattern in self.memory.patterns:
            if pattern.id == pattern_id:
                return pattern
        raise NotFound(f"no pattern '{pattern_id[:40]}'")

    def _doubt(self, pattern: Pattern, vector: Any) -> str:
        """Return why a label waits for a second operator: it is near the other set, or the gates say otherwise."""
        near = self.memory.nearest(vector, held=True)
        own, other = (near.safe, near.unsafe) if pattern.label == "safe" else (near.unsafe, near.safe)
        if pattern.label == "safe" and near.unsafe >= self.memory.threshold:
            return f"it is near an unsafe pattern ({near.unsafe:.2f})"
        if pattern.label == "unsafe" and near.safe >= VERY_NEAR:
            return f"it is near a safe pattern ({near.safe:.2f})"
        accepted = [item for item in self.memory.patterns if item.label == pattern.label and not item.held]
        if pattern.label == "safe":
            limit = ANOMALOUS
            if len(accepted) >= FEWEST:
                limit = min(CERTAIN, max(ANOMALOUS, float(np.quantile([item.risk for item in accepted], 0.95))))
            if pattern.risk >= limit:
                return f"the gates are sure that it is harmful ({pattern.risk:.2f})"
        if len(accepted) >= FEWEST and other - own > self._usual(pattern.label):
            return f"it is more like the other set ({other:.2f} to {own:.2f})"
        return ""

    def _usual(self, label: Label) -> float:
        """Return the 95 % quantile of (nearest other - nearest own) of the accepted patterns of a label."""
        rows = self.memory.vectors
        same = np.array([item.label == label for item in self.memory.patterns])
        if same.all():
            return 2.0
        gram = rows @ rows.T
        np.fill_diagonal(gram, -1.0)
        scores = gram[same][:, ~same].max(1) - gram[same][:, same].max(1)
        return float(np.quantile(scores, 0.95))

    async def _effect(self, pattern: Pattern, vector: Any, verdict: Verdict, embed: Embed | None) -> Effect:
        """Return what a label changes for the texts of the review list, and for harmless lines."""
        trial = PatternMemory(self.memory.name)
        trial.set(self.memory.patterns, self.memory.vectors, self.memory.threshold)
        background = await self._harmless(embed)
        trial.add(msgspec.structs.replace(pattern, held=""), vector, background)
        entries = await asyncio.to_thread(self._book.entries, "", 500, time.time() - 7 * DAY)
        unique: dict[str, Entry] = {entry.text: entry for entry in entries}
        effect = Effect(
            pattern=pattern, risk=pattern.risk, reasons=list(verdict.reasons), would_pass=[], would_stop=[],
            held=pattern.held,
        )  # fmt: skip
        if unique:
            for entry, row in zip(unique.values(), await self._embed(list(unique), embed), strict=True):
                ruling = trial.ruling(trial.nearest(row))
                stopped = entry.verdict != "allow"
                if ruling == "safe" and stopped and is_soft(entry.risk, entry.reasons):
                    effect.would_pass.append(entry.text)
                elif ruling == "unsafe" and not stopped:
                    effect.would_stop.append(entry.text)
        if pattern.label == "unsafe":
            for index in np.flatnonzero(background @ np.asarray(vector).ravel() >= trial.threshold):
                if trial.ruling(trial.nearest(background[index])) == "unsafe":
                    effect.would_stop.append(harmless_lines()[index])
        return effect

    async def _harmless(self, embed: Embed | None) -> Any:
        """Return the vectors of harmless lines, made once."""
        if self._background is None:
            self._background = await self._embed(harmless_lines(), embed)
        return self._background

    # ── files ────────────────────────────────────────────────────────────────────────────────────

    async def _refresh(self, embed: Embed | None, *, now: bool = False) -> None:
        """Load the newest checkpoint, if another worker wrote one."""
        if not now and time.monotonic() - self._refreshed < REFRESH_SECONDS:
            return
        self._refreshed = time.monotonic()
        paths = await asyncio.to_thread(self._checkpoints.newest_first)
        if not paths or paths[0].name == self._loaded:
            return
        for path in paths:
            try:
                checkpoint, vectors = await asyncio.to_thread(self._checkpoints.load, path)
            except ValueError as error:
                self._guard.raise_alert("critical", "checkpoint", f"a checkpoint of the patterns is refused: {error}")
                continue
            name = "hashed" if embed is None else "embedder"
            if checkpoint.embedder != name and checkpoint.patterns:
                vectors = await self._embed([pattern.text for pattern in checkpoint.patterns], embed)
                self._background = None
            self.memory.name = name
            self.memory.set(checkpoint.patterns, vectors, checkpoint.threshold)
            break
        self._loaded = paths[0].name
        self._watch()

    def _save(self) -> None:
        self._loaded = self._checkpoints.save(self.memory).name
        self._watch()

    def _watch(self) -> None:
        """Compare the figures of the projection with those before: a sudden collapse is an attack, or a mistake."""
        figures = self.memory.figures()
        self._guard.set_memory(figures["use"], figures["consistency"])
        rank = figures["effective_rank"]
        if self._rank >= 8 and rank < self._rank / 2:
            self._guard.raise_alert("error", "projection", f"the patterns collapse: effective rank {rank:.1f}", rank)
        self._rank = rank

    def autosave(self) -> None:
        """Write a checkpoint when something changed. Raises OSError."""
        if self.memory.dirty and len(self.memory):
            self._save()


def is_soft(risk: float, reasons: Iterable[str]) -> bool:
    """Return whether a label may let a text pass that was stopped."""
    return risk < CERTAIN and not HARD_FLAGS.intersection(reasons)


def fold_text(text: str) -> str:
    """Return a text as patterns compare it: without disguises."""
    return fold(text).folded


def harmless_lines() -> list[str]:
    """Return harmless lines: the built-in lines of NPCs."""
    lines = [line.text for pool in pools().values() for voice in pool.values() for line in voice if not line.names]
    step = max(1, len(lines) // BACKGROUND)
    return lines[::step][:BACKGROUND]

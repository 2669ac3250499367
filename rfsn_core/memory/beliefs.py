"""Which memories an NPC believes: confidence, contradiction, expiry, and an operator's decision.

Nothing is deleted. A memory that an NPC does not believe is kept as superseded or quarantined, with the reason, and an
operator can make it active again. A fact is a subject, a predicate and a value; where a predicate has one value at a
time, a contradiction is certain. Free text is only flagged: such rules work for short factual sentences and fail for
ordinary talk.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from rfsn_core.contract.storage import MemoryKind, MemoryRecord, MemorySource, MemoryStatus
from rfsn_core.kit.search import terms

SINGLE_VALUED = ("name", "home", "origin", "trade", "alive", "married_to", "leader", "owner", "location", "age")
"""Predicates of which only one value is true at a time."""
RANK = {source: rank for rank, source in enumerate(reversed(MemorySource))}
"""Source → rank of trust; the memory of the higher rank wins a contradiction."""
ADMITTED = 0.5
"""Confidence from which a memory is believed."""
MAX_WORKING_SET = 200
"""Memories of a conversation that are kept in memory."""
_NEGATION = re.compile(r"\b(?:not|never|no|none|nobody|nothing|isn'?t|aren'?t|wasn'?t|don'?t|doesn'?t|didn'?t|won'?t"
                       r"|can'?t|cannot|without)\b", re.IGNORECASE)  # fmt: skip


def memory_id(*parts: str) -> str:
    """Return the id of a memory, a hash of its parts: what is learned twice is one memory."""
    return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()


def fact_id(subject: str, predicate: str, value: str, negated: bool) -> str:
    """Return the id of a fact, which does not depend on its source or wording."""
    return memory_id(subject, predicate, value.lower(), str(negated))


def believed(memories: Iterable[MemoryRecord], now: float) -> list[MemoryRecord]:
    """Return the memories that are active and not expired."""
    return [memory for memory in memories if memory.status is MemoryStatus.ACTIVE and not is_expired(memory, now)]


def newest(memories: Sequence[MemoryRecord], most: int | None) -> Sequence[MemoryRecord]:
    """Return the newest memories that are not superseded, at most so many; None: all, and the superseded, too."""
    return memories if most is None else working_set(memories, most)


def working_set(memories: Iterable[MemoryRecord], most: int = MAX_WORKING_SET) -> list[MemoryRecord]:
    """Return the memories that are needed to judge new ones: all that are not superseded, at most the newest `most`."""
    return [memory for memory in memories if memory.status is not MemoryStatus.SUPERSEDED][-most:]


def is_expired(memory: MemoryRecord, now: float) -> bool:
    """Return whether a memory's time is over."""
    return memory.expires is not None and now >= memory.expires


def learn(
    known: Mapping[str, MemoryRecord], new: MemoryRecord, now: float,
    *, admitted: float = ADMITTED, single_valued: Sequence[str] = SINGLE_VALUED,
) -> list[MemoryRecord]:  # fmt: skip
    """Return the versions to store when `new` is learned: superseded memories first, then the new one.

    The list is empty when `new` is known already, unless it comes with more confidence or from a more trusted source.
    A quarantined or forgotten memory stays so until an operator makes it active.
    """
    if new.status is MemoryStatus.QUARANTINED:
        return [] if new.memory_id in known else [new]
    before = known.get(new.memory_id)
    if before is not None and not _changes_anything(before, new, now, admitted):
        return []
    if new.confidence < admitted:
        reason = f"confidence {new.confidence:.2f}, below {admitted:.2f}"
        return [replace(new, status=MemoryStatus.QUARANTINED, reason=reason)]
    superseded: list[MemoryRecord] = []
    for old in believed(known.values(), now):
        if old.memory_id == new.memory_id or not contradicts(old, new, single_valued):
            continue
        if RANK[new.source] < RANK[old.source]:
            reason = f"{old.source.value} says {_claim(old)}"
            return [replace(new, status=MemoryStatus.QUARANTINED, reason=reason, by=old.memory_id)]
        reason = f"{new.source.value} says {_claim(new)}"
        superseded.append(replace(old, status=MemoryStatus.SUPERSEDED, reason=reason, by=new.memory_id))
    if not new.predicate and (other := _possible_contradiction(believed(known.values(), now), new)) is not None:
        new = replace(new, reason=f"may contradict {other.memory_id}")
    return [*superseded, new]


def _changes_anything(before: MemoryRecord, new: MemoryRecord, now: float, admitted: float) -> bool:
    """Return whether a memory that is known already is worth a new version."""
    if before.status is MemoryStatus.SUPERSEDED or RANK[new.source] > RANK[before.source]:
        return True
    if before.status is MemoryStatus.ACTIVE:
        return is_expired(before, now) or new.confidence > before.confidence
    return before.status is MemoryStatus.QUARANTINED and before.confidence < admitted <= new.confidence


def contradicts(old: MemoryRecord, new: MemoryRecord, single_valued: Sequence[str] = SINGLE_VALUED) -> bool:
    """Return whether two memories cannot both be true. Always False for free text."""
    return old.subject.lower() == new.subject.lower() and excludes(old, new, single_valued)


class Claim(Protocol):
    """What is said of one subject."""

    @property
    def predicate(self) -> str:
        """What it is about, such as `origin`; empty for free text."""

    @property
    def value(self) -> str:
        """What is said about that."""

    @property
    def negated(self) -> bool:
        """Whether it is said that it is not so."""


def excludes(one: Claim, other: Claim, single_valued: Container[str]) -> bool:
    """Return whether two claims about the same subject cannot both be true. Always False for free text."""
    if not one.predicate or one.predicate != other.predicate:
        return False
    same = one.value.lower() == other.value.lower()
    if one.negated or other.negated:
        return same and one.negated != other.negated
    return not same and one.predicate in single_valued


def judge(
    known: Mapping[str, MemoryRecord], memory: MemoryRecord, status: MemoryStatus, reason: str, now: float,
    *, single_valued: Sequence[str] = SINGLE_VALUED,
) -> list[MemoryRecord]:  # fmt: skip
    """Return the versions to store when an operator sets a memory's status; the memory itself is the last.

    A memory that becomes active supersedes all that contradict it.
    """
    judged = replace(memory, status=status, reason=reason, by="", time=now)
    if status is not MemoryStatus.ACTIVE:
        return [judged]
    others = {other: known[other] for other in known if other != memory.memory_id}
    judged = replace(judged, source=MemorySource.OPERATOR, confidence=1.0, expires=None)
    *superseded, _ = learn(others, judged, now, single_valued=single_valued)
    return [*superseded, judged]


def _possible_contradiction(known: Iterable[MemoryRecord], new: MemoryRecord) -> MemoryRecord | None:
    """Return a memory with nearly the same words as `new`, when exactly one of the two contains a negation."""
    words = set(terms(new.text))
    for old in known:
        if old.kind is MemoryKind.SUMMARY:
            continue
        old_words = set(terms(old.text))
        similar = len(words & old_words) >= max(2, 0.6 * max(len(words), len(old_words)))
        if similar and _is_negated(old.text) != _is_negated(new.text):
            return old
    return None


def _is_negated(text: str) -> bool:
    return len(_NEGATION.findall(text)) % 2 == 1


def _claim(memory: MemoryRecord) -> str:
    return f"{memory.predicate} is {'not ' if memory.negated else ''}{memory.value}"[:120]

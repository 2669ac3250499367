"""Which memories an NPC believes: admission, contradiction, expiry, and an operator's word.

Nothing is deleted: what an NPC does not believe is kept as superseded or quarantined, with the reason and a way out.
A fact is (subject, predicate, value); a predicate that holds one value at a time makes a contradiction exact. Free text
only raises a flag: rules for it are right on short factual sentences and wrong on open talk.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from rfsn_core.contract.storage import MemoryKind, MemoryRecord, MemorySource, MemoryStatus
from rfsn_core.memory.retrieval import terms

SINGLE_VALUED = ("name", "home", "origin", "trade", "alive", "married_to", "leader", "owner", "location", "age")
"""Predicates of which only one value is true at a time."""
RANK = {source: rank for rank, source in enumerate(reversed(MemorySource))}
"""Source → how far it is trusted: the game knows better than the player."""
ADMITTED = 0.5
"""Confidence from which a memory is believed."""
_NEGATION = re.compile(r"\b(?:not|never|no|none|nobody|nothing|isn'?t|aren'?t|wasn'?t|don'?t|doesn'?t|didn'?t|won'?t"
                       r"|can'?t|cannot|without)\b", re.IGNORECASE)  # fmt: skip


def memory_id(*parts: str) -> str:
    """The same for the same parts: what is learned twice is one memory."""
    return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()


def fact_id(subject: str, predicate: str, value: str, negated: bool) -> str:
    """The memory that an exact fact is, whoever tells it and in whatever words."""
    return memory_id(subject, predicate, value.lower(), str(negated))


def latest(versions: Iterable[MemoryRecord]) -> list[MemoryRecord]:
    """The newest version of each memory, in the order in which they were first learned."""
    found: dict[str, MemoryRecord] = {}
    for version in versions:
        found[version.memory_id] = version
    return list(found.values())


def believed(memories: Iterable[MemoryRecord], now: float) -> list[MemoryRecord]:
    """What an NPC knows now: active, and not expired."""
    return [each for each in memories if each.status is MemoryStatus.ACTIVE and not expired(each, now)]


def in_mind(memories: Iterable[MemoryRecord], most: int = 200) -> list[MemoryRecord]:
    """What has to be at hand to judge what is learned next; of too many, the newest."""
    return [each for each in memories if each.status is not MemoryStatus.SUPERSEDED][-most:]


def expired(memory: MemoryRecord, now: float) -> bool:
    """Whether its time is over."""
    return memory.expires is not None and now >= memory.expires


def learn(
    known: Mapping[str, MemoryRecord], new: MemoryRecord, now: float,
    *, admitted: float = ADMITTED, single_valued: Sequence[str] = SINGLE_VALUED,
) -> list[MemoryRecord]:  # fmt: skip
    """What changes when something is learned: the new memory, and new versions of those that yield to it.

    Told again, a memory is not stored again, unless it is surer now. What was set aside stays so until an operator
    lets it out.
    """
    before = known.get(new.memory_id)
    if before is not None and not _says_more(before, new, now, admitted):
        return []
    if new.confidence < admitted:
        why = f"confidence {new.confidence:.2f}, below {admitted:.2f}"
        return [replace(new, status=MemoryStatus.QUARANTINED, reason=why)]
    changes: list[MemoryRecord] = []
    for old in believed(known.values(), now):
        if old.memory_id == new.memory_id or not contradicts(old, new, single_valued):
            continue
        if RANK[new.source] >= RANK[old.source]:
            told = f"{new.source.value} says {_said(new)}"
            changes.append(replace(old, status=MemoryStatus.SUPERSEDED, reason=told, by=new.memory_id))
        else:
            told = f"{old.source.value} says {_said(old)}"
            return [replace(new, status=MemoryStatus.QUARANTINED, reason=told, by=old.memory_id)]
    if not new.predicate and (other := _doubtful(believed(known.values(), now), new)) is not None:
        new = replace(new, reason=f"may contradict {other.memory_id}")
    return [*changes, new]


def _says_more(before: MemoryRecord, new: MemoryRecord, now: float, admitted: float) -> bool:
    """Whether what is told again changes anything."""
    if before.status is MemoryStatus.SUPERSEDED or RANK[new.source] > RANK[before.source]:
        return True
    if before.status is MemoryStatus.ACTIVE:
        return expired(before, now) or new.confidence > before.confidence
    return before.status is MemoryStatus.QUARANTINED and before.confidence < admitted <= new.confidence


def contradicts(old: MemoryRecord, new: MemoryRecord, single_valued: Sequence[str] = SINGLE_VALUED) -> bool:
    """Whether both cannot be true: exact for facts, never for free text."""
    if not new.predicate or (old.subject.lower(), old.predicate) != (new.subject.lower(), new.predicate):
        return False
    same = old.value.lower() == new.value.lower()
    if old.negated or new.negated:
        return same and old.negated != new.negated
    return not same and new.predicate in single_valued


def decide(
    known: Mapping[str, MemoryRecord], memory: MemoryRecord, status: MemoryStatus, reason: str, now: float,
    *, single_valued: Sequence[str] = SINGLE_VALUED,
) -> list[MemoryRecord]:  # fmt: skip
    """An operator's word on a memory; what contradicts one that is let out yields to it."""
    told = replace(memory, status=status, reason=reason, by="", time=now)
    if status is not MemoryStatus.ACTIVE:
        return [told]
    others = {each: known[each] for each in known if each != memory.memory_id}
    sure = replace(told, source=MemorySource.OPERATOR, confidence=1.0, expires=None)
    *yielding, _ = learn(others, sure, now, single_valued=single_valued)
    return [*yielding, sure]


def _doubtful(known: Iterable[MemoryRecord], new: MemoryRecord) -> MemoryRecord | None:
    """A belief in nearly the same words of which one is denied."""
    words = set(terms(new.text))
    for old in known:
        if old.kind is MemoryKind.SUMMARY:
            continue
        own = set(terms(old.text))
        if len(words & own) >= max(2, 0.6 * max(len(words), len(own))) and _denies(old.text) != _denies(new.text):
            return old
    return None


def _denies(text: str) -> bool:
    return len(_NEGATION.findall(text)) % 2 == 1


def _said(memory: MemoryRecord) -> str:
    return f"{memory.predicate} is {'not ' if memory.negated else ''}{memory.value}"[:120]

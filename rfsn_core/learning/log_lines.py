"""A line of the turn log, and the chain that shows whether a line was changed, removed or inserted.

::

    {"seq":7,"prev":"<hash of line 6>","kind":"decision","decision_id":…}

A line that was erased leaves its number and its hash, so that the chain still holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from rfsn_core.contract.storage import Scope

FIRST_HASH = "0" * 32
"""What the first line names as the hash of the line before it."""


class _TurnHeader(msgspec.Struct, frozen=True):
    scope: Scope
    time: float
    turn_id: str


class Header(msgspec.Struct, frozen=True):
    """What every line says of itself, whatever its kind."""

    seq: int
    prev: str
    kind: str
    hash: str = ""
    """Of a line that was erased: the hash that it had."""
    save: str = ""
    npc: str = ""
    player: str = ""
    time: float = 0.0
    decision_id: str = ""
    turn: _TurnHeader | None = None
    stored: bool = False

    @property
    def scope(self) -> Scope | None:
        """Whose line it is; None for one that names nobody."""
        if self.turn is not None:
            return self.turn.scope
        return Scope(self.save, self.npc, self.player) if self.save or self.npc else None

    @property
    def moment(self) -> float:
        """When it happened, in seconds since the epoch."""
        return self.turn.time if self.turn is not None else self.time


_decode = msgspec.json.Decoder(Header).decode


def header(line: bytes) -> Header:
    """Return what a line says of itself. Raises msgspec.MsgspecError when it is no line of the log."""
    return _decode(line)


def new_line(seq: int, prev: str, body: bytes) -> bytes:
    """Return a record, encoded as a JSON object, as a line with its newline."""
    return b'{"seq":%d,"prev":"%s",%s\n' % (seq, prev.encode(), body[1:])


def hash_of(line: bytes) -> str:
    """Return the hash that the next line names."""
    return blake2b(line, digest_size=16).hexdigest()


def erased(line: bytes, head: Header) -> bytes:
    """Return what remains of a line that is erased."""
    return new_line(head.seq, head.prev, b'{"kind":"erased","hash":"%s"}' % (head.hash or hash_of(line)).encode())


@dataclass
class Chain:
    """What was found when lines were checked one after the other."""

    lines: int = 0
    erased: int = 0
    first: int = 0
    last: int = 0
    """Numbers of the first and the last line."""
    head: str = ""
    """Hash of the last line: someone who notes it can tell later whether anything before it was changed."""


def check(lines: Iterable[tuple[str, bytes]], chain: Chain) -> Iterator[str]:
    """Check lines, each with the name of its file, and yield what is wrong with them. Fills in `chain`."""
    for file, line in lines:
        try:
            head = header(line)
        except msgspec.MsgspecError as error:
            yield f"{file}: the line after number {chain.last} is damaged: {error}"
            chain.head, chain.last, chain.lines = hash_of(line), chain.last + 1, chain.lines + 1
            continue
        if not chain.lines:
            chain.first = head.seq
            if head.seq == 1 and head.prev != FIRST_HASH:
                yield f"{file}: line 1 is not the first line of a log"
            if not file.startswith(f"{head.seq:012}."):
                yield f"{file}: it begins with line {head.seq}: lines were removed or inserted"
        elif head.seq != chain.last + 1:
            yield f"{file}: line {head.seq} comes after line {chain.last}: lines were removed or inserted"
        elif head.prev != chain.head:
            yield f"{file}: line {chain.last} was changed, or replaced: line {head.seq} names another hash"
        chain.lines, chain.last = chain.lines + 1, head.seq
        chain.erased += head.kind == "erased"
        chain.head = head.hash or hash_of(line)

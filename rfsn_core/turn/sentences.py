"""Cuts a stream of tokens into sentences, each as soon as its end is certain.

Where a terminator follows a normal word, the end is certain at once: the next token is not waited for. What
still belongs to the sentence but arrives later (a second `!`, a closing quote, the space) follows as a piece
of the same index. Joined, the pieces are exactly the input, and the pieces of each index are the same however
the input was cut into tokens. (docs/decisions/sentences.md)
"""

from __future__ import annotations

import re
from typing import NamedTuple

LONGEST = 400
"""A sentence is cut at a clause, or else at a space, when it gets longer than this many characters."""

_NEVER_END = frozenset(
    "mr mrs ms mx dr prof st ste sgt lt col gen capt cmdr maj rev hon sen rep gov messrs mt ft vs vol fig approx dept"
    " est cf e.g i.e viz ca approx al d.h z.b bzw evtl hr fr mme mlle sra srta ud uds".split()
)
_MAY_END = frozenset("etc inc ltd co corp a.m p.m b.c a.d jr sr al".split())
_BEFORE_NUMBER = frozenset(
    "no nr art sec p pp ch chap bk ed par c anno nos vols jan feb mar apr jun jul aug sep sept oct nov dec".split()
)
_HESITANT = frozenset(
    "i well wait hm hmm hmmm so ah oh um uh er eh but and or if then the a maybe perhaps still yet because".split()
)
"""Words after which a dot is often the start of an ellipsis: the next character is waited for."""

_OPEN = {"“": "”", "„": "“", "«": "»", "(": ")", "[": "]", "「": "」", "『": "』"}
_CLOSE = frozenset(_OPEN.values())
FINAL = "\u037e\u0589。！？।॥۔؟።፧။།｡．⁇⁈⁉‽"
"""Terminators after which nothing else can follow in the same sentence."""
_STOP = re.compile(rf"[.!?…{FINAL}\n\"“”„«»()\[\]「」『』]")
_WORD = re.compile(r"[^\W_]+(?:[.'’\-][^\W_]+)*$")
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*://|\bwww(?=\.|$)|\w[\w.+-]*@)\S*$", re.IGNORECASE)
_RUN = re.compile(r"[.!?…]*[\"'”’»)\]}*_~」』]*")
_TAIL = re.compile(rf"[\"'”’»)\]}}*_~.!?…{FINAL}」』]*")
_SPACE = re.compile(r"\s*")
_CLAUSE = re.compile(r".*[,;:—–](?=\s)", re.DOTALL)


class Piece(NamedTuple):
    """A part of a sentence. The first piece of an index is the sentence; later ones are what trails it."""

    sentence: int
    """Index of the sentence in the turn, from 0."""
    text: str
    first: bool

    @property
    def speakable(self) -> bool:
        """Whether this is a sentence with words, not just what trails one."""
        return self.first and _speakable(self.text)


class Sentences:
    """The segmenter of one turn."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._buffer = ""
        self._scan = 0  # everything before it was judged
        self._index = 0
        self._quotes: list[str] = []  # what would close the quotes and brackets that are open
        self._tail = ""  # "marks" or "space": what may still trail the last sentence

    def feed(self, token: str) -> list[Piece]:
        """Take the next token; return the pieces that have become certain."""
        self._buffer += token
        pieces: list[Piece] = []
        while self._buffer:
            if self._tail:
                length = self._trail(0)
                if length:
                    pieces.append(self._cut(length, first=False))
                if not self._buffer:
                    break
                self._tail = ""
            end = self._end()
            if end is None:
                break
            self._tail = "space" if self._buffer[end - 1] == "\n" else "marks"
            pieces.append(self._cut(end + self._trail(end), first=True))
        return pieces

    def flush(self) -> list[Piece]:
        """End the stream; return the rest."""
        if not self._buffer:
            return []
        first = not self._index or _speakable(self._buffer)
        return [self._cut(len(self._buffer), first=first)]

    def _cut(self, length: int, *, first: bool) -> Piece:
        piece = Piece(self._index if first else self._index - 1, self._buffer[:length], first)
        self._buffer = self._buffer[length:]
        if first:
            self._index += 1
            self._scan = 0
        return piece

    def _trail(self, start: int) -> int:
        """Return the length of what trails the sentence from `start`: marks first, then white space."""
        end = start
        if self._tail == "marks":
            match = _TAIL.match(self._buffer, start)
            end = match.end() if match else start
            for mark in self._buffer[start:end]:
                if self._quotes and self._quotes[-1] == mark:
                    self._quotes.pop()
        match = _SPACE.match(self._buffer, end)
        if match and match.end() > end:
            end = match.end()
            self._tail = "space"
        return end - start

    def _end(self) -> int | None:
        """Return where the sentence at the start of the buffer ends; None while that is not certain."""
        while True:
            match = _STOP.search(self._buffer, self._scan, self._longest)
            if match is None:
                if len(self._buffer) >= self._longest:
                    return self._clause_end()
                self._scan = len(self._buffer)
                return None
            at = match.start()
            end = self._judge(at, match.group())
            if end is None:
                self._scan = at
                return None
            if end:
                return end
            self._scan = at + 1

    def _clause_end(self) -> int:
        self._quotes.clear()
        head = self._buffer[: self._longest]
        clause = _CLAUSE.match(head)
        if clause and clause.end() > self._longest // 2:
            return clause.end()
        space = head.rfind(" ")
        return space if space > self._longest // 2 else self._longest

    def _judge(self, at: int, mark: str) -> int | None:
        """Return the sentence's end if it ends with the mark at `at`; 0 if it continues; None: not known yet."""
        if mark == '"' or mark in _OPEN or mark in _CLOSE:
            self._quote(at, mark)
            return 0
        if not _speakable(self._buffer[:at]):
            return 0
        if mark == "\n":
            self._quotes.clear()
            return at + 1
        if mark in FINAL:
            return at + 1
        if _ADDRESS.search(self._buffer, max(0, at - 200), at):
            return self._after_address(at)
        if mark == ".":
            return self._dot(at)
        return self._look_ahead(at) if self._quotes or mark == "…" else at + 1

    def _quote(self, at: int, mark: str) -> None:
        if self._quotes and self._quotes[-1] == mark:
            self._quotes.pop()
        elif mark in _OPEN:
            self._quotes.append(_OPEN[mark])
        elif mark == '"' and (at == 0 or not self._buffer[at - 1].isalnum()):
            self._quotes.append(mark)

    def _dot(self, at: int) -> int | None:
        match = _WORD.search(self._buffer, max(0, at - 40), at)
        if match is None:
            before = self._buffer[at - 1]
            return self._look_ahead(at) if self._quotes or before in ".…" or before.isspace() else at + 1
        word = match.group()
        lower = word.lower()
        if lower in _NEVER_END or (len(word) == 1 and word.isupper() and word != "I"):
            return 0
        if word[-1].isdigit():
            return 0 if not self._buffer[: match.start()].strip(" \t*-#(") else self._look_ahead(at)
        if lower in _BEFORE_NUMBER:
            return self._look_ahead(at, number=True)
        if self._quotes or lower in _HESITANT or lower in _MAY_END or len(word) == 1 or "." in word:
            return 0 if "." in word and word.isupper() else self._look_ahead(at)
        return at + 1

    def _after_address(self, at: int) -> int | None:
        """Return the end if the mark stands behind an address and not in it."""
        match = _RUN.match(self._buffer, at)
        end = match.end() if match else at + 1
        if end == len(self._buffer):
            return None
        return at + 1 if self._buffer[end].isspace() else 0

    def _look_ahead(self, at: int, *, number: bool = False) -> int | None:
        """Return the end if the next word, after closing marks and white space, begins like a sentence."""
        buffer = self._buffer
        match = _RUN.match(buffer, at)
        i = match.end() if match else at + 1
        if not self._quotes and any(mark in "!?" for mark in buffer[at + 1 : i]):
            return 0  # that mark decides
        if i == len(buffer):
            return None
        if not buffer[i].isspace():
            return 0
        space = _SPACE.match(buffer, i)
        j = space.end() if space else i
        if "\n" in buffer[i:j]:
            return at + 1
        if j == len(buffer):
            return None
        if buffer[j].islower() or (number and buffer[j].isdigit()):
            return 0
        return at + 1


def _speakable(text: str) -> bool:
    return any(map(str.isalnum, text))

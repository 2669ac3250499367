"""The full-text index: which turns of a conversation contain the words of a query.

Each word is indexed under a term that begins with the number of its conversation, and only while its turn is live. So
the list of turns of a term holds nothing of other conversations, and a search takes the same time whatever else the
file holds. It hardly grows with the conversation either, because it reads only the newest turns of each word:

1. Read the newest turns of each word. A word with fewer turns than the limit is *rare*: all its turns are known.
2. Older turns of a *frequent* word are worth finding only where they contain a rarer word of the query too. One more
   query finds those with the least frequent of these words and any rare one; or, when no word is rare, with the two
   least frequent ones.
3. Score the turns by their words as BM25 does: the rarer a word, the more it counts. How often a word occurs within one
   turn does not count, because turns are short.
"""

from __future__ import annotations

import math
import sqlite3
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rfsn_core.kit.search import STOP_WORDS, index_words

NEWEST = 32
"""Turns that are read for each word."""
MAX_SCANNED = 1000
"""Turns of one frequent word among which the other words are looked for."""
MAX_WORD = 32
"""Characters of a word that are indexed."""
SCHEMA = """
CREATE VIRTUAL TABLE words USING fts5(
    terms, content='', columnsize=0, detail=none, tokenize='porter ascii'
);
INSERT INTO words (words, rank) VALUES ('pgsz', 1000);
"""
"""Small pages: reading a list from its newest end unpacks the whole last page of it."""
_TURNS = f"SELECT rowid FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid DESC LIMIT {NEWEST}"


def register(db: sqlite3.Connection) -> None:
    """Make `index_terms` known to a connection, which `add` and `remove` need."""
    db.create_function("index_terms", 3, _index_terms, deterministic=True)


def add(db: sqlite3.Connection, where: str, values: Sequence[object]) -> None:
    """Add the turns that a condition selects."""
    db.execute(
        "INSERT INTO words (rowid, terms) SELECT id, index_terms(conversation, player_text, npc_text) AS terms"
        f" FROM turns WHERE {where} AND terms != ''",
        values,
    )


def add_turn(db: sqlite3.Connection, turn: int, conversation: int, player_text: str, npc_text: str) -> None:
    """Add one turn, by its row number."""
    if terms := _index_terms(conversation, player_text, npc_text):
        db.execute("INSERT INTO words (rowid, terms) VALUES (?,?)", (turn, terms))


def remove(db: sqlite3.Connection, where: str, values: Sequence[object]) -> None:
    """Remove the turns that a condition selects; all of them must be in the index."""
    db.execute(
        "INSERT INTO words (words, rowid, terms)"
        " SELECT 'delete', id, index_terms(conversation, player_text, npc_text) AS terms"
        f" FROM turns WHERE {where} AND terms != ''",
        values,
    )


@dataclass(frozen=True)
class Conversation:
    """Where a conversation's turns are."""

    number: int
    first: int
    """Row number of its first live turn, and of the last."""
    last: int
    turns: int

    def idf(self, frequency: float) -> float:
        """Return the weight of a word that so many turns contain: BM25's inverse document frequency."""
        return math.log(1 + (self.turns - frequency + 0.5) / (frequency + 0.5))


@dataclass(frozen=True)
class _WordTurns:
    """The newest turns of one word."""

    term: str
    rows: list[int]
    """Row numbers, the newest first."""
    frequency: float
    """Turns that contain the word; estimated for a frequent word."""
    weight: float


def search(db: sqlite3.Connection, conversation: Conversation, words: Iterable[str]) -> dict[int, float]:
    """Return row number → score of the turns that contain words of a query."""
    lists = [turns for word in words if (turns := _word_turns(db, conversation, word)).rows]
    scores: dict[int, float] = {}
    for turns in lists:
        for row in turns.rows:
            scores[row] = scores.get(row, 0.0) + turns.weight
    rare = [turns for turns in lists if len(turns.rows) < NEWEST]
    frequent = sorted((turns for turns in lists if len(turns.rows) == NEWEST), key=lambda turns: turns.frequency)
    if frequent and (others := rare or frequent[1:2]):
        _add_older(db, conversation, frequent[0], others, scores)
    return scores


def _word_turns(db: sqlite3.Connection, conversation: Conversation, word: str) -> _WordTurns:
    term = f'"{_term(conversation.number, word)}"'
    rows = _rows(db, term, conversation.first, conversation.last)
    frequency = float(len(rows))
    if len(rows) == NEWEST:
        read = (conversation.last - rows[-1] + 1) / (conversation.last - conversation.first + 1)
        frequency = min(conversation.turns, NEWEST / read)
    return _WordTurns(term, rows, frequency, conversation.idf(frequency))


def _rows(db: sqlite3.Connection, match: str, first: int, last: int) -> list[int]:
    return [row[0] for row in db.execute(_TURNS, (match, first, last))]


def _add_older(
    db: sqlite3.Connection, conversation: Conversation, word: _WordTurns, others: list[_WordTurns],
    scores: dict[int, float],
) -> None:  # fmt: skip
    """Add older turns that contain a frequent word and one of the others."""
    oldest = word.rows[-1]
    span = (conversation.last - oldest + 1) * MAX_SCANNED // NEWEST
    match = f"{word.term} AND ({' OR '.join(turns.term for turns in others)})"
    for row in _rows(db, match, max(conversation.first, conversation.last - span), oldest - 1):
        scores[row] = scores.get(row, others[0].weight) + word.weight  # a turn that is new here has `others[0]`


def _index_terms(conversation: int, player_text: str, npc_text: str) -> str:
    """Return the terms under which a turn is indexed; empty when it has only stop words."""
    text = f"{player_text} {npc_text}".lower()
    words = set(index_words(text))
    words.difference_update(STOP_WORDS)
    if words and text.isascii() and "_" not in text and len(max(words, key=len)) <= MAX_WORD:  # nearly always
        prefix = f" {conversation}x"
        return prefix + prefix.join(words)
    return " ".join(_term(conversation, word) for word in words)


def _term(conversation: int, word: str) -> str:
    """Return a word as a term of a conversation: one token for FTS5, of letters and digits of ASCII."""
    if not word.isascii():
        word = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    if not (word.isascii() and word.isalnum()):
        word = "".join(c if c.isascii() and c.isalnum() else f"{ord(c):x}" for c in word)
    return f"{conversation}x{word[:MAX_WORD]}"

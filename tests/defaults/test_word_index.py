"""What a search in SQLite finds, and how much it reads."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core.contract.storage import Scope, SearchHit
from rfsn_core.defaults.storage import Settings
from rfsn_core.defaults.storage.store import Sqlite
from rfsn_core.defaults.storage.word_index import NEWEST, _index_terms
from rfsn_core.testing.suites import record

LONG, SHORT = Scope("w", "long", "p"), Scope("w", "short", "p")


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Sqlite]:
    store = Sqlite(folder / "memory.db", Settings(synchronous="NORMAL"))
    await store.start()
    try:
        yield store
    finally:
        await store.close()


async def fill(store: Sqlite, scope: Scope, count: int, text: Callable[[int], str], start: int = 0) -> None:
    await asyncio.gather(*(store.append(record(n, scope, text=text(n))) for n in range(start, start + count)))


def texts(hits: Any) -> list[str]:
    return [hit.turn.player_text for hit in hits]


async def instructions(store: Sqlite, scope: Scope, query: str) -> int:
    """Instructions of SQLite's virtual machine that a search takes: about ten for each row that is read."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    await store._do(lambda db: db.set_progress_handler(step, 1))
    await store.search(scope, query, 5)
    await store._do(lambda db: db.set_progress_handler(None, 1))
    return count


async def test_a_search_reads_no_more_in_a_long_conversation_than_in_a_short_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await fill(store, SHORT, 100, lambda n: f"the ferry sank near the weir {n}")
        await fill(store, LONG, 5000, lambda n: f"the ferry sank near the weir {n}", start=100)
        short = await instructions(store, SHORT, "ferry weir")
        assert await instructions(store, LONG, "ferry weir") <= 1.5 * short


async def test_the_turns_of_other_conversations_change_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await fill(store, SHORT, 20, lambda n: f"ferry {n % 3} and weir {n % 5}")
        before = await store.search(SHORT, "ferry 2 weir", 5)
        steps = await instructions(store, SHORT, "ferry 2 weir")
        await fill(store, LONG, 2000, lambda n: f"ferry {n % 3} and weir {n % 5}", start=20)
        assert await store.search(SHORT, "ferry 2 weir", 5) == before
        assert await instructions(store, SHORT, "ferry 2 weir") <= 1.5 * steps


@pytest.mark.parametrize("query", ["ferry bell", "ferry bell weir", "ferry otter", "bell otter"])
async def test_an_old_turn_with_two_words_of_the_query_is_found(tmp_path: Path, query: str) -> None:
    """Each word alone is in too many newer turns, or, as the otter, only in turns that are old as well."""
    async with opened(tmp_path) as store:
        old = dict.fromkeys(range(100, 200, 10), "an otter swims in the river")
        old[50] = "the ferry with the bell carried an otter"
        await fill(store, LONG, 200, lambda n: old.get(n, "the weather is fine today"))
        words = ("ferry", "bell", "weir")
        await fill(store, LONG, 9 * NEWEST, lambda n: f"the {words[n % 3]} again {n}", start=300)
        assert texts(await store.search(LONG, query, 3))[0] == "the ferry with the bell carried an otter"


async def test_the_only_turn_with_a_rare_word_is_found_however_old_it_is(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await fill(store, LONG, 1, lambda n: "My brother Osk keeps the red lantern.")
        await fill(store, LONG, 3000, lambda n: f"the brother has a red boat {n}", start=1)
        assert texts(await store.search(LONG, "red lantern brother", 1)) == ["My brother Osk keeps the red lantern."]


async def test_only_live_turns_are_found_after_rollbacks(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await fill(store, LONG, 1, lambda n: "the ferry is safe")
        await store.snapshot("w", "before")
        await fill(store, LONG, 3 * NEWEST, lambda n: f"the ferry sank {n}", start=1)
        await store.snapshot("w", "after")
        await store.rollback("w", "before")
        assert texts(await store.search(LONG, "ferry", 5)) == ["the ferry is safe"]
        await store.rollback("w", "after")
        assert len(await store.search(LONG, "sank", 5)) == 5
        await store.rollback("w", "before")
        await store.erase("w", "", "", backups=False)
        assert await store._do(
            lambda db: db.execute("SELECT count(*) FROM words WHERE words MATCH '1xferry'").fetchone()
        ) == (0,)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("The Café is closed.", "cafe"),
        ("Meet me at the cafe\u0301.", "café"),
        ("Где паром?", "паром"),
        ("the snake_case ferry", "snake_case"),
        ("渡し船はどこですか", "渡し船はどこですか"),
        ("x² is a square", "x²"),
        ("two ferries", "ferry"),
        ("a" * 5000, "a" * 5000),
    ],
)  # fmt: skip
async def test_words_of_any_script_are_found(tmp_path: Path, text: str, query: str) -> None:
    async with opened(tmp_path) as store:
        await store.append(record(1, LONG, text=text))
        hits: list[SearchHit] = list(await store.search(LONG, query, 1))
        assert texts(hits) == [text]


@given(st.integers(1, 10**6), st.text(max_size=60), st.text(max_size=60))
def test_a_term_is_one_token_of_its_conversation(number: int, player_text: str, npc_text: str) -> None:
    for term in _index_terms(number, player_text, npc_text).split():
        assert term.isascii()
        assert term.isalnum()
        assert term.split("x")[0] == str(number)


def test_sqlite_does_not_split_a_term() -> None:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE t USING fts5(terms, detail=none, tokenize='porter ascii')")
    for text in ("Где паром²", "snake_case", "a\u0301b", "渡し船"):
        for term in _index_terms(7, text, "").split():
            db.execute("SELECT * FROM t WHERE t MATCH ?", (f'"{term}"',)).fetchall()  # raises for two tokens
    db.close()

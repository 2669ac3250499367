"""Search methods compared: recall of the turn that answers a question, in a labelled conversation made up for it.

    uv run --group engines benchmarks/retrieval.py

Recall@k is the share of questions with an answering turn among the first k hits. `rfsn` is what a turn uses: SQLite's
index, or `kit.search.search_turns` for stores without one. The other rows leave out one part or use another method.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

from retrieval_set import QUESTIONS, TURNS
from rfsn_embed_wordllama import WordLlama, load

from rfsn_core.contract.errors import PluginError
from rfsn_core.contract.storage import Scope, SearchHit, TurnRecord
from rfsn_core.conversation.embedding_index import EmbeddingIndex
from rfsn_core.defaults.storage import Settings
from rfsn_core.defaults.storage.store import Sqlite
from rfsn_core.kit import search
from rfsn_core.memory import retrieval
from rfsn_core.turn.recall import MOST_NEAR

HERE = Scope("default", "innkeeper", "player")
CONVERSATION = [
    TurnRecord(f"t{n}", HERE, 1e9 + n, player, npc, "complete", "", {}) for n, (player, npc) in enumerate(TURNS)
]
Method = Callable[[str], Sequence[int]]


def row(name: str, method: Method) -> None:
    hits = [method(question)[:10] for question, _ in QUESTIONS]
    at = {
        k: sum(bool(set(turns[:k]) & gold) for turns, (_, gold) in zip(hits, QUESTIONS, strict=True))
        for k in (1, 5, 10)
    }
    print(f"{name:58}" + "".join(f"{count / len(QUESTIONS):8.2f}" for count in at.values()))


def plain(question: str) -> list[int]:
    """Rank the turns by the number of words that they share with the question."""
    words = set(question.lower().rstrip("?").split())
    scores = [
        len(words & set(f"{player} {npc}".lower().replace(".", "").replace(",", "").split())) for player, npc in TURNS
    ]
    return sorted((n for n, score in enumerate(scores) if score), key=lambda n: -scores[n])


def in_python(question: str) -> list[int]:
    return numbers(search.search_turns(CONVERSATION, question, 10))


def numbers(hits: Sequence[SearchHit]) -> list[int]:
    return [int(hit.turn.turn_id[1:]) for hit in hits]


async def stored(folder: Path, others: int) -> Sqlite:
    store = Sqlite(folder / f"{others}.db", Settings())
    await store.start()
    for turn in CONVERSATION:
        await store.append(turn)
    draw = random.Random(1)
    said = [text for turn in TURNS for text in turn]
    for n in range(others):
        scope = Scope("default", f"npc{n % 50}", "player")
        await store.append(TurnRecord(f"o{n}", scope, 1e9, draw.choice(said), draw.choice(said), "complete", "", {}))
    return store


def meaning(runner: asyncio.Runner, store: Sqlite, by_word: Method) -> None:
    """Print recall by WordLlama's vectors alone, and together with keywords as in a turn with `[embedding]` set."""
    try:
        near = EmbeddingIndex(WordLlama(load()), len(TURNS))
    except PluginError as error:
        print(f"by meaning: {error}")
        return
    runner.run(near.add(CONVERSATION))

    def alone(question: str) -> list[int]:
        return numbers(runner.run(near.search(question, 10)))

    def both(question: str) -> list[int]:
        words = runner.run(store.search(HERE, question, 10))
        return numbers(retrieval.fuse(words, runner.run(near.search(question, MOST_NEAR)), 10))

    row("by meaning alone (WordLlama), neighbours lifted", alone)
    row("rfsn, and by meaning", both)
    gained = lost = 0
    for question, gold in QUESTIONS:
        before, after = bool(set(by_word(question)[:5]) & gold), bool(set(both(question)[:5]) & gold)
        gained, lost = gained + (after and not before), lost + (before and not after)
    print(f"    {gained} questions gain an answer among the first five, {lost} lose it")


def main() -> None:
    print(f"{len(TURNS)} turns, {len(QUESTIONS)} questions")
    print(f"{'recall':58}" + "".join(f"{f'@{k}':>8}" for k in (1, 5, 10)))
    draw = random.Random(1)
    row("at random", lambda _: draw.sample(range(len(TURNS)), 10))
    row("the newest", lambda _: list(range(len(TURNS)))[::-1])
    row("words in common, not stemmed", plain)
    with mock.patch.object(search, "add_neighbours", dict), mock.patch.object(search, "STOP_WORDS", frozenset()):
        search.stems_of.cache_clear()
        row("BM25, stemmed", in_python)
    with mock.patch.object(search, "add_neighbours", dict):
        search.stems_of.cache_clear()
        row("BM25, stemmed, without stop words", in_python)
    search.stems_of.cache_clear()
    row("rfsn without an index (neighbours lifted)", in_python)
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        for others in (0, 5000):
            store = runner.run(stored(Path(folder), others))

            def indexed(question: str, store: Sqlite = store) -> list[int]:
                return numbers(runner.run(store.search(HERE, question, 10)))

            row(f"rfsn in SQLite's index, with {others} turns of other NPCs", indexed)
            if not others:
                meaning(runner, store, indexed)
            runner.run(store.close())


if __name__ == "__main__":
    main()

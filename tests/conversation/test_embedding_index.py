"""What is found by meaning: the index of one conversation, its fusion with words, and both in a turn."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from rfsn_core import protocol
from rfsn_core.contract.storage import SearchHit
from rfsn_core.conversation.embedding_index import EmbeddingIndex
from rfsn_core.memory.retrieval import fuse
from rfsn_core.testing import NPC, kernel, plugin, turn
from rfsn_core.testing.scripted import Tokens
from rfsn_core.testing.suites import record

AXES = (("boat", "vessel", "ferry"), ("plum", "fruit", "pear"), ("wolf", "beast"), ("hello",))


class Meanings:
    """Words of one group are one meaning."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails = self.hangs = False

    async def embed(self, texts: Sequence[str]) -> Any:
        if self.fails:
            raise RuntimeError("no vectors today")
        if self.hangs:
            await asyncio.sleep(60)
        self.asked += texts
        points = np.array([[sum(word in text.lower() for word in axis) for axis in AXES] for text in texts], float)
        return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)


def said(number: int, text: str) -> Any:
    return replace(record(number), player_text=text, npc_text="")


async def test_turns_are_found_in_other_words_and_placed_once() -> None:
    meanings = Meanings()
    near = EmbeddingIndex(meanings, 5)
    assert await near.search("a vessel", 3) == []
    turns = [said(n, text) for n, text in enumerate(("hello", "my boat sank", "hello", "hello", "hello", "plums"))]
    await near.add(turns)
    await asyncio.gather(*(near.add(turns) for _ in range(3)))
    assert meanings.asked == ["my boat sank ", "hello ", "hello ", "hello ", "plums "]  # the newest five
    assert (await near.search("a vessel", 3))[0].turn == turns[1]
    assert await near.search("xyzzy", 3) == []
    await near.add([said(9, "a pear")])
    assert [hit.turn.player_text for hit in await near.search("fruit", 2)] == ["a pear", "plums"]
    assert all(hit.turn.player_text != "my boat sank" for hit in await near.search("a vessel", 9))


@pytest.mark.parametrize("given", [[[1.0]], [[np.nan]] * 2, [1.0, 2.0], "text"])
async def test_what_is_no_point_is_refuse(given: Any) -> None:
    class Odd:
        async def embed(self, texts: Sequence[str]) -> Any:
            return given

    with pytest.raises(ValueError, match=r"embedder|convert"):
        await EmbeddingIndex(Odd(), 5).add([said(1, "one"), said(2, "two")])


def test_two_searches_become_one() -> None:
    one, two, three = (said(n, str(n)) for n in range(3))
    by_word = [SearchHit(one, 10.0), SearchHit(two, 6.0)]
    by_meaning = [SearchHit(two, 0.5), SearchHit(three, 0.4)]
    assert [hit.turn for hit in fuse(by_word, by_meaning, 5)] == [two, one, three]
    assert fuse(by_word, [], 1)[0].turn == one
    assert fuse([], by_meaning, 5)[0].turn == two
    assert fuse([], [], 5) == []


class Listening(Tokens):
    heard: ClassVar[list[str]] = []

    def render(self, prompt: Any, options: Any) -> Any:
        self.heard[:] = [message.content for message in prompt.messages]
        return super().render(prompt, options)


async def test_an_npc_recalls_what_was_said_in_other_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rfsn_core.conversation.conversation.INDEX_SECONDS", 0.2)
    meanings, settings = Meanings(), {"memory": {"recent": 1, "related": 1}, "embedding": {"seconds": 0.2}}
    offered = plugin(rendering={"t": Listening()}, embedding={"m": meanings})
    async with kernel(tmp_path, offered, settings=settings) as it:
        for text in ("They took my boat at the weir.", "The wolf came.", "hello", "hello", "hello"):
            await turn(it, text)
        await asyncio.sleep(0.05)  # what was said is placed after its turn
        await turn(it, "Did you see a vessel?")
        assert "my boat at the weir" in "".join(Listening.heard)
        meanings.fails = True
        assert isinstance((await turn(it, "And a beast?"))[-1], protocol.TurnFinished)
        meanings.fails, meanings.hangs = False, True
        async with asyncio.timeout(5):
            assert isinstance((await turn(it, "And a ferry?"))[-1], protocol.TurnFinished)
        meanings.hangs = False
        await it.maintenance.erase("", "", "player", backups=False)
        await turn(it, "hello")
        await turn(it, "hello")
        await turn(it, "Did you see a vessel?")
        assert "my boat" not in "".join(Listening.heard)
    async with kernel(tmp_path, offered, settings=settings) as it:
        meanings.asked.clear()
        it.prefetch(protocol.Prefetch(npcs=[NPC]))
        async with asyncio.timeout(5):
            while len(meanings.asked) < 3:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.01)
        await turn(it, "Did you see a vessel?")
        assert meanings.asked[3] == "Did you see a vessel?"
